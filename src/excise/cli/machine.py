"""Commands about the machine that excise runs on: doctor, freeze."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg


def doctor() -> None:
    """Say what this machine has, and what is missing."""
    from excise.record.environment import examine
    from excise.report.tables import print_doctor

    print_doctor(examine())


def freeze(
    *,
    extras: Annotated[tuple[str, ...], arg(metavar="NAME")] = (),
    out: Annotated[Path | None, arg(metavar="FILE")] = None,
) -> None:
    """List the exact versions that excise runs with here, so that other machines can be given the same.

    Args:
        extras: list what these extras need, too, such as ray.
        out: write the list to this file, for pip install -r; it is printed if not given.
    """
    from excise.executors.freeze import freeze as list_versions

    text = list_versions(extras).text
    if out is None:
        print(text, end="")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"requirements: {out}")


MACHINE = {"doctor": doctor, "freeze": freeze}
"""Command names and what they call, in the order of the help."""
