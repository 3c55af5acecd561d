"""The sizes that torch's modules note beside their parameters, brought in line with them."""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

__all__ = ["refresh_sizes"]


def refresh_sizes(model: nn.Module, paths: Iterable[str]) -> None:
    """Let `in_features`, `num_channels` and their like say what the parameters of some modules say."""
    for path in paths:
        module = model.get_submodule(path)
        for name, value in _sizes(module).items():
            if hasattr(module, name):
                setattr(module, name, value)


def _sizes(module: nn.Module) -> dict[str, object]:  # noqa: PLR0911 - a line a kind of module
    weight = getattr(module, "weight", None)
    first = weight.shape[0] if isinstance(weight, Tensor) and weight.ndim else 0
    match module:
        case nn.Linear():
            return {"out_features": first, "in_features": module.weight.shape[1]}
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            return {"in_channels": first, "out_channels": module.weight.shape[1] * module.groups}
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            return {"out_channels": first, "in_channels": module.weight.shape[1] * module.groups}
        case nn.modules.batchnorm._NormBase():
            known = next((t for t in (weight, module.running_mean) if isinstance(t, Tensor)), None)
            return {} if known is None else {"num_features": known.shape[0]}
        case nn.GroupNorm():
            return {} if weight is None else {"num_channels": first}
        case nn.LayerNorm() | nn.RMSNorm():
            return {} if not isinstance(weight, Tensor) else {"normalized_shape": tuple(weight.shape)}
        case nn.Embedding() | nn.EmbeddingBag():
            return {"num_embeddings": first, "embedding_dim": module.weight.shape[1]}
        case nn.RNNBase():
            gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
            return {
                "input_size": cast(Tensor, module.weight_ih_l0).shape[1],
                "hidden_size": cast(Tensor, module.weight_ih_l0).shape[0] // gates,
                "_flat_weights": [getattr(module, name) for name in module._flat_weights_names],
            }
        case nn.RNNCellBase():
            gates = {nn.LSTMCell: 4, nn.GRUCell: 3}.get(type(module), 1)
            return {
                "input_size": module.weight_ih.shape[1],
                "hidden_size": module.weight_ih.shape[0] // gates,
            }
        case nn.PReLU():
            return {"num_parameters": first}
        case _ if type(module).__name__ == "Conv1D" and isinstance(weight, Tensor) and weight.ndim == 2:
            return {"nx": first, "nf": weight.shape[1]}
        case _:
            return {}
