"""Convolutions: channels on axis 1, and what pools, groups, shuffles and flattens them."""

from torch import Tensor, nn

from excise.errors import DimsError

from .case import Case, floats, into, out, zeroed

__all__ = ["CASES", "IMAGES", "conv_bn", "head"]

IMAGES = floats(2, 3, 8, 8)


def conv_bn(channels: int, into: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, into, 3, stride, padding=1, bias=False), nn.BatchNorm2d(into), nn.ReLU()
    )


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4)]


def grouped() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Conv2d(8, 12, 3, groups=2), nn.ReLU(), *head(12))


def group_norm(groups: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(groups, 8), nn.SiLU(), *head(8))


class ChannelShuffle(nn.Module):
    """Channels of two groups are dealt like cards: channel c of group g lands on place 2 c + g."""

    def __init__(self):
        super().__init__()
        self.stem, self.mixed, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Linear(4, 2)

    def forward(self, x: Tensor):
        x = self.stem(x)
        batch, channels, height, width = x.shape
        x = (
            x.view(batch, 2, channels // 2, height, width)
            .transpose(1, 2)
            .reshape(batch, channels, height, width)
        )
        return self.last(self.mixed(x.tanh()).amax((2, 3)))


CASES = [
    Case(
        "conv_bn_flatten_linear",
        lambda: nn.Sequential(conv_bn(3, 6), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 4)),
        IMAGES,
        "0.0",
        (1, 4),
        zeroed(out("0.0", 1), out("0.1", 1)),
        axis=1,
        note="Each channel is read by 16 columns of the Linear.",
    ),
    Case(
        "conv1d_stack",
        lambda: nn.Sequential(
            nn.Conv1d(3, 8, 3), nn.GELU(), nn.Conv1d(8, 6, 3, dilation=2), nn.ELU(), nn.Conv1d(6, 2, 1)
        ),
        floats(2, 3, 12),
        "2",
        (0, 3),
        zeroed(out("2", 1)),
        axis=1,
    ),
    Case(
        "conv3d",
        lambda: nn.Sequential(
            nn.Conv3d(2, 6, 3), nn.BatchNorm3d(6), nn.ReLU(), nn.AvgPool3d(2), nn.Flatten(1), nn.Linear(48, 3)
        ),
        floats(2, 2, 6, 6, 6),
        "0",
        (5,),
        zeroed(out("0", 1), out("1", 1)),
        axis=1,
    ),
    Case(
        "conv_transpose",
        lambda: nn.Sequential(
            nn.Linear(5, 8),
            nn.Unflatten(1, (8, 1, 1)),
            nn.ConvTranspose2d(8, 6, 4),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 3, 2),
        ),
        floats(2, 5),
        "2",
        (0, 2),
        zeroed(out("2", 1)),
        axis=1,
        note="Its weight holds the read channels first and the written ones second.",
    ),
    Case(
        "depthwise_conv",
        lambda: nn.Sequential(conv_bn(3, 8), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6(), nn.Conv2d(8, 5, 1)),
        IMAGES,
        "0",
        (3, 6),
        zeroed(out("0.0", 1), out("0.1", 1), out("1", 1)),
        axis=1,
        note="A depthwise kernel carries its channel on; its bias goes too.",
    ),
    Case(
        "depthwise_multiplier",
        lambda: nn.Sequential(conv_bn(3, 4), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 5, 1)),
        IMAGES,
        "0",
        (1,),
        zeroed(out("0.0", 1), out("0.1", 1), out("1", 1, dims=(2, 3))),
        axis=1,
        note="A group that reads nothing any more is gone, so both channels that it writes are.",
    ),
    Case("grouped_conv", grouped, IMAGES, "2", (1, 9), zeroed(out("2", 1)), axis=1),
    Case(
        "grouped_conv_inputs",
        grouped,
        IMAGES,
        "0",
        (0, 6),
        zeroed(out("0", 1)),
        axis=1,
        note="One of each group's inputs, so that the groups stay alike.",
    ),
    Case(
        "grouped_conv_uneven_is_refused",
        grouped,
        IMAGES,
        "2",
        (1,),
        zeroed(out("2", 1)),
        prune=DimsError,
        axis=1,
    ),
    Case(
        "groupnorm_whole_group",
        group_norm,
        IMAGES,
        "0",
        (2, 3),
        zeroed(out("0", 1), out("1", 1)),
        axis=1,
    ),
    Case(
        "groupnorm_part_of_group_is_refused",
        group_norm,
        IMAGES,
        "0",
        (2,),
        zeroed(out("0", 1), out("1", 1)),
        prune=DimsError,
        axis=1,
    ),
    Case(
        "instance_norm",
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.Hardswish(), *head(6)
        ),
        IMAGES,
        "0",
        (2,),
        zeroed(out("0", 1), out("1", 1)),
        axis=1,
    ),
    Case(
        "channel_shuffle",
        ChannelShuffle,
        IMAGES,
        "stem",
        (1, 5),
        zeroed(out("stem", 1), into("mixed", 1, dims=(2, 3))),
        axis=1,
        note="Channel 1 of both groups, so that the cards can still be dealt.",
    ),
    Case(
        "pixel_shuffle",
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2), nn.Conv2d(2, 3, 1)),
        IMAGES,
        "0",
        (4, 5, 6, 7),
        zeroed(out("0", 1)),
        axis=1,
        note="Four channels become one of four times the pixels.",
    ),
    Case(
        "pixel_shuffle_part_is_refused",
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2), nn.Conv2d(2, 3, 1)),
        IMAGES,
        "0",
        (4,),
        zeroed(out("0", 1)),
        prune=DimsError,
        axis=1,
    ),
]
