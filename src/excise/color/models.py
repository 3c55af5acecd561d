"""The two colour autoencoders: colour in, a small latent, colour out."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import SettingError

__all__ = ["L2Norm", "NormalizedMLP", "PlainMLP"]

COLOR_CHANNELS = 3


class L2Norm(nn.Module):
    """Scales each activation vector to length 1, over the last axis."""

    def forward(self, x: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch latent"]:
        """The activations `[..., latent]`, on the unit hypersphere."""
        return functional.normalize(x, dim=-1)


class NormalizedMLP(nn.Module):
    """An autoencoder of colours whose latents lie on the unit hypersphere.

    Its layers are `encoder` (the latent before normalisation), `bottleneck` (on the sphere) and `decoder`. In
    evaluation mode the output is clamped to [0, 1]; in training it is not, so that gradients stay alive.

    Args:
        latent_dim: the width of the latent, at least 2.
        hidden: the width of the hidden layers.
        depth: hidden layers on either side, at least 1.
        sigmoid: whether the output goes through a sigmoid instead of being linear.
        generator: where the initial weights are drawn from; None is torch's global generator.

    Raises:
        SettingError: a size below its minimum.
    """

    def __init__(
        self,
        latent_dim: int = 4,
        *,
        hidden: int = 16,
        depth: int = 1,
        sigmoid: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if latent_dim < 2 or hidden < 1 or depth < 1:
            raise SettingError(
                f"latent_dim is at least 2, hidden and depth at least 1; {latent_dim=}, {hidden=}, {depth=} came."
            )
        self.encoder = _mlp(COLOR_CHANNELS, [hidden] * depth, latent_dim)
        self.bottleneck = L2Norm()
        self.decoder = _mlp(latent_dim, [hidden] * depth, COLOR_CHANNELS)
        if sigmoid:
            self.decoder.append(nn.Sigmoid())
        _initialise(self, generator)

    def forward(self, x: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Colours `[..., 3]` as the model draws them, `[..., 3]`."""
        y = self.decoder(self.bottleneck(self.encoder(x)))
        return y if self.training else y.clamp(0, 1)


class PlainMLP(nn.Module):
    """An autoencoder of colours with a free latent (experiment 2.2), sigmoid output.

    Its layers are `encoder` (whose output is the latent) and `decoder`.

    Args:
        latent_dim: the width of the latent, at least 1.
        hidden: the width of the hidden layers.
        generator: where the initial weights are drawn from; None is torch's global generator.

    Raises:
        SettingError: a size below its minimum.
    """

    def __init__(
        self, latent_dim: int = 4, *, hidden: int = 16, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if latent_dim < 1 or hidden < 1:
            raise SettingError(f"latent_dim and hidden are at least 1; {latent_dim=}, {hidden=} came.")
        self.encoder = _mlp(COLOR_CHANNELS, [hidden], latent_dim)
        self.decoder = _mlp(latent_dim, [hidden], COLOR_CHANNELS).append(nn.Sigmoid())
        _initialise(self, generator)

    def forward(self, x: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Colours `[..., 3]` as the model draws them, `[..., 3]`."""
        return self.decoder(self.encoder(x))


def _mlp(width_in: int, hidden: list[int], width_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(width_in, width), nn.GELU()]
        width_in = width
    return nn.Sequential(*layers, nn.Linear(width_in, width_out))


def _initialise(model: nn.Module, generator: torch.Generator | None) -> None:
    """Redraw every Linear from `generator`, in torch's default distribution: uniform within 1/sqrt(fan in)."""
    if generator is None:
        return
    for module in model.modules():
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            with torch.no_grad():
                module.weight.uniform_(-bound, bound, generator=generator)
                module.bias.uniform_(-bound, bound, generator=generator)
