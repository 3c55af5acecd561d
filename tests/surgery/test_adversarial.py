"""Models that invite a silently wrong edit: each is cut as a forward pass with zeros is, or refused by its type."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from excise.errors import DimsError, InexactEditError, SurgeryError, UnfollowableError
from excise.surgery import plan
from excise.surgery.copying import copied

from .zoo import tensors
from .zoo.case import floats, out, tokens, zeroed

MODES: Any = ("prune", "ablate")
DIMS = (1, 4)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x


class Net(nn.Module):
    """writer -> something -> reader, 3 -> 6 -> 2."""

    def __init__(self, middle: Callable[[Any, Tensor], Tensor], **held: Any) -> None:
        super().__init__()
        self.writer: Any = nn.Linear(3, 6)
        self.reader: Any = nn.Linear(6, 2)
        self.middle = middle
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.middle(self, self.writer(x)))


class Outputs(nn.Module):
    """Gives its features in a tuple or a dict, beside other things."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.linear, self.kind = nn.Linear(3, 6), kind

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        return (y, 3, x.sum()) if self.kind is tuple else {"y": y, "n": 3}


class Taking(nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.writer, self.reader = Outputs(kind), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> dict[str, Any]:
        found = self.writer(x)
        y = found[0] if isinstance(found, tuple) else found["y"]
        return {"read": self.reader(y.relu()), "sums": [(y**2).sum()]}


class Looped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.writer, self.block, self.reader = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.writer(x)
        for _ in range(3):
            y = y + self.block(y).relu()
        return self.reader(y)


class Remembering(nn.Module):
    """Adds what it saw last, and moves an average along."""

    average: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.writer, self.reader = nn.Linear(3, 6), nn.Linear(6, 2)
        self.last: Tensor | None = None
        self.register_buffer("average", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.writer(x)
        self.average.mul_(0.9).add_(0.1 * y.mean(0))
        kept = y if self.last is None else y + self.last.mean(0)
        self.last = y.detach()
        return self.reader(kept - self.average)


class Lazily(nn.Module):
    """Turns its weight around once, and keeps that."""

    def __init__(self) -> None:
        super().__init__()
        self.writer, self.reader = nn.Linear(3, 6), nn.Linear(6, 2)
        self.turned: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.turned is None:
            self.turned = self.reader.weight.t().contiguous()
        return self.writer(x) @ self.turned


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.ParameterList([torch.randn(6, 3), torch.randn(6)])
        self.columns = nn.ParameterDict({"out": torch.randn(2, 6)})
        self.writer = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.writer(x @ self.rows[0].T + self.rows[1]).tanh() @ self.columns["out"].T


class Words(nn.Module):
    def __init__(self, writer: nn.Module) -> None:
        super().__init__()
        self.writer, self.reader = writer, nn.Linear(6, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.reader(self.writer(words).tanh())


class Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.writer = nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular")
        self.reader = nn.Linear(6 * 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(functional.unfold(self.writer(x), 2).transpose(1, 2))


def scattered() -> nn.Module:
    """Parameters that are views of one storage, and lie in it with gaps."""
    model = Net(lambda _, y: y.tanh())
    base = torch.randn(12, 6)
    model.writer.weight = nn.Parameter(base[::2, :3])
    model.reader.weight = nn.Parameter(base.t()[:2, 6:])
    return model


def hooked() -> nn.Module:
    model = Net(lambda self, y: self.relu(y), relu=nn.ReLU())
    model.get_submodule("relu").register_forward_hook(lambda _m, _i, y: 2 * y.flip(-1))
    model.reader.register_forward_pre_hook(lambda _m, given: (given[0] + given[0].flip(-1),))
    return model


def called_by_functions(self: Any, y: Tensor) -> Tensor:
    weights = {"weight": 2 * self.inner.weight, "bias": self.inner.bias}
    return torch.func.functional_call(self.inner, weights, (y,))


def by_rows(_: Net, y: Tensor) -> Tensor:
    """Rows that a mask takes, and rows that it leaves."""
    mask = torch.arange(len(y)) % 2 == 0
    result = torch.zeros_like(y)
    result[mask] = y[mask].relu()
    result[~mask] = -y[~mask]
    return result


WRITER = [out("writer")]
EXACT: dict[str, tuple[Callable[[], nn.Module], Any, list[Any]]] = {
    "features in a tuple": (lambda: Taking(tuple), floats(4, 3), [out("writer.linear")]),
    "features in a dict": (lambda: Taking(dict), floats(4, 3), [out("writer.linear")]),
    "one block in a loop": (Looped, floats(4, 3), [*WRITER, out("block")]),
    "a memory and an average": (Remembering, floats(4, 3), WRITER),
    "a weight that is kept turned": (Lazily, floats(4, 3), WRITER),
    "parameters in a list and a dict": (Listed, floats(4, 3), WRITER),
    "weights with gaps in one storage": (scattered, floats(4, 3), WRITER),
    "hooks that turn the features around": (hooked, floats(4, 3), WRITER),
    "a bag of words": (lambda: Words(nn.EmbeddingBag(24, 6, mode="max")), tokens(), WRITER),
    "patches of an image that is a torus": (Patches, floats(2, 3, 5, 5), [out("writer", axis=1)]),
    "rows taken by a mask": (lambda: Net(by_rows), floats(5, 3), WRITER),
    "a mask over features": (lambda: Net(lambda _, y: y * (y.abs().mean(0) > 0.3)), floats(4, 3), WRITER),
    "a choice by features": (lambda: Net(lambda _, y: torch.where(y > 0.2, y, -y)), floats(4, 3), WRITER),
    "a function of autograd": (lambda: Net(lambda _, y: Doubled.apply(y)), floats(4, 3), WRITER),
    "a call with other weights": (
        lambda: Net(called_by_functions, inner=nn.Linear(6, 6)), floats(4, 3), WRITER
    ),
    "a checkpoint": (
        lambda: Net(lambda self, y: y + checkpoint(self.inner, y, use_reentrant=False), inner=nn.Linear(6, 6)),
        floats(4, 3), [*WRITER, out("inner")],
    ),
    "weights behind autograd's back": (
        lambda: Net(lambda self, y: y.data + self.reader.weight.data.sum(0) * y.detach()), floats(4, 3),
        WRITER,
    ),
    "one tensor three times in an einsum": (
        lambda: Net(lambda _, y: torch.einsum("ba,bc,bc->ba", y, y, y)), floats(4, 3), WRITER
    ),
    "a maximum and a running sum of rows": (
        lambda: Net(lambda _, y: y.max(0).values + y.cumsum(0)), floats(4, 3), WRITER
    ),
    "a loop over features": (
        lambda: Net(lambda _, y: torch.stack([row * 2 for row in y])), floats(4, 3), WRITER
    ),
}  # fmt: skip


def run(model: nn.Module, x: tuple[Tensor, ...]) -> list[Tensor]:
    """What a copy of a model gives: some remember what they saw."""
    with torch.no_grad():
        return tensors(copied(model).eval()(*x))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXACT)
def test_an_edit_is_the_forward_pass_with_zeros(name: str, mode: Any):
    build, inputs, places = EXACT[name]
    torch.manual_seed(0)
    model = build()
    edited = plan(model, "writer", DIMS, mode, inputs(0)).apply(model)
    x = inputs(1)
    with torch.no_grad():
        reference = tensors(zeroed(*places)(copied(model).eval(), DIMS, x))
    for got, wanted, before in zip(run(edited, x), reference, run(model, x), strict=True):
        assert torch.allclose(got, wanted, atol=1e-5)
        assert not torch.allclose(got, before, atol=1e-3)


def written_through_a_view(_: Net, y: Tensor) -> Tensor:
    kept = y.clone()
    kept.view(-1, 2, 3)[:, 0].mul_(2)
    return kept


def written_in_chunks(_: Net, y: Tensor) -> Tensor:
    kept = y.clone()
    first, second = kept.chunk(2, -1)
    first.relu_()
    second.add_(1)
    return kept


def written_through_detach(_: Net, y: Tensor) -> Tensor:
    kept = y.clone()
    kept.detach().mul_(2)
    return kept


REFUSED: dict[str, tuple[Callable[[], nn.Module], Any, type[SurgeryError]]] = {
    "a write through a view": (lambda: Net(written_through_a_view), floats(4, 3), InexactEditError),
    "writes into chunks": (lambda: Net(written_in_chunks), floats(4, 3), InexactEditError),
    "a write behind detach": (lambda: Net(written_through_detach), floats(4, 3), InexactEditError),
    "rows of an embedding that are shortened": (
        lambda: Words(nn.Embedding(24, 6, max_norm=1.0)), tokens(), InexactEditError
    ),
    "a way through NumPy": (
        lambda: Net(lambda _, y: torch.from_numpy(y.detach().numpy() * 2)), floats(4, 3), UnfollowableError
    ),
    "a function that is mapped": (
        lambda: Net(lambda _, y: torch.vmap(lambda row: row * 2)(y)), floats(4, 3), UnfollowableError
    ),
    "an order that features decide": (
        lambda: Net(lambda _, y: y[:, y.var(0).argsort()]), floats(4, 3), UnfollowableError
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_seen_or_not_known_is_refused(name: str, mode: Any):
    build, inputs, error = REFUSED[name]
    torch.manual_seed(0)
    with pytest.raises(error):
        plan(build(), "writer", DIMS, mode, inputs(0))


class Turning(nn.Module):
    """Features i and i + 3 are turned into each other, before weights read them."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.writer, self.reader = nn.Linear(3, 6), nn.Linear(6, 2)
        self.register_buffer("table", torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.writer(x)
        first, second = y.chunk(2, dim=-1)
        return self.reader(y * self.table.cos() + torch.cat([-second, first], dim=-1) * self.table.sin())


@pytest.mark.parametrize("mode", MODES)
def test_features_that_a_table_turns_into_each_other_go_together_or_not_at_all(mode: Any):
    torch.manual_seed(0)
    model, inputs = Turning(), floats(4, 3)
    with pytest.raises(DimsError, match=r"dims \[1\] of 'writer' go together with 4"):
        plan(model, "writer", [1], mode, inputs(0))
    edited, x = plan(model, "writer", DIMS, mode, inputs(0)).apply(model), inputs(1)
    assert torch.allclose(edited(*x), zeroed(out("writer"))(model, DIMS, x), atol=1e-6)


def test_a_model_in_half_precision_is_cut_within_its_digits():
    torch.manual_seed(0)
    model = Net(lambda _, y: functional.gelu(y)).bfloat16()
    x = tuple(one.bfloat16() for one in floats(4, 3)(1))
    for mode in MODES:
        edited = plan(model, "writer", DIMS, mode, x).apply(model)
        assert edited.reader.weight.dtype is torch.bfloat16
        assert torch.allclose(edited(*x), zeroed(out("writer"))(model, DIMS, x), atol=2e-2)


class Wrong(nn.Module):
    """Computes with the width of a layer, which pruning changes; the output is small."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Any:
        h = self.a(x)
        return self.b(h) / h.shape[-1] * 1e-5


class InADataclass(Wrong):
    def forward(self, x: Tensor) -> Any:
        return Returned(self.a(x).relu())


class OnItself(Wrong):
    def forward(self, x: Tensor) -> Any:
        self.kept = self.b(self.a(x))
        return {"kept": True}


@dataclasses.dataclass
class Returned:
    hidden: Tensor


@pytest.mark.parametrize(
    ("build", "error"),
    [(Wrong, InexactEditError), (InADataclass, UnfollowableError), (OnItself, SurgeryError)],
)
def test_small_or_hidden_outputs_do_not_hide_a_wrong_edit(build: type[nn.Module], error: type[Exception]):
    torch.manual_seed(0)
    with pytest.raises(error):
        plan(build(), "a", [1, 4], "prune", torch.randn(4, 3))


def test_a_module_that_runs_in_training_only_is_told_to_keep_what_it_has():
    class Auxiliary(Wrong):
        def __init__(self):
            super().__init__()
            self.aux = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Any:
            h = self.a(x)
            return self.b(h) + self.aux(h) if self.training else self.b(h)

    notes = plan(Auxiliary(), "a", [1], "prune", torch.ones(2, 3)).report.notes
    assert any("'aux'" in note for note in notes)


def test_a_loop_over_time_is_followed_in_time():
    class Scan(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.a = nn.Linear(3, 6), nn.Linear(6, 24)
            self.c, self.out = nn.Linear(6, 4), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.read(x)
            decay, c = self.a(y).unflatten(-1, (6, 4)).sigmoid(), self.c(y)
            state, states = torch.zeros(len(x), 6, 4), []
            for i in range(x.shape[1]):
                state = decay[:, i] * state + y[:, i, :, None]
                states.append((state * c[:, i, None]).sum(-1))
            return self.out(torch.stack(states, 1))

    torch.manual_seed(0)
    began = time.perf_counter()
    plan(Scan(), "read", [1, 3], "ablate", torch.randn(2, 10, 3))
    assert time.perf_counter() - began < 10


def test_noise_on_features_goes_with_them_and_cannot_be_drawn_alike_when_they_are_fewer():
    torch.manual_seed(0)
    model, x = Net(lambda _, y: y + torch.randn_like(y)), floats(4, 3)(0)[0]
    assert plan(model, "writer", DIMS, "ablate", x).report.checked < 1e-6
    with pytest.raises(InexactEditError):
        plan(model, "writer", DIMS, "prune", x)
