"""Wrong use of the surgery room, case by case: each function here raises one error that a user may meet."""

import inspect
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from excise.surgery import ablate, load, plan, plan_subspace, prune, rule, save
from excise.surgery.examples import examples_for

from .wrong_models import (
    Ambiguous,
    Attention,
    Between,
    Branching,
    Conv,
    Experts,
    Fused,
    Gain,
    Lonely,
    Made,
    Mixed,
    Noted,
    Onward,
    Pair,
    Rotary,
    Single,
    Tied,
    Twice,
    TwoSizes,
    between,
    rows,
    seeded,
    sequence,
)

__all__ = ["CASES"]

CASES: dict[str, Callable[[Path], Any]] = {}
"""By what is wrong: what raises, given an empty folder."""

unchecked_plan: Any = inspect.unwrap(plan)
unchecked_subspace: Any = inspect.unwrap(plan_subspace)


def wrong(name: str) -> Callable[[Callable[[Path], Any]], None]:
    def note(function: Callable[[Path], Any]) -> None:
        assert name not in CASES
        CASES[name] = function

    return note


def case(name: str, function: Callable[..., Any], *given: Any, **keywords: Any) -> None:
    """A call; arguments that are classes and functions are called first, as models are built when the case is run."""
    assert name not in CASES

    def raises(_folder: Path) -> None:
        made = (seeded(one) if inspect.isfunction(one) or inspect.isclass(one) else one for one in given)
        function(*made, **keywords)

    CASES[name] = raises


# What is asked for.
case("no model", unchecked_plan, lambda: nn.Linear, "writer", [0])
case("no name of a layer", unchecked_plan, between, 3, [0])
case("no mode", unchecked_plan, between, "writer", [0], "zero")
case("unknown layer", plan, between, "writre", [0])
case("unknown layer in a model without layers", plan, lambda: nn.Linear(3, 4), "writer", [0])
case("name of the model itself", plan, between, "", [0])
case("unknown operation", plan, lambda: between(nn.GELU()), "middle:gleu", [0])
case("unknown operation of a module that is not there", plan, lambda: between(nn.GELU()), "reade:linear", [0])
case("operation of a number that is not there", plan, Ambiguous, ":gelu:5", [0], "prune", rows())
case("operation of which there are several", plan, Ambiguous, ":gelu", [0], "prune", rows())
case("axis outside", plan, between, "writer", [0], axis=2)
case("place of a single number", plan, Single, "total", [0], "ablate", rows())
case("place of two widths", plan, lambda: Twice((6, 5)), "middle", [0], "prune", rows())
case("strength of zero", plan, between, "writer", [0], "ablate", strength=0.0)
case("strength of more than one", plan, between, "writer", [0], "ablate", strength=1.5)
case("part of a pruning", plan, between, "writer", [0], "prune", strength=0.5)
case("dims out of range", plan, between, "writer", [0, 6])
case("dims counted from the end", plan, between, "writer", [-1])
case("dims repeated", plan, between, "writer", [2, 1, 2])
case("no dims", plan, between, "writer", [])
case("all dims", plan, between, "writer", range(6))
case("dims as a mask", plan, between, "writer", torch.tensor([True, False, False, True, True, False]))
case("dims as numbers with a point", unchecked_plan, between, "writer", [0.5])
case("a dim without a list", unchecked_plan, between, "writer", 2)
case("rule without a name", rule)
case("rule that there is", rule, "linear", "add")
case("rule without brackets", inspect.unwrap(rule), lambda: print)

# What the model is called with.
case("example inputs of the wrong width", plan, between, "writer", [0], "prune", torch.ones(2, 5))
case("example inputs of the wrong kind", inspect.unwrap(examples_for), between, "example.npy")
case(
    "example inputs of whole numbers",
    plan,
    between,
    "writer",
    [0],
    "prune",
    torch.ones(2, 3, dtype=torch.int64),
)
case("too many example inputs", plan, between, "writer", [0], "prune", (rows(), rows()))
case("example inputs of another name", plan, between, "writer", [0], "prune", {"tokens": rows()})
case("no guess that runs", plan, Pair, "writer", [0])


# Models in a form that cannot be edited.
@wrong("compiled model")
def _(_folder: Path) -> None:
    compiled: Any = torch.compile(between(), backend="eager")
    prune(compiled, "writer", [0])


@wrong("scripted model")
def _(_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    prune(scripted, "0", [0])


@wrong("scripted part of a model")
def _(_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(nn.ReLU())
    prune(nn.Sequential(nn.Linear(3, 4), scripted, nn.Linear(4, 2)), "0", [0])


@wrong("quantised model")
def _(_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deprecated.*")
        quantised = torch.ao.quantization.quantize_dynamic(between(), {nn.Linear}, dtype=torch.qint8)
        prune(quantised, "writer", [0])


@wrong("sparse weight")
def _(_folder: Path) -> None:
    model = between()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        model.reader.weight = nn.Parameter(model.reader.weight.detach().to_sparse())
        prune(model, "writer", [0])


@wrong("weight without numbers")
def _(_folder: Path) -> None:
    prune(between().to("meta"), "writer", [0])


@wrong("weight without a shape")
def _(_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Lazy modules")
        lazy = nn.Sequential(nn.Linear(3, 4), nn.LazyLinear(2))
    prune(lazy, "0", [0])


@wrong("model that cannot be copied")
def _(folder: Path) -> None:
    model = between()
    with (folder / "log").open("w") as file:
        model.log = file
        prune(model, "writer", [0], rows())


# Ways that features take.
TABLE = torch.arange(6.0)
case("branch on features", plan, Branching, "writer", [0], "prune", rows())
case(
    "features taken into Python",
    plan,
    lambda: between(lambda y: y * y[0].tolist()[0]),
    "writer",
    [0],
    "prune",
    rows(),
)
case("layer that is not reached", plan, Lonely, "lonely", [0], "prune", rows())
case("features that nothing uses", plan, lambda: Lonely(call=True), "lonely", [0], "prune", rows())
case(
    "features that lie in an input",
    plan,
    lambda: nn.Sequential(nn.ReLU(), nn.Linear(3, 2)),
    "0",
    [0],
    "prune",
    rows(),
)
case(
    "features added to an input",
    plan,
    lambda: between(lambda y: y, residual=True),
    "writer",
    [0],
    "prune",
    rows(6),
)
case("features that no weight writes", plan, Made, "noise", [0], "prune", rows())
case("features that leave as outputs", plan, between, "reader", [0], "prune", rows())
case("expert that never ran", plan, Experts, "up", [0], "prune", rows())
case(
    "operation without a rule",
    plan,
    lambda: between(lambda y: torch.fft.fft(y).real),
    "writer",
    [0],
    "prune",
    rows(),
)
case("comparison of features", plan, lambda: between(lambda y: y.cumsum(-1)), "writer", [0], "prune", rows())
case(
    "einsum without a result",
    plan,
    lambda: between(lambda y: torch.einsum("ba,ba", y, y)[None] + y),
    "writer",
    [0],
)
case(
    "einsum with a letter twice",
    plan,
    lambda: between(lambda y: torch.einsum("bb->b", y[:2, :2])[:, None] + y),
    "writer",
    [0],
)
case(
    "einsum with an ellipsis",
    plan,
    lambda: between(lambda y: torch.einsum("...a,...a->...a", y, y)),
    "writer",
    [0],
)
case("tensor that no module holds", plan, lambda: between(lambda y: y * TABLE), "writer", [0])
case("term that no module holds", plan, lambda: between(lambda y: y + TABLE), "writer", [0])
case("mean over features", plan, lambda: between(lambda y: y - y.mean(-1, keepdim=True)), "writer", [0])
case("softmax over features", plan, lambda: between(lambda y: y.softmax(-1)), "writer", [0])
case(
    "norm of order zero",
    plan,
    lambda: between(lambda y: y / (1 + y.norm(0, -1, keepdim=True))),
    "writer",
    [0],
)
case("functional norm", plan, lambda: between(lambda y: nn.functional.layer_norm(y, (6,))), "writer", [0])
case(
    "constant before a norm",
    plan,
    lambda: between(lambda y: nn.functional.normalize(y.sigmoid(), dim=-1)),
    "writer",
    [0],
    "ablate",
)
case("packed sequences", plan, lambda: Mixed("packed"), "rnn", [0], "prune", sequence())
case("features along a sequence", plan, lambda: Conv(nn.AvgPool2d(2)), "writer", [0], axis=-1)
case(
    "features that a convolution moves over",
    plan,
    lambda: Conv(nn.Conv2d(6, 6, 2, groups=6)),
    "writer",
    [0],
    axis=-1,
)
case("features that no channels hold", plan, lambda: Conv(nn.BatchNorm2d(6)), "writer", [0], axis=-1)
case("features that are moved along their axis", plan, lambda: between(moved), "writer", [0])
case("features inside a stack of an LSTM", plan, lambda: Mixed("inner"), "rnn", [0], "prune", sequence())
case("several layers of one width", plan, lambda: Mixed("stack"), "rnn", [0], "prune", sequence())
case("literal width", plan, lambda: between(lambda y: y.view(-1, 2, 3).flatten(1)), "writer", [0, 3])
case("attribute used for two sizes", plan, TwoSizes, "writer", [0, 3], "prune", rows())

# Dims that have to go in some other way.
case("one dim of one head", plan, Attention, "value", [1], "prune", sequence())
case("heads that share nothing", plan, Attention, "query", [0, 1], "prune", sequence())
case("one half of a rotary pair", plan, Rotary, "query", [0], "prune", sequence())
case("one part of a fused projection", plan, Fused, "qkv", [0], "prune", sequence())
case("part of a group of a norm", plan, lambda: Conv(nn.GroupNorm(3, 6)), "writer", [0], "prune")
case(
    "unequal groups of a convolution",
    plan,
    lambda: Conv(nn.Conv2d(6, 6, 1, groups=2)),
    "middle",
    [0],
    "prune",
)
case(
    "inputs of one group of a convolution",
    plan,
    lambda: Conv(nn.Conv2d(6, 6, 1, groups=2)),
    "writer",
    [0],
    "prune",
)

# Parts and constants.
case("part of a feature behind a nonlinearity", plan, between, "writer", [0], "ablate", strength=0.5)
case("constants of a part", plan, between, "writer", [0], "ablate", strength=0.5, keep_constants=True)
case(
    "constants that no bias takes up",
    plan,
    lambda: between(torch.sigmoid, bias=False),
    "writer",
    [0],
    "ablate",
    rows(),
    keep_constants=True,
)
case(
    "constants that are none",
    plan,
    lambda: between(nn.LayerNorm(6)),
    "writer",
    [0],
    "ablate",
    rows(),
    keep_constants=True,
)
case(
    "constants at the edges of an image",
    plan,
    lambda: Conv(nn.Sigmoid(), padding=1),
    "writer",
    [0],
    "ablate",
    keep_constants=True,
)
case(
    "constants that differ from use to use",
    plan,
    lambda: Twice((6, 6), torch.sigmoid),
    "writer",
    [0],
    "ablate",
    rows(),
    keep_constants=True,
)


# Weights that are computed, and other models.
@wrong("parametrization that cannot give the weight")
def _(_folder: Path) -> None:
    model = between()
    with torch.random.fork_rng(devices=[]):
        parametrizations.spectral_norm(model.writer)
    prune(model, "writer", [0], rows())


@wrong("weight norm of the old kind")
def _(_folder: Path) -> None:
    model = between()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weight_norm.*")
        torch.nn.utils.weight_norm(model.reader)
    prune(model, "writer", [0], rows())


@wrong("edit of a model of another class")
def _(_folder: Path) -> None:
    plan(between(), "writer", [0]).apply(nn.Sequential(nn.Linear(3, 6)))


@wrong("edit of a model of other shapes")
def _(_folder: Path) -> None:
    plan(between(), "writer", [0]).apply(seeded(lambda: Between(torch.relu, 7)))


@wrong("edit of a model that lacks a tensor")
def _(_folder: Path) -> None:
    plan(between(), "writer", [0]).apply(seeded(lambda: Between(torch.relu, write_bias=False)))


@wrong("edit of a model with another number")
def _(_folder: Path) -> None:
    plan(Fused(), "qkv", [0, 1, 4, 5, 8, 9], "prune", sequence()).apply(Fused(heads=1))


@wrong("edit of a model with another norm")
def _(_folder: Path) -> None:
    plan(between(nn.LayerNorm(6)), "writer", [0]).apply(between(Between(torch.relu).writer))


# Directions.
case("basis of another width", plan_subspace, between, "writer", torch.ones(5))
case("basis of zeros", plan_subspace, between, "writer", torch.zeros(6))
case("basis of vectors that depend on each other", plan_subspace, between, "writer", torch.ones(2, 6))
case("basis of too many vectors", plan_subspace, between, "writer", torch.eye(6))
case("basis of whole numbers", plan_subspace, between, "writer", torch.ones(6, dtype=torch.int64))
case("basis that is not finite", plan_subspace, between, "writer", torch.full((6,), float("nan")))
case("direction of no mode", unchecked_subspace, between, "writer", torch.ones(6), "zero")
case("direction before a nonlinearity", plan_subspace, between, "writer", torch.ones(6))
case(
    "direction before a LayerNorm",
    plan_subspace,
    lambda: between(nn.LayerNorm(6)),
    "writer",
    torch.ones(6),
    "prune",
)
case(
    "part of a direction before a norm",
    plan_subspace,
    lambda: between(nn.RMSNorm(6)),
    "writer",
    torch.ones(6),
    strength=0.5,
)
case(
    "direction behind which a tied weight reads a gain",
    plan_subspace,
    Tied,
    "embed",
    torch.ones(6),
    "prune",
    torch.arange(4)[None],
)
case("direction across heads", plan_subspace, Attention, "query", torch.ones(6), "ablate", sequence())
case(
    "direction behind a gain of zeros",
    plan_subspace,
    lambda: between(Gain()),
    "writer",
    torch.ones(6),
    "ablate",
    rows(),
)
case("direction that a norm gives on", plan_subspace, Onward, "writer", torch.ones(6), "prune", rows())


def moved(y: Tensor) -> Tensor:
    return y.index_add(1, torch.tensor([0]), y[:, :1])


@wrong("projections of an LSTM")
def _(_folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections")
        prune(Mixed("projected"), "rnn", [0], sequence())


# Folders.
def kept(folder: Path, change: Callable[[dict[str, Any]], Any] = lambda _plan: None) -> Path:
    """A saved cut whose plan was changed."""
    save(prune(between(), "writer", [0], rows()), folder / "cut")
    path = folder / "cut" / "plan.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(change(found) or found))
    return folder / "cut"


@wrong("save of a model that no edit made")
def _(folder: Path) -> None:
    save(between(), folder)


@wrong("save in the place of a file")
def _(folder: Path) -> None:
    (folder / "cut").write_text("")
    save(prune(between(), "writer", [0]), folder / "cut")


@wrong("save of a state that is no tensor")
def _(folder: Path) -> None:
    save(prune(seeded(Noted), "writer", [0]), folder)


@wrong("load of a folder without a plan")
def _(folder: Path) -> None:
    load(between(), folder)


@wrong("load of a plan of another format")
def _(folder: Path) -> None:
    load(between(), kept(folder, lambda found: found | {"format": 7}))


@wrong("load of a plan that is no object")
def _(folder: Path) -> None:
    load(between(), kept(folder, lambda found: [found]))


@wrong("load of a damaged plan")
def _(folder: Path) -> None:
    load(between(), kept(folder, lambda found: found["edits"][0].pop("layer") and None))


@wrong("load of a plan that was changed by hand")
def _(folder: Path) -> None:
    load(between(), kept(folder, lambda found: found["edits"][0]["rewrite"]["shrinks"][0]["kept"].append(99)))


@wrong("load without the weights")
def _(folder: Path) -> None:
    cut = kept(folder)
    (cut / "model.safetensors").unlink()
    load(between(), cut)


@wrong("load of damaged weights")
def _(folder: Path) -> None:
    cut = kept(folder)
    (cut / "model.safetensors").write_text("no weights")
    load(between(), cut)


@wrong("load into an edited model")
def _(folder: Path) -> None:
    load(ablate(between(), "writer", [0]), kept(folder))


@wrong("load into a model without numbers")
def _(folder: Path) -> None:
    load(between().to("meta"), kept(folder))


@wrong("load into a model of another class")
def _(folder: Path) -> None:
    load(nn.Sequential(nn.Linear(3, 6)), kept(folder))


@wrong("load into a model of other shapes")
def _(folder: Path) -> None:
    load(seeded(lambda: Between(torch.relu, 7)), kept(folder))


@wrong("load into a model of other tensors")
def _(folder: Path) -> None:
    load(seeded(lambda: Between(nn.Linear(6, 6))), kept(folder))


@wrong("load into a model of another type")
def _(folder: Path) -> None:
    load(between().half(), kept(folder))


@wrong("config that cannot say what a cut is")
def _(folder: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    tokens = {"input_ids": torch.arange(6)[None]}
    cut = prune(seeded(lambda: GPT2LMHeadModel(config)), "transformer.h.0.mlp.c_fc", [0], tokens)
    cut.save_pretrained(folder)
