"""What takes the place of torch's own modules computes what they do, before anything is cut."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.surgery.replacements import NarrowedAttention, NarrowedLayerNorm, Projected, set_module

WIDTH, HEADS, LENGTH, BATCH = 8, 2, 5, 3


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def attention(**settings: Any) -> nn.MultiheadAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **settings)
        if module.in_proj_bias is not None:
            nn.init.normal_(module.out_proj.bias)
            nn.init.normal_(module.in_proj_bias)
    return module.eval()


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PADDING = torch.arange(LENGTH) >= torch.tensor([[5], [3], [4]])
CAUSAL = torch.ones(LENGTH, LENGTH).triu(1).bool()
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padding": {"key_padding_mask": PADDING},
    "padding as numbers": {"key_padding_mask": numbers(BATCH, LENGTH)},
    "a mask": {"attn_mask": CAUSAL},
    "a mask as numbers": {"attn_mask": numbers(LENGTH, LENGTH)},
    "a mask for each head": {"attn_mask": numbers(BATCH * HEADS, LENGTH, LENGTH)},
    "both masks": {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
    "causal": {"attn_mask": CAUSAL, "is_causal": True},
    "weights of each head": {"average_attn_weights": False},
}


def same(attention: nn.MultiheadAttention, *given: Tensor, **keywords: Any) -> None:
    for need in (True, False):
        wanted = attention(*given, need_weights=need, **keywords)
        got = NarrowedAttention(attention)(*given, need_weights=need, **keywords)
        assert torch.allclose(got[0], wanted[0], atol=1e-6)
        assert (got[1] is None) == (wanted[1] is None) == (not need)
        assert not need or torch.allclose(got[1], wanted[1], atol=1e-6)


@pytest.mark.parametrize("name", CALLS)
def test_an_opened_attention_gives_what_it_gave(name: str):
    x = numbers(BATCH, LENGTH, WIDTH)
    same(attention(), x, x, x, **CALLS[name])


def test_an_opened_attention_takes_other_keys_values_and_orders():
    q, k, v = numbers(LENGTH, BATCH, WIDTH), numbers(7, BATCH, 4, seed=2), numbers(7, BATCH, 6, seed=3)
    sequence_first = attention(kdim=4, vdim=6, bias=False)
    sequence_first.batch_first = False
    same(sequence_first, q, k, v)
    same(attention(), numbers(LENGTH, WIDTH), numbers(7, WIDTH, seed=2), numbers(7, WIDTH, seed=3))
    x = numbers(LENGTH, WIDTH)
    same(attention(), x, x, x, key_padding_mask=PADDING[1], attn_mask=CAUSAL)


def test_what_an_opened_attention_lacks_is_not_opened():
    assert NarrowedAttention.covers(attention())
    assert not NarrowedAttention.covers(attention(add_bias_kv=True))
    assert not NarrowedAttention.covers(attention(add_zero_attn=True))


@pytest.mark.parametrize("affine", [True, False])
def test_a_narrow_norm_counts_what_is_gone_as_zeros(affine: bool):
    norm = nn.LayerNorm(WIDTH, elementwise_affine=affine)
    if affine:
        norm.weight.data, norm.bias.data = numbers(WIDTH), numbers(WIDTH, seed=2)
    x = numbers(4, WIDTH)
    x[:, 5:] = 0
    narrow = NarrowedLayerNorm(norm, WIDTH)
    if affine:
        narrow.weight, narrow.bias = nn.Parameter(norm.weight[:5]), nn.Parameter(norm.bias[:5])
    assert torch.allclose(narrow(x[:, :5]), norm(x)[:, :5], atol=1e-6)
    assert not torch.allclose(nn.functional.layer_norm(x[:, :5], (5,)), norm(x)[:, :5], atol=1e-2)


def test_a_projected_module_lacks_the_direction_in_the_units_of_its_gain():
    gain, unit = numbers(WIDTH).abs() + 0.5, nn.functional.normalize(numbers(1, WIDTH, seed=2))
    inner = nn.Linear(WIDTH, WIDTH)
    x = numbers(4, WIDTH, seed=3)
    assert torch.allclose(Projected(inner, unit)(x) @ unit[0], torch.zeros(4), atol=1e-6)
    assert torch.allclose((Projected(inner, unit, gain)(x) / gain) @ unit[0], torch.zeros(4), atol=1e-6)


def test_a_module_that_stands_twice_is_replaced_twice():
    shared = nn.ReLU()
    model = nn.Sequential(shared, nn.Sequential(shared, nn.Tanh()))
    set_module(model, "1.0", nn.GELU())
    assert [type(module) for module in (model[0], model.get_submodule("1.0"))] == [nn.GELU, nn.GELU]
