"""Commands that edit a model of the user's own: prune, ablate, trace."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


def prune(
    build: Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")],
    *,
    layer: str,
    dims: Annotated[list[int], arg(metavar="N [N ...]")],
    weights: Annotated[Path | None, arg(metavar="FILE")] = None,
    example: Annotated[Path | None, arg(metavar="FILE")] = None,
    out: Path = Path("cut"),
    axis: Annotated[int | None, arg(metavar="N")] = None,
    may_change_output: bool = False,
    dry_run: bool = False,
) -> None:
    """Remove features of a layer from a model of your own: what writes them and what reads them.

    Args:
        build: a function without arguments that gives the model, such as toy.models:build; the current directory is
            searched too.
        layer: the module whose output holds the features, such as encoder.4; or "path:operation".
        dims: the features to remove, counted from 0.
        weights: a safetensors file, or the folder of a former cut; if not given, the weights are those that the
            function gives.
        example: what the model is called with: .npy for one argument, .npz or .safetensors for arguments by name;
            guessed if not given.
        out: where model.safetensors and plan.json are written.
        axis: where the features lie in the layer's output; the channels behind a convolution, else the last one.
        may_change_output: allow that features leave the model as outputs, which then get narrower.
        dry_run: show the report and write nothing.
    """
    from excise.surgery.jobs import cut_model

    edit = cut_model(
        build, layer, dims, "prune", weights=weights, example=example, out=None if dry_run else out, axis=axis,
        may_change_output=may_change_output,
    )  # fmt: skip
    print(edit.report)
    _say_where(None if dry_run else out)


def ablate(
    build: Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")],
    *,
    layer: str,
    dims: Annotated[list[int], arg(metavar="N [N ...]")],
    weights: Annotated[Path | None, arg(metavar="FILE")] = None,
    example: Annotated[Path | None, arg(metavar="FILE")] = None,
    out: Path = Path("cut"),
    axis: Annotated[int | None, arg(metavar="N")] = None,
    strength: float = 1.0,
    dry_run: bool = False,
) -> None:
    """Zero the weights that write or read features of a layer, in a model of your own; shapes stay.

    Args:
        build: a function without arguments that gives the model, such as toy.models:build; the current directory is
            searched too.
        layer: the module whose output holds the features, such as encoder.4; or "path:operation".
        dims: the features to remove, counted from 0.
        weights: a safetensors file, or the folder of a former cut; if not given, the weights are those that the
            function gives.
        example: what the model is called with: .npy for one argument, .npz or .safetensors for arguments by name;
            guessed if not given.
        out: where model.safetensors and plan.json are written.
        axis: where the features lie in the layer's output; the channels behind a convolution, else the last one.
        strength: the share of the features that is taken away, above 0 and at most 1.
        dry_run: show the report and write nothing.
    """
    from excise.surgery.jobs import cut_model

    edit = cut_model(
        build, layer, dims, "ablate", weights=weights, example=example, out=None if dry_run else out, axis=axis,
        strength=strength,
    )  # fmt: skip
    print(edit.report)
    _say_where(None if dry_run else out)


def trace(
    build: Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")],
    *,
    layer: str,
    weights: Annotated[Path | None, arg(metavar="FILE")] = None,
    example: Annotated[Path | None, arg(metavar="FILE")] = None,
    axis: Annotated[int | None, arg(metavar="N")] = None,
) -> None:
    """Show who writes, who carries and who reads the features of a layer, in a model of your own.

    Args:
        build: a function without arguments that gives the model, such as toy.models:build; the current directory is
            searched too.
        layer: the module whose output holds the features, such as encoder.4; or "path:operation".
        weights: a safetensors file, or the folder of a former cut; the data flow seldom depends on weights.
        example: what the model is called with: .npy for one argument, .npz or .safetensors for arguments by name;
            guessed if not given.
        axis: where the features lie in the layer's output; the channels behind a convolution, else the last one.
    """
    from excise.surgery.jobs import trace_model

    print(trace_model(build, layer, weights=weights, example=example, axis=axis))


def _say_where(out: Path | None) -> None:
    if out is None:
        print("\ndry run: nothing was written")
    else:
        print(f"\nwritten: {out / 'model.safetensors'} and {out / 'plan.json'}")


SURGERY = {"prune": prune, "ablate": ablate, "trace": trace}
"""Command names and what they call, in the order of the help."""
