"""Runs, snapshots and releases: where they lie, how they are written and read.

A run is a folder, runs/<name>/, with its snapshots in snapshots/<step>.keras. A version of a
release is a folder, saved_models/<name>/<number>/, with a SavedModel and `model.keras`,
and the names of its classes where they are known (`labels.py`).
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import socket
import zipfile

import keras
import tensorflow as tf

from tfgans import digests, durable, hub, labels, legacy
from tfgans.errors import BadInput, command, nearest, quoted

IN_USE = ".in-use"  # file of a run that names the process that trains
FROZEN = "frozen"  # folder of a release: given networks that the model's uses need
PACKAGE = pathlib.Path(__file__).resolve().parent
RELEASES = (  # where releases are looked up: your own, those of a clone, those of an installation
    pathlib.Path("saved_models"),
    PACKAGE.parent / "saved_models",
    PACKAGE / "saved_models",
)


class Refused(BadInput):
    """A run cannot go on as asked: what is in the way, and what to do."""


def load(name) -> keras.Model:
    """Loads a trained model, ready to sample from.

    Args:
        name: Name of a release ("stylegan2-fashion": the highest version under saved_models/),
            or a path to a release, to one version of it, to a run, or to a `.keras` file; or
            "hf://USER/MODEL", a release on the hub, optionally with "@REVISION".

    Returns:
        The model with its own settings, not compiled, and with the names of its classes as
        `label_names` where its data had them.

    Raises:
        FileNotFoundError: There is no such model.
        Altered: A file is not what was written, by the checksums beside it.
        BadInput: A release on the hub cannot be had.
    """
    path = find(name)
    try:
        model = read(path, compile=False)
    except durable.Altered as error:
        again = f"Delete that folder and load {name} again."
        advice = again if hub.is_address(name) else instead_of(path)
        raise durable.Altered(f"{error} {advice}") from None
    model.find_frozen(path.parent / FROZEN)
    model.label_names, model.label_kind = labels.of_file(path)
    return model


def read(path, compile=True) -> keras.Model:
    """The model in a `.keras` file, which is proved to be the one that was saved.

    Args:
        path: The file; beside it may lie its checksums.
        compile: Give the model its optimizers, with their states, and the networks that its losses
            look through: for a training that goes on.

    Raises:
        Altered: The file is not the one that was written, by the checksums beside it; or the model
            is not the one that was saved, by the digests in it. The message names the first file or
            variable that differs.
    """
    durable.check(path)
    with legacy.upgraded(path) as file:
        try:
            return keras.models.load_model(file, compile=compile)
        except ValueError as error:
            raise durable.Altered(f"{path} cannot be loaded: {digests.reason(error)}") from error


def instead_of(path) -> str:
    """Advice: the version or snapshot to load instead of a damaged one."""
    if path.name == "model.keras" and path.parent.name.isdigit():
        older = [p for p in versions(path.parent.parent) if int(p.name) < int(path.parent.name)]
    else:
        older = sorted(p for p in path.parent.glob("[0-9]*.keras") if p.name < path.name)
    return f"The one before: {older[-1]}" if older else "Replace it with an intact copy."


def find(name) -> pathlib.Path:
    """The `.keras` file that `load` reads for a name. Raises FileNotFoundError."""
    if hub.is_address(name):
        return hub.fetch(name)
    path = pathlib.Path(name).expanduser()
    if path.suffix == ".keras" and path.is_file():
        return path
    if path.suffix in (".pkl", ".pth"):
        kind = "pickle" if path.suffix == ".pkl" else "file of PyTorch"
        raise BadInput(
            f"{path} is a {kind}: tfgans.pretrained.load({str(path)!r}) reads official ones, and "
            f"`{command('convert')} {quoted(path)}` makes a release of them."
        )
    if (path / "snapshots").is_dir():
        if saved := snapshots(path):
            return saved[-1]
        raise FileNotFoundError(f"The run {path} has not saved anything yet.")
    named = [] if path.is_absolute() or path.parts[0] in (".", "..") else RELEASES
    for folder in [path, *(root / path for root in named)]:
        if (folder / "model.keras").is_file():
            return folder / "model.keras"
        version = folder / str(latest_version(folder)) / "model.keras"
        if version.is_file():
            return version
    known = {p.parent.parent.name for root in RELEASES for p in root.glob("*/*/model.keras")}
    there = " There is something at that path, of another kind." if path.exists() else ""
    raise FileNotFoundError(
        f"No model at {path}: it is neither a run, nor a release, nor a .keras file.{there} "
        + nearest("release", str(name), known)
        + f" `{command('train')} --list` names what can be trained."
    )


def versions(release) -> list:
    """The folders of a release's versions, oldest first."""
    found = [path for path in pathlib.Path(release).glob("[0-9]*") if path.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))


def latest_version(release) -> int:
    """The highest number among the versions of a release, 0 where there is none."""
    return max((int(path.name) for path in versions(release)), default=0)


def snapshots(run) -> list:
    """The saved states of a run, oldest first: runs/<name>/snapshots/<step>.keras."""
    return sorted((pathlib.Path(run) / "snapshots").glob("[0-9]*.keras"))


def resume(run) -> keras.Model | None:
    """The newest whole snapshot of a run, compiled; None for a run without snapshots.

    Raises:
        Refused: The run has snapshots, and none of them can be read.
    """
    saved = snapshots(run)
    for path in reversed(saved):
        try:
            model = read(path)
        except Exception as error:  # a damaged archive fails in many ways
            print(f"The snapshot {path} cannot be read ({error}); trying the one before.")
            continue
        print(f"Going on from {path}.")
        return model
    if saved:
        raise Refused(
            f"{run} has {len(saved)} snapshots, and none of them can be read; the lines above say "
            "why. To start anew, give another folder: --run FOLDER."
        )
    return None


def save(model, path):
    """Writes a model at a path, and its checksum; until both are whole, the old file stays."""
    path = pathlib.Path(path)
    partial = path.parent / "partial"  # Keras may put temporary files beside what it writes
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        written = partial / path.name
        model.save(written)
        durable.write_checksums(written, [written])
        durable.publish(durable.checksums(written), durable.checksums(path))
        durable.publish(written, path)
    finally:
        shutil.rmtree(partial)


def refuse_foreign(run, data=None):
    """Raises Refused for a folder that cannot become a run without harm to what lies there.

    Args:
        run: Folder of the run, which may not exist.
        data: Path of the data. A run inside of them would add to them.
    """
    run = pathlib.Path(run)
    if run.exists() and not run.is_dir():
        raise Refused(f"{run} is a file, and a run is a folder. Give another one: --run FOLDER")
    others = sorted(path.name for path in run.iterdir()) if run.is_dir() else []
    is_run = "config.yaml" in others or snapshots(run)  # official weights are snapshots alone
    if set(others) - {IN_USE} and not is_run:
        raise Refused(
            f"{run} is not empty and not a run: it holds {', '.join(others[:3])}. A training would "
            "write among these files. Give a new folder: --run FOLDER"
        )
    if data is not None and pathlib.Path(data).expanduser().is_dir():
        folder = pathlib.Path(data).expanduser().resolve()
        if run.resolve().is_relative_to(folder):
            raise Refused(
                f"{run} lies inside the data, {data}: the pictures that a run writes would become "
                "data. Give a folder outside of them: --run FOLDER"
            )


@contextlib.contextmanager
def in_use(run):
    """Keeps the folder of a run for this process, which may be killed at any time.

    Raises:
        Refused: Another process trains in it. The message names it.
    """
    run = pathlib.Path(run)
    with contextlib.ExitStack() as opened:
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)
            # Without a buffer: what a full disk refuses is not written again when it is closed.
            file = opened.enter_context((run / IN_USE).open("ab+", buffering=0))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().decode().strip() or "a process"
                raise Refused(
                    f"Another training writes in {run}: {holder}. Wait for its end, or give "
                    "another folder: --run FOLDER"
                ) from None
            except OSError:  # a file system without locks
                pass
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            file.truncate(0)
            if [path.name for path in run.iterdir()] == [IN_USE]:  # nothing was begun
                shutil.rmtree(run)


def advice(error) -> str:
    """A sentence for an error of writing; TensorFlow's own errors do not tell their cause."""
    full = getattr(error, "errno", errno.ENOSPC) in (errno.ENOSPC, errno.EDQUOT)
    return "Make room." if full else "Mend that, or choose another folder."


@contextlib.contextmanager
def writing(run):
    """Says what to do when the files of a run cannot be written."""
    try:
        yield
    except OSError as error:
        saved = snapshots(run)
        last = f"The last whole snapshot is {saved[-1]}" if saved else "There is no snapshot yet"
        more = " The same command again goes on from there." if saved else ""
        raise Refused(f"{run} cannot be written: {error}. {last}. {advice(error)}{more}") from error


def release(model, name, root="saved_models", more=None, to=(), machine="cpu"):
    """Writes a model as the next version of a release: SavedModel and `model.keras` in one folder.

    The folder appears under its number only when it is whole, so a server may watch the release.
    The checksums of all its files are in `model.keras.sha256`. Its
    `model.keras` has names for the paths of given networks (`BaseModel.frozen`), and those that its
    uses need are copied into the folder.

    Args:
        model: Not compiled: the optimizers stay in the run.
        name: Name of the release.
        root: Folder that holds all releases.
        more: Endpoints beyond the model's own, as `BaseModel.endpoints` gives them.
        to: Further run times, as `BaseModel.export` takes them.
        machine: The one that will serve it, "cpu" or "gpu", as `BaseModel.export` takes it.

    Returns:
        The folder <root>/<name>/<version>.

    Raises:
        Refused: It cannot be written.
        BadInput: No endpoint converts to one of the run times.
    """
    folder = pathlib.Path(root) / name
    version = latest_version(folder) + 1
    partial = folder / f"partial-{version}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        model.export(partial, more, to, machine)
        model.save(partial / "whole.keras")
        with zipfile.ZipFile(partial / "whole.keras") as whole:  # Keras stores without compressing
            with zipfile.ZipFile(partial / "model.keras", "w", zipfile.ZIP_DEFLATED) as packed:
                for part in whole.namelist():
                    content = whole.read(part)
                    if part == "config.json":
                        content = model.without_paths(content.decode()).encode()
                    packed.writestr(part, content)
        (partial / "whole.keras").unlink()
        labels.write(model, partial)
        model.copy_frozen(partial / FROZEN)
        served = [path for path in sorted(partial.rglob("*")) if path.is_file()]
        durable.write_checksums(partial / "model.keras", served)
        durable.publish(partial, folder / str(version))
    except (OSError, tf.errors.OpError) as error:
        raise Refused(
            f"{folder / str(version)} cannot be written: {error} Nothing of it is left there. "
            f"{advice(error)} Then: {command('export')} RUN NAME"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / str(version)
