"""Commands that hand a run to others: export."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


def export(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    folder: Annotated[Positional[Path], arg(metavar="DIR")],
    *,
    condition: Annotated[str | None, arg(metavar="NAME")] = None,
    onnx: bool = False,
    upload: Annotated[str | None, arg(metavar="OWNER/NAME")] = None,
    private: bool = False,
) -> None:
    """Write a run's models as a folder that loads with torch alone, with a model card.

    Args:
        run: a run directory, such as runs/2.6/<run id>; of a sweep, the seed that it chose.
        folder: where the export goes; a former export there is replaced.
        condition: what model.safetensors holds: pruned, ablated or baseline, as far as the run has them, or "all", for
            the last edit with every other beside it; the last edit of weights if not given.
        onnx: also write each model as ONNX, checked under onnxruntime.
        upload: upload the folder to this repository on the Hugging Face Hub.
        private: a repository that is made for the upload is private.
    """
    from excise.export import export_run

    made = export_run(run, folder, condition=condition, onnx=onnx, repository=upload, private=private)
    print(f"{made.choice}\n")
    for name, file in made.files.items():
        print(f"{file}: {name}")
    for checked in made.onnx.values():
        print(checked)
    for name in made.not_in_weights:
        print(f"not in any file: {name}, an intervention, which edits activations and not weights")
    print(f"\nexport: {made.folder}")
    if made.address is not None:
        print(f"uploaded: {made.address}")


LEAVING = {"export": export}
"""Command names and what they call, in the order of the help."""
