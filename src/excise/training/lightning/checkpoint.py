"""What of an anchoring goes into a checkpoint, and whether a checkpoint fits the training that is to go on from it.

Everything is plain data and tensors, so that `torch.load(..., weights_only=True)` reads it too.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from excise.anchoring import Anchoring
from excise.schedule import Timeline
from excise.schedule.timeline import Phase, restored_timeline
from excise.schedule.track import Move, Track

__all__ = ["anchoring_state", "differences", "random_state", "restore_random_state", "timeline_of"]


def anchoring_state(anchoring: Anchoring) -> dict[str, Any]:
    """The terms in words, and the whole timeline; None where the anchoring has no schedule."""
    terms = {
        term.name: {
            "regularizer": _described(term.regularizer),
            "layer": term.layer,
            "affinities": {label: float(strength) for label, strength in term.affinities.items()},
        }
        for term in anchoring.terms
    }
    return {"terms": terms, "timeline": None if anchoring.timeline is None else _state(anchoring.timeline)}


def _described(regularizer: object) -> str:
    """A regularizer in words that are the same in another process; a function is told by its name alone."""
    text = repr(regularizer)
    return getattr(regularizer, "__qualname__", type(regularizer).__name__) if " at 0x" in text else text


def _state(timeline: Timeline) -> dict[str, Any]:
    return {
        "num_steps": timeline.num_steps,
        "table": {name: torch.from_numpy(column.copy()) for name, column in timeline.table.items()},
        "phases": [asdict(phase) for phase in timeline.phases],
        "actions": {step: list(actions) for step, actions in timeline.actions.items()},
        "tracks": {name: asdict(track) for name, track in timeline.tracks.items()},
    }


def timeline_of(state: Mapping[str, Any]) -> Timeline | None:
    """The timeline that a checkpoint holds, to the bit, ways that were changed in training included."""
    held = state["timeline"]
    if held is None:
        return None
    return restored_timeline(
        table={name: column.numpy().copy() for name, column in held["table"].items()},
        num_steps=held["num_steps"],
        phases=tuple(Phase(**phase) for phase in held["phases"]),
        actions={step: tuple(actions) for step, actions in held["actions"].items()},
        tracks={
            name: Track(tuple(Move(**move) for move in way["moves"]), way["space"], way["interpolation"])
            for name, way in held["tracks"].items()
        },
    )


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two anchorings differ, each as the part of a sentence; empty when training goes on as it began."""
    found = [f"the term {name!r} is new" for name in now["terms"] if name not in saved["terms"]]
    found += [f"the term {name!r} is gone" for name in saved["terms"] if name not in now["terms"]]
    for name in now["terms"]:
        before, after = saved["terms"].get(name, now["terms"][name]), now["terms"][name]
        found += [
            f"the {part} of {name!r} was {before[part]} and is {after[part]}"
            for part in after
            if before[part] != after[part]
        ]
    if (saved["timeline"] is None) != (now["timeline"] is None):
        found.append(f"the schedule is {'new' if saved['timeline'] is None else 'gone'}")
    elif now["timeline"] is not None:
        found += _differences_in_time(saved["timeline"], now["timeline"])
    return found


def _differences_in_time(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = [f"the column {name!r} is new" for name in now["table"] if name not in saved["table"]]
    found += [f"the column {name!r} is gone" for name in saved["table"] if name not in now["table"]]
    if saved["num_steps"] != now["num_steps"]:
        found.append(f"the schedule had {saved['num_steps']} steps and has {now['num_steps']}")
    common = min(saved["num_steps"], now["num_steps"])
    for name in now["table"]:
        if name not in saved["table"]:
            continue
        before, after = saved["table"][name][:common], now["table"][name][:common]
        differs = (before != after).nonzero()
        if len(differs):
            step = int(differs[0])
            found.append(
                f"{name!r} differs from step {step} on: {before[step].item():g} there, {after[step].item():g} here"
            )
    return found


def random_state() -> dict[str, Any]:
    """The state of every global generator that a model may draw from."""
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - models may draw from it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put the global generators into a state that `random_state` gave."""
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 - as above
