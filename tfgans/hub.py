"""Releases on the hub of Hugging Face: `hf://USER/MODEL` is downloaded, a release is uploaded.

A repository holds one release with its files at the top, and a model card. Only the files of a
release are downloaded, and none of them is run: `model.keras` is read as any other. The package
huggingface_hub keeps them in its cache, each file whole or not at all, and knows the login.
"""

import contextlib
import fnmatch
import importlib
import pathlib

from tfgans import durable, labels
from tfgans.errors import BadInput, short

ADDRESS = "hf://"
MODEL = "model.keras"
FILES = (  # of a release
    MODEL,
    f"{MODEL}.sha256",
    labels.FILE,
    "saved_model.pb",
    "fingerprint.pb",
    "machine.txt",
    "variables/*",
    "assets/*",
    "frozen/*",
)
OTHERS = ("onnx/*", "tflite/*")  # files of a release for other run times, which `load` leaves


def is_address(name) -> bool:
    """Returns true for `hf://USER/MODEL` and `hf://USER/MODEL@REVISION`."""
    return str(name).startswith(ADDRESS)


def fetch(address: str) -> pathlib.Path:
    """Downloads a release where it is not in the cache yet; returns its `model.keras`.

    Without a network the release in the cache is taken.

    Args:
        address: "hf://USER/MODEL" or "hf://USER/MODEL@REVISION".

    Raises:
        BadInput: It cannot be downloaded, or the repository holds no release.
    """
    hub = package()
    repository, _, revision = address.removeprefix(ADDRESS).partition("@")
    with plainly(hub, address):
        folder = hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=FILES, library_name="tfgans"
        )
    path = pathlib.Path(folder) / MODEL
    if not (path.exists() and durable.checksums(path).exists()):
        raise BadInput(
            f"{address} holds no release of tfgans: {MODEL} and its checksums are not both at its "
            "top. Give the address of a release, as `export --push` uploads it."
        )
    return path


def create(repository: str):
    """Makes a repository where there is none, and so proves the login before long work.

    Raises:
        BadInput: The hub cannot be reached, or refuses.
    """
    hub = package()
    with plainly(hub, repository):
        hub.HfApi(library_name="tfgans").create_repo(repository, exist_ok=True)


def push(release: pathlib.Path, repository: str, more: dict) -> str:
    """Uploads a release as one commit; files of an older release that it lacks are deleted.

    Args:
        release: Folder of a version of a release.
        repository: USER/MODEL, which `create` has made.
        more: Name -> content in bytes of further files, the model card among them.

    Returns:
        The address of the page of the repository.

    Raises:
        BadInput: It cannot be uploaded; the repository is as it was.
    """
    hub = package()
    api = hub.HfApi(library_name="tfgans")
    files = {path.relative_to(release).as_posix(): path for path in sorted(release.rglob("*"))}
    files = {name: path for name, path in files.items() if path.is_file()} | more
    with plainly(hub, repository):
        there = api.list_repo_files(repository)
        old = [
            name for name in there if any(fnmatch.fnmatch(name, kind) for kind in (*FILES, *OTHERS))
        ]
        operations = [
            *(hub.CommitOperationAdd(name, content) for name, content in files.items()),
            *(hub.CommitOperationDelete(name) for name in old if name not in files),
        ]
        api.create_commit(repository, operations, commit_message="A release of tfgans")
    return f"{api.endpoint}/{repository}"


def package():
    """The package huggingface_hub. Raises BadInput where it is missing."""
    try:
        importlib.import_module("huggingface_hub.errors")
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise BadInput(
            f"{ADDRESS} needs a package that cannot be imported ({error}). "
            'Install it: pip install "tfgans[hf]"'
        ) from error


@contextlib.contextmanager
def plainly(hub, wanted):
    """Turns an error of the hub, of the login or of the network into one sentence and advice."""
    errors, place = hub.errors, hub.HfApi().endpoint
    try:
        yield
    except errors.HFValidationError:
        raise BadInput(
            f"{wanted} is no address. Give USER/MODEL to push and {ADDRESS}USER/MODEL, or "
            f"{ADDRESS}USER/MODEL@REVISION, to load."
        ) from None
    except errors.LocalEntryNotFoundError as error:
        raise BadInput(
            f"{place} cannot be reached, and {wanted} has not been downloaded wholly before "
            f"({short(error)}). Try again with a network, and without HF_HUB_OFFLINE."
        ) from None
    except errors.RevisionNotFoundError:
        raise BadInput(f"{wanted} has no such revision. Give a branch, tag or commit.") from None
    except errors.RepositoryNotFoundError:
        raise BadInput(
            f"There is no {wanted} on {place} that you may see. Check the name; to see a private "
            "one, log in with `hf auth login`."
        ) from None
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        if code in (401, 403):
            raise BadInput(
                f"{place} refuses the login for {wanted} ({code}). Log in with `hf auth login`, "
                "with a token that may write if you push; a token in HF_TOKEN goes before it."
            ) from None
        raise BadInput(
            f"{place} answers {code} for {wanted}: {short(error)}. Try again later."
        ) from None
    except Exception as error:  # of the network, in the words of several packages
        raise BadInput(
            f"The connection to {place} for {wanted} fails ({short(error)}). Nothing half done is "
            "used; with a network the same command goes on."
        ) from None
