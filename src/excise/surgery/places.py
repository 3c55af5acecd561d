"""Where the features lie: the output of a module, or of an operation in the forward pass."""

from excise.errors import SettingError, UnfollowableError, UnknownLayerError
from excise.surgery.recording import Call, Recording, Value

__all__ = ["find_place", "place_values"]

_BY_CHANNEL = ("conv", "batch_norm", "group_norm", "instance_norm")
_PASSING = (
    "relu", "gelu", "silu", "pool", "dropout", "tanh", "sigmoid", "elu", "mish", "hardswish", "add", "mul", "clamp",
    "interpolate", "upsample", "prelu", "softplus", "contiguous", "clone", "detach", "cat",
)  # fmt: skip


def find_place(recording: Recording, layer: str, axis: int | None) -> list[tuple[Value, int]]:
    """The tensors that a name stands for, each with the axis of its features.

    Args:
        recording: the forward pass.
        layer: a module's path, or "path:operation" for an operation in that module's own forward pass, such as
            "encoder:normalize" (":normalize" in the model's own), with ":1" behind it for the second of its kind.
        axis: where the features lie; None is the channel axis behind convolutions, the last one elsewhere.

    Raises:
        UnknownLayerError: there is none of that name; the nearest names are listed.
        UnfollowableError: the module is there, and did not run, or gives no tensor.
        SettingError: the tensors lack the axis, or are of different widths.
    """
    values = place_values(recording, layer)
    starts = [(value, _axis(value, layer, axis)) for value in dict.fromkeys(values)]
    widths = {value.shape[where] for value, where in starts}
    if len(widths) > 1:
        raise SettingError(
            f"{layer!r} runs {len(starts)} times and gives {', '.join(map(str, sorted(widths)))} "
            "features; name a layer that "
            f"always gives as many."
        )
    return starts


def place_values(recording: Recording, layer: str) -> list[Value]:
    """The tensors that a name stands for; raises what `find_place` raises."""
    if layer and layer in recording.results:
        return recording.results[layer]
    if layer in recording.modules and layer:
        same = [path for path in recording.results if recording.modules[path] is recording.modules[layer]]
        if same:
            return recording.results[same[0]]
        raise UnfollowableError(
            layer,
            "the forward pass never calls it with these inputs, or its output holds no tensor, or it "
            "is called inside one "
            "of torch's own modules or through `.forward`; so nothing is known of its features. Give example inputs "
            "that reach it, or name the module that calls it.",
        )
    named: dict[str, list[Call]] = {}
    for call in recording.calls:
        named.setdefault(str(call), []).append(call)
    if layer in named and len(named[layer]) == 1:
        return [named[layer][0].out]
    numbered = {f"{name}:{at}": call for name, calls in named.items() for at, call in enumerate(calls)}
    if layer in numbered:
        return [numbered[layer].out]
    if layer in named:
        raise SettingError(
            f"{layer!r} stands for {len(named[layer])} operations; write which, from {layer + ':0'!r} to "
            f"{f'{layer}:{len(named[layer]) - 1}'!r}."
        )
    where = f"in this {type(recording.model).__name__}"
    if ":" not in layer:
        raise UnknownLayerError(layer, [path for path in recording.modules if path], where)
    module = layer.partition(":")[0]
    known = [
        one
        for name, calls in named.items()
        for one in ([name] if len(calls) == 1 else [f"{name}:{at}" for at in range(len(calls))])
    ]
    near = [name for name in known if name.partition(":")[0] == module]  # Listed first, as the list is cut.
    error = UnknownLayerError(layer, [*near, *(name for name in known if name not in near)], where)
    error.kind = "operation"
    raise error


def _axis(value: Value, layer: str, axis: int | None) -> int:
    if value.ndim == 0:
        raise SettingError(f"{layer!r} gives a single number, which has no features.")
    if axis is not None:
        if not -value.ndim <= axis < value.ndim:
            raise SettingError(
                f"axis {axis} came, and {layer!r} gives a tensor of {value.ndim} axes, {list(value.shape)}, counted "
                f"from {-value.ndim} to {value.ndim - 1}."
            )
        return axis % value.ndim
    maker = value.maker
    while maker is not None:
        if maker.name.startswith(_BY_CHANNEL):
            spatial = maker.values[1].ndim - 2 if maker.name.startswith("conv") else maker.values[0].ndim - 2
            return value.ndim - spatial - 1
        passing = maker.name in _PASSING or any(
            part in maker.name for part in ("pool", "interpolate", "dropout")
        )
        if not passing or not maker.values:
            break
        maker = maker.values[0].maker
    return value.ndim - 1
