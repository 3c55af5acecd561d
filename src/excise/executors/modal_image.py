"""The image that functions run in on Modal: the versions of this machine, and the source that lies on it."""

from importlib.metadata import distribution
from typing import Any

from excise.executors.freeze import Frozen
from excise.extras import require

__all__ = ["define_image"]

_SOURCE = "/root"
"""Where Modal puts local source, on the path of modules."""


def define_image(frozen: Frozen, index_url: str | None = None) -> Any:  # noqa: ANN401 - a `modal.Image`
    """Say what the image is made of; Modal makes it when it is first needed, and keeps it.

    Args:
        frozen: versions, and names of packages whose source is sent.
        index_url: a further index of packages, as for a build of torch without CUDA.

    Raises:
        MissingExtraError: modal is not installed.
    """
    modal = require("modal", "running functions on Modal")
    image = modal.Image.debian_slim(python_version=frozen.python)
    image = image.uv_pip_install(*frozen.requirements, extra_index_url=index_url)
    if frozen.own:
        image = image.add_local_python_source(*frozen.own, ignore=["**/__pycache__"])
    if "excise" in frozen.own:
        # Source has no version; what a distribution says of itself has, and workers compare it with the caller's.
        excise = distribution("excise")
        for file in excise.files or ():
            if file.name == "METADATA":
                image = image.add_local_file(file.locate(), f"{_SOURCE}/{file.parent.name}/{file.name}")
    return image
