"""PyTorch's own attention and transformer layers, and an MLP-Mixer, which needs neither."""

from torch import Tensor, nn

from excise.errors import SurgeryError

from .blocks import MLP
from .case import Case, floats, out, zeroed

__all__ = ["CASES"]

WIDTH = 16


class ManyHeads(nn.Module):
    """PyTorch's own attention module on a residual stream."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.norm, self.attn = nn.LayerNorm(WIDTH), nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor):
        x = self.first(x)
        y = self.norm(x)
        return self.last(x + self.attn(y, y, y, need_weights=False)[0])


class Mixer(nn.Module):
    """Mixes places and features in turn; for the first the axes are swapped."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.places, self.features = MLP(6, 12), MLP(WIDTH, 24)
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor):
        x = self.embed(x)
        x = x + self.places(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.features(self.norm2(x))
        return self.head(x.mean(1))


def encoder_layers(norm_first: bool) -> nn.Module:
    layers = [
        nn.TransformerEncoderLayer(WIDTH, 4, 24, dropout=0.1, batch_first=True, norm_first=norm_first)
        for _ in range(2)
    ]
    return nn.Sequential(nn.Linear(5, WIDTH), *layers, nn.Linear(WIDTH, 3))


CASES = [
    Case(
        "nn_multihead_attention_residual",
        ManyHeads,
        floats(2, 6, WIDTH),
        "first",
        (3,),
        zeroed(out("first"), out("norm"), out("attn")),
        note="One embed_dim holds for the stream and for the heads together; the pruned module has a size for each.",
    ),
    Case(
        "mlp_mixer_transpose",
        Mixer,
        floats(2, 6, 3),
        "embed",
        (0, 7),
        zeroed(out("embed"), out("norm1"), out("places", axis=1), out("norm2"), out("features")),
        ablate=SurgeryError,
        note="Mixing places has one bias for all features; no weight keeps it from the cut ones and norm2.",
    ),
    Case(
        "mlp_mixer_hidden_places",
        Mixer,
        floats(2, 6, 3),
        "places.up",
        (2, 11),
        zeroed(out("places.up")),
    ),
    Case(
        "nn_transformer_encoder_layer_ffn",
        lambda: encoder_layers(norm_first=False),
        floats(2, 6, 5),
        "1.linear1",
        (0, 9),
        zeroed(out("1.linear1")),
        note="In evaluation mode one fused operation does the whole layer.",
    ),
    Case(
        "nn_transformer_encoder_residual_stream",
        lambda: encoder_layers(norm_first=True),
        floats(2, 6, 5),
        "1",
        (4,),
        zeroed(
            out("0"),
            out("*.self_attn"),
            out("*.linear2"),
            out("*.norm1"),
            out("*.norm2"),
        ),
        note="One embed_dim holds for the stream and for the heads together.",
    ),
]
