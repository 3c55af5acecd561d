"""Our pruning beside Torch-Pruning's, on the zoo of small models that surgery is tested on, in one run.

Every case of the zoo in which an exact prune exists is one job for both: these features of this place of this model.
What is right is said by a forward pass with the features zeroed, written by hand for each case, by neither tool.

- done: the call ends without an error within ten seconds, and what it made runs on fresh inputs.
- preserved: on fresh inputs no output is more than 1e-5 away from the forward pass written by hand.
- ties kept: of the cases done whose model has tied parameters, those in which the same ones are tied afterwards.
- seconds: the median of the rounds, in turns and in one thread, summed over the cases that both did. Ours has a copy of
  the model and a check of the result in it; Torch-Pruning edits in place and checks nothing.

`torch_pruning_asked.py` says how Torch-Pruning is asked; the best of its tries counts. Where no layer or parameter that
it can prune writes the features, as in a GRU, it is not asked; those cases are named, and count in none of its columns.
It is made for a training that follows, and does not promise to preserve a function.

The targets of size follow, from `surgery_size.py` in a process of its own.

    python benchmarks/surgery.py [--rounds 3] [--verbose]
"""

import argparse
import contextlib
import io
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.surgery.zoo import CASES, Case, tensors
from torch_pruning_asked import Job, Request, job_of, set_numbers, torch_pruned

from excise.surgery import prune

TOOLS = ("excise", "Torch-Pruning")
TOLERANCE = 1e-5
PATIENCE = 10
"""Seconds after which a tool is stopped."""


@dataclass
class Outcome:
    """What a tool made of a case; `reason` says why it is not right, `aided` that attributes were set for it."""

    done: bool = False
    preserved: bool = False
    tied: bool | None = None
    aided: bool = False
    reason: str = ""
    seconds: list[float] = field(default_factory=list)

    @property
    def rank(self) -> tuple[bool, bool]:
        """What the better of two tries has more of."""
        return self.preserved, self.done


def both(job: Job, rounds: int) -> dict[str, Outcome]:
    """What the tools make of a job, in turns."""
    case = job.case
    calls: dict[str, Callable[[nn.Module], nn.Module]] = {
        "excise": lambda model: prune(model, case.layer, case.dims, case.example())
    }
    outcomes = {"excise": attempt(job, calls["excise"], ours=True)}
    for request in job.requests:

        def ask(model: nn.Module, request: Request = request) -> nn.Module:
            return torch_pruned(model, case.example(), request, job.raw)

        outcome, before = attempt(job, ask, ours=False), outcomes.get("Torch-Pruning")
        if before is None or outcome.rank > before.rank:
            outcomes["Torch-Pruning"], calls["Torch-Pruning"] = outcome, ask
        if outcome.preserved:
            break
    for _ in range(rounds - 1):
        for tool, outcome in outcomes.items():
            if outcome.done:
                outcome.seconds.append(timed(calls[tool], case.model())[1])
    return outcomes


def attempt(job: Job, call: Callable[[nn.Module], nn.Module], *, ours: bool) -> Outcome:
    """Let a tool do a job once, and judge what it made."""
    model = job.case.model()
    tied = ties(model)
    try:
        pruned, seconds = timed(call, model)
    except Exception as error:  # whatever a tool raises is its answer
        return Outcome(reason=in_short(error))
    outcome = judged(job.case, pruned)
    if not ours and not outcome.preserved:
        set_numbers(pruned, job)
        aided = judged(job.case, pruned)
        aided.aided = True
        outcome = max(outcome, aided, key=lambda each: each.rank)
    outcome.tied = ties(pruned) == tied if tied and outcome.done else None
    outcome.seconds.append(seconds)
    return outcome


def judged(case: Case, pruned: nn.Module) -> Outcome:
    """A pruned model beside the forward pass written by hand, on two fresh inputs."""
    worst = 0.0
    for seed in (1, 2):
        x = case.inputs(seed)
        expected = run(case.reference, case.model(), case.dims, x)
        try:
            got = run(pruned, *x)
        except Exception as error:  # a model may fail in any way
            return Outcome(reason=f"the pruned model fails: {in_short(error)}")
        if [one.shape for one in got] != [other.shape for other in expected]:
            return Outcome(done=True, reason="the outputs have other shapes")
        apart = [(one - other).abs().max().item() for one, other in zip(got, expected, strict=True)]
        worst = max(worst, *apart)
    right = worst <= TOLERANCE
    return Outcome(done=True, preserved=right, reason="" if right else f"the outputs differ by {worst:.1g}")


def timed(call: Callable[[nn.Module], nn.Module], model: nn.Module) -> tuple[nn.Module, float]:
    """What a call makes of a model, and its seconds; an error where it takes too long."""
    with contextlib.redirect_stdout(io.StringIO()), stopped_after(PATIENCE):
        began = time.perf_counter()
        pruned = call(model)
        return pruned, time.perf_counter() - began


@contextlib.contextmanager
def stopped_after(seconds: int) -> Iterator[None]:
    """Ends what takes too long by an error."""

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(function: Callable[..., Any], *given: Any) -> list[Tensor]:  # noqa: ANN401 - whatever a model takes
    """The floating-point outputs."""
    with torch.no_grad():
        return tensors(function(*given))


def ties(model: nn.Module) -> set[frozenset[str]]:
    """The names of parameters that are one and the same."""
    names: dict[int, set[str]] = defaultdict(set)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].add(name)
    return {frozenset(together) for together in names.values() if len(together) > 1}


def in_short(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:80]}{'...' if len(text) > 80 else ''}"


def summarise(results: dict[str, dict[str, Outcome]]) -> None:
    """Print the table, and the cases in which a tool is not right."""
    print(f"{len(results)} cases of the zoo have an exact prune\n")
    print(f"{'':14} {'asked':>5} {'done':>5} {'preserved':>9} {'ties kept':>9} {'seconds':>8}")
    shared = [each for each in results.values() if all(tool in each and each[tool].done for tool in TOOLS)]
    for tool in TOOLS:
        given = [each[tool] for each in results.values() if tool in each]
        tied = [outcome.tied for outcome in given if outcome.tied is not None]
        done, preserved = (sum(getattr(each, what) for each in given) for what in ("done", "preserved"))
        seconds = sum(statistics.median(each[tool].seconds) for each in shared)
        kept = f"{sum(tied)} of {len(tied)}"
        print(f"{tool:14} {len(given):5} {done:5} {preserved:9} {kept:>9} {seconds:8.2f}")
    aided = [each["Torch-Pruning"] for each in results.values() if "Torch-Pruning" in each]
    aided = [outcome for outcome in aided if outcome.aided]
    print(f"\nseconds are those of the {len(shared)} cases that both did")
    print(
        f"attributes of modules had to be set for Torch-Pruning in {len(aided)} of those that it did, "
        f"{sum(outcome.preserved for outcome in aided)} of them preserved"
    )
    print(
        f"Torch-Pruning was not asked: {', '.join(name for name, each in results.items() if len(each) == 1)}"
    )
    print("\nnot right:")
    for name, each in results.items():
        for tool, outcome in each.items():
            untied = "what was tied is not any more" if outcome.tied is False else ""
            reasons = "; ".join(filter(None, (outcome.reason, untied)))
            if reasons:
                print(f"  {name}: {tool}: {reasons}")


def main() -> None:
    """Compare on the zoo, then measure the sizes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--verbose", action="store_true", help="a line for each case as it is done")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    results: dict[str, dict[str, Outcome]] = {}
    for case in CASES:
        if not isinstance(case.prune, str):
            continue
        results[case.name] = both(job_of(case), arguments.rounds)
        if arguments.verbose:
            for tool, each in results[case.name].items():
                took = f"{1000 * statistics.median(each.seconds):.1f} ms" if each.seconds else "-"
                aided = " (attributes set)" if each.aided else ""
                print(f"{case.name:44} {tool:14} {took:>9}  {each.reason or 'preserved'}{aided}", flush=True)
    summarise(results)
    print("\nAnd the sizes that are targets:", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name("surgery_size.py"))], check=False)


if __name__ == "__main__":
    main()
