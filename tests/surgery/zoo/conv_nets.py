"""Networks of convolutions whose paths meet: shortcuts, skips, concatenations, gates."""

import torch
from torch import Tensor, nn

from excise.errors import UnfollowableError

from .case import Case, out, zeroed
from .conv import IMAGES, conv_bn, head

__all__ = ["CASES"]


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which projects where the width changes."""

    def __init__(self, channels: int, into: int, project: bool):
        super().__init__()
        self.one = conv_bn(channels, into)
        self.two = nn.Sequential(nn.Conv2d(into, into, 3, padding=1, bias=False), nn.BatchNorm2d(into))
        self.shortcut = (
            nn.Sequential(nn.Conv2d(channels, into, 1), nn.BatchNorm2d(into)) if project else nn.Identity()
        )

    def forward(self, x: Tensor):
        return torch.relu(self.two(self.one(x)) + self.shortcut(x))


class UNet(nn.Module):
    """One level down and up again, the skipped channels behind the upsampled ones."""

    def __init__(self):
        super().__init__()
        self.down, self.bottom = conv_bn(3, 6), nn.Sequential(nn.MaxPool2d(2), conv_bn(6, 8))
        self.up = nn.ConvTranspose2d(8, 5, 2, stride=2)
        self.last = nn.Conv2d(11, 2, 1)

    def forward(self, x: Tensor):
        skipped = self.down(x)
        return self.last(torch.cat([self.up(self.bottom(skipped)), skipped], dim=1))


class DenseNet(nn.Module):
    """Every layer reads all layers before it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 3 * i) for i in range(3))
        self.layers = nn.ModuleList(nn.Conv2d(4 + 3 * i, 3, 3, padding=1) for i in range(3))
        self.head = nn.Sequential(*head(13))

    def forward(self, x: Tensor):
        seen = [self.stem(x)]
        for norm, layer in zip(self.norms, self.layers, strict=True):
            seen.append(layer(norm(torch.cat(seen, 1)).relu()))
        return self.head(torch.cat(seen, 1))


class SqueezeExcitation(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 8)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.head = nn.Sequential(*head(8))

    def forward(self, x: Tensor):
        x = self.stem(x)
        gates = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.head(x * gates)


STAGE = zeroed(out("0", 1), out("*.two", 1), out("*.shortcut", 1))

CASES = [
    Case(
        "resnet_block_with_projection",
        lambda: nn.Sequential(ResidualBlock(3, 8, True), *head(8)),
        IMAGES,
        "0",
        (0, 5),
        zeroed(out("0.two.*", 1), out("0.shortcut.*", 1)),
        axis=1,
    ),
    Case(
        "resnet_inside_of_a_block",
        lambda: nn.Sequential(ResidualBlock(3, 8, True), *head(8)),
        IMAGES,
        "0.one.0",
        (0, 5),
        zeroed(out("0.one.0", 1), out("0.one.1", 1)),
        axis=1,
    ),
    Case(
        "resnet_stage_of_identity_shortcuts",
        lambda: nn.Sequential(
            conv_bn(3, 8), ResidualBlock(8, 8, False), ResidualBlock(8, 8, False), *head(8)
        ),
        IMAGES,
        "2",
        (1, 6),
        STAGE,
        axis=1,
        note="The channel runs from the stem through every block.",
    ),
    Case(
        "resnet_identity_shortcut_from_input_is_refused",
        lambda: nn.Sequential(ResidualBlock(3, 3, False), *head(3)),
        IMAGES,
        "0",
        (1,),
        zeroed(out("0", 1)),
        prune=UnfollowableError,
        ablate=UnfollowableError,
        axis=1,
        note="The model's own input carries the channel, and no weight writes that.",
    ),
    Case(
        "unet_concatenation",
        UNet,
        IMAGES,
        "down.0",
        (2, 4),
        zeroed(out("down.0", 1), out("down.1", 1)),
        axis=1,
    ),
    Case("unet_upsampled", UNet, IMAGES, "up", (0, 3), zeroed(out("up", 1)), axis=1),
    Case(
        "densenet_concat",
        DenseNet,
        IMAGES,
        "layers.0",
        (1,),
        zeroed(out("layers.0", 1), out("norms.1", 1, dims=(5,)), out("norms.2", 1, dims=(5,))),
        axis=1,
    ),
    Case(
        "squeeze_excitation",
        SqueezeExcitation,
        IMAGES,
        "stem",
        (0, 3),
        zeroed(out("stem.0", 1), out("stem.1", 1), out("excite", 1)),
        axis=1,
        note="The gate of an absent channel is absent; its 0.5 multiplies nothing.",
    ),
]
