"""Downloads models from the Hugging Face Hub and uploads them, with the package huggingface_hub.

A model is addressed as hf://OWNER/NAME or hf://OWNER/NAME@REVISION, where the revision is a branch,
a tag or a commit. huggingface_hub finds the token, the cache and the server by its own rules, such
as the environment variables HF_TOKEN, HF_HOME and HF_ENDPOINT.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator

from tf_biggan import checks
from tf_biggan.cli.terminal import one_line

SCHEME = "hf://"
FORM = "hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
HOW_TO_LOG_IN = (
    "set HF_TOKEN to a token of https://huggingface.co/settings/tokens, or run hf auth login"
)
_ADDRESS = re.compile(r"hf://(?P<repository>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>\S+))?")
UNAUTHORIZED, FORBIDDEN = 401, 403
# Names of the errors in huggingface_hub.errors, the special ones before the general ones, and what
# they mean for the user.
MEANINGS = {
    "GatedRepoError": "access to it is restricted; ask for access on its page",
    "RepositoryNotFoundError": (
        "there is no such model, or it is private and your token may not read it. Check the name;"
        f" for a private model, {HOW_TO_LOG_IN}"
    ),
    "RevisionNotFoundError": "the model has no such branch, tag or commit",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set; unset it",
    "LocalEntryNotFoundError": "the hub gives no answer, and the cache does not hold the model",
}


@dataclasses.dataclass(frozen=True)
class Address:
    """Address of a model in the Hugging Face Hub.

    Attributes:
      repository: OWNER/NAME.
      revision: Branch, tag or commit, or None for the branch main.
    """

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parses an address of the form hf://OWNER/NAME[@REVISION].

        Raises:
          ValueError: The text has another form.
        """
        match = _ADDRESS.fullmatch(text)
        checks.require(
            match is not None,
            f"a model of the Hugging Face Hub is written {FORM}",
            address=text,
        )
        return cls(match["repository"], match["revision"])

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}{f'@{self.revision}' if self.revision else ''}"


def download(address: Address) -> tuple[str, Address]:
    """Downloads a model, or finds it in the cache if the hub cannot be reached.

    Returns:
      A tuple: the folder of the model's files, and the address with the commit as its revision.

    Raises:
      ValueError: The model cannot be downloaded. The message is one line.
    """
    hub = _huggingface_hub()
    with _explaining(f"Cannot download {address}"):
        folder = hub.snapshot_download(address.repository, revision=address.revision)
    # The cache has one folder for each commit.
    commit = os.path.basename(os.path.normpath(folder))
    return folder, dataclasses.replace(address, revision=commit)


def check_upload(address: Address) -> None:
    """Checks, before long work begins, that this machine has what an upload needs.

    Raises:
      ValueError: The package or a token is missing, or the address has a revision.
    """
    checks.require(
        address.revision is None,
        "an upload goes to the branch main; leave out the revision",
        address=str(address),
    )
    if _huggingface_hub().get_token() is None:
        raise ValueError(
            f"Cannot upload to {address}: there is no token for the Hugging Face Hub;"
            f" {HOW_TO_LOG_IN}. The token must be allowed to write."
        )


def upload(folder: str, address: Address) -> Address:
    """Uploads the files of a folder in one commit. If the model does not exist, it is created.

    A new model is private. Files of an existing model that are not in the folder do not change.

    Returns:
      The address with the new commit as its revision.

    Raises:
      ValueError: The files cannot be uploaded. The message is one line.
    """
    hub = _huggingface_hub()
    with _explaining(f"Cannot upload to {address}"):
        hub.create_repo(address.repository, private=True, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=address.repository,
            folder_path=folder,
            commit_message="Upload a model of tf_biggan",
        )
    return dataclasses.replace(address, revision=commit.oid)


def _huggingface_hub():
    """Returns the module huggingface_hub, whose installation is optional."""
    checks.require_packages(
        "Models of the Hugging Face Hub need the package huggingface_hub. Run pip install"
        " 'tf_biggan[hf]'.",
        "huggingface_hub",
    )
    import huggingface_hub

    return huggingface_hub


@contextlib.contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Turns the errors of huggingface_hub into a ValueError of one line."""
    try:
        yield
    # Besides its own errors, huggingface_hub raises errors of the HTTP library, which differs by
    # version.
    except Exception as error:
        raise ValueError(f"{what}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    from huggingface_hub import errors

    for name, meaning in MEANINGS.items():
        if isinstance(error, getattr(errors, name)):
            cause = error.__cause__
            return meaning if cause is None else f"{meaning} ({one_line(str(cause))})"
    status = getattr(getattr(error, "response", None), "status_code", None)
    told = one_line(str(error)).rstrip(".") or type(error).__name__
    if status in (UNAUTHORIZED, FORBIDDEN):
        return f"your token is not accepted, or may not do this; {HOW_TO_LOG_IN} ({told})"
    return told
