"""Uploads an export to the Hugging Face Hub, when asked, with the package that the Hub itself keeps for it."""

from pathlib import Path

from excise.errors import ExportError
from excise.extras import require

__all__ = ["check_upload", "upload"]

PURPOSE = "an upload to the Hugging Face Hub"


def check_upload(repository: str) -> None:
    """Find out, without a word to the network, whether an upload could begin.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ExportError: the name is no "owner/name", or there is no token.
    """
    hub = require("huggingface_hub", PURPOSE)
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except ValueError as error:
        raise ExportError(f"{repository!r} cannot be the name of a repository: {error}") from error
    if repository.count("/") != 1:
        raise ExportError(
            f"a repository on the Hub is named owner/name, such as my-lab/warmth-removed; {repository!r} came."
        )
    if not hub.get_token():
        raise ExportError(
            "there is no token for the Hugging Face Hub, so nothing can be uploaded. Log in with `hf auth login`, or "
            "put a token that may write into the environment variable HF_TOKEN."
        )


def upload(folder: str | Path, repository: str, *, private: bool = False) -> str:
    """Upload an export to a model repository, which is made if need be.

    Args:
        folder: what `export_run` wrote, or any other folder of a model's.
        repository: "owner/name".
        private: whether it is private, if it is made now; one that exists stays as it is.

    Returns:
        The address of the repository.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ExportError: there is no such folder, the name is no "owner/name", there is no token, or the Hub could not be
            reached or refused.
    """
    check_upload(repository)
    folder = Path(folder)
    if not folder.is_dir():
        raise ExportError(f"{folder} is no folder, so there is nothing to upload.")
    hub = require("huggingface_hub", PURPOSE)
    api = hub.HfApi()
    try:
        made = api.create_repo(repository, private=private, repo_type="model", exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="model",
            commit_message="Upload a model exported by excise",
            ignore_patterns=["**/__pycache__/**", "__pycache__/**"],
        )
    # Besides its own errors the package lets those of its network library through, which is another in each version.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(
            f"{folder} could not be uploaded to {repository}: {reason} ({type(error).__name__}). The folder is kept; "
            f"`excise.export.upload({str(folder)!r}, {repository!r})` or the same command tries again."
        ) from error
    return str(made)
