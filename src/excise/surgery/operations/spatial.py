"""Operations on images and signals that treat each channel by itself: pooling, resizing."""

from excise.surgery.flow import Effect, Flow, refusal
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call

__all__: list[str] = []


@rule(
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "lp_pool1d", "lp_pool2d", "interpolate", "upsample", "upsample_nearest", "upsample_bilinear", "grid_sample",
    "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d_with_indices",
)  # fmt: skip
def _by_channel(call: Call, flow: Flow) -> None:
    """Zeros give zeros: an average, a maximum or an interpolation of zeros is zero."""
    x = call.values[0]
    spatial = {"1d": 1, "2d": 2, "3d": 3}.get(
        next((part for part in ("1d", "2d", "3d") if part in call.name), ""), x.ndim - 2
    )
    channel = x.ndim - spatial - 1
    for here, there in ((x, call.out), (call.out, x)):
        for array in flow.of(here):
            if any(axis > channel for axis in array.axes):
                raise refusal(call, flow.place, "it mixes what lies along the axes it moves over")
            flow.join(there, array)
    flow.effect(call, Effect.MOVES)
