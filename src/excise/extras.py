"""What is installed only when asked for: the extras, their packages, and the error that names the command for each.

The core needs none of them; what does imports its package through `require`, at the moment it is used.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from excise.errors import MissingExtraError

__all__ = ["EXTRAS", "Extra", "installed_version", "require", "require_installed"]


@dataclass(frozen=True)
class Extra:
    """One extra.

    Attributes:
        packages: the distributions that it installs, those that are imported first.
        adds: what a user can do with it.
    """

    packages: tuple[str, ...]
    adds: str


EXTRAS = {
    "lightning": Extra(("pytorch-lightning",), "training in Lightning"),
    "hf": Extra(("transformers", "accelerate"), "surgery on pretrained models, training in their loops"),
    "wandb": Extra(("wandb",), "tracking with Weights & Biases"),
    "tensorboard": Extra(("tensorboardX",), "tracking with TensorBoard"),
    "mlflow": Extra(("mlflow-skinny", "alembic", "sqlalchemy", "sqlparse"), "tracking with MLflow"),
    "ray": Extra(("ray",), "sweeps on a Ray cluster"),
    "slurm": Extra(("submitit",), "sweeps as Slurm jobs"),
    "modal": Extra(("modal",), "sweeps on Modal"),
    "onnx": Extra(("onnx", "onnxscript", "onnxruntime"), "export to ONNX"),
    "hub": Extra(("huggingface_hub",), "upload of an export"),
    "notebooks": Extra(("marimo", "nbformat"), "the notebooks"),
    "bench": Extra(("torch-pruning",), "benchmarks beside rivals"),
}
"""Every extra of pyproject.toml that adds something for users, in the order that `excise doctor` lists them."""

_MODULES = {
    "pytorch-lightning": "pytorch_lightning",
    "mlflow-skinny": "mlflow",
    "torch-pruning": "torch_pruning",
}
"""What a distribution is imported as, where that is another name."""


def require(package: str, purpose: str) -> ModuleType:
    """The module of a package that an extra installs.

    Args:
        package: the distribution's name, as in `EXTRAS`.
        purpose: what needs it, as the start of a sentence ("training with Lightning").

    Raises:
        MissingExtraError: it is not installed; the message names the command that installs it.
    """
    module = _MODULES.get(package, package)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or (module != error.name and not module.startswith(f"{error.name}.")):
            raise  # The package is there, something that it needs is not.
        raise _missing(package, purpose) from None


def require_installed(package: str, purpose: str) -> None:
    """Find out whether `require` would find the package, without the time that its import takes.

    Raises:
        MissingExtraError: it is not installed; the message names the command that installs it.
    """
    if importlib.util.find_spec(_MODULES.get(package, package)) is None:
        raise _missing(package, purpose)


def _missing(package: str, purpose: str) -> MissingExtraError:
    extra = next(name for name, extra in EXTRAS.items() if package in extra.packages)
    return MissingExtraError(package, extra, purpose)


def installed_version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
