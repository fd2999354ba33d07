"""All models by name, and `load` for trained ones."""

import pathlib

import keras

from tfgans import durable
from tfgans.errors import BadInput, nearest
from tfgans.models.began import BEGAN
from tfgans.models.bigan import BiGAN
from tfgans.models.cyclegan import CycleGAN
from tfgans.models.dcgan import DCGAN
from tfgans.models.fgan import FGAN
from tfgans.models.gan import GAN
from tfgans.models.improved_gan import ImprovedGAN
from tfgans.models.infogan import InfoGAN
from tfgans.models.lapgan import LAPGAN
from tfgans.models.lsgan import LSGAN
from tfgans.models.pix2pix import Pix2Pix
from tfgans.models.progan import ProGAN
from tfgans.models.seqgan import SeqGAN
from tfgans.models.singan import SinGAN
from tfgans.models.sngan import SNGAN
from tfgans.models.stylegan2 import StyleGAN2
from tfgans.models.wgan_gp import WGANGP

MODELS = {
    "began": BEGAN,
    "bigan": BiGAN,
    "cyclegan": CycleGAN,
    "dcgan": DCGAN,
    "fgan": FGAN,
    "gan": GAN,
    "improved_gan": ImprovedGAN,
    "infogan": InfoGAN,
    "lapgan": LAPGAN,
    "lsgan": LSGAN,
    "pix2pix": Pix2Pix,
    "progan": ProGAN,
    "seqgan": SeqGAN,
    "singan": SinGAN,
    "sngan": SNGAN,
    "stylegan2": StyleGAN2,
    "wgan_gp": WGANGP,
}

PACKAGE = pathlib.Path(__file__).resolve().parent.parent
RELEASES = (  # where releases are looked up: your own, those of a clone, those of an installation
    pathlib.Path("saved_models"),
    PACKAGE.parent / "saved_models",
    PACKAGE / "saved_models",
)


def get(name: str) -> type:
    """The class of a model; capitals and hyphens do not matter."""
    plain = name.lower().replace("-", "_")
    if plain not in MODELS:
        raise BadInput(nearest("model", name, MODELS))
    return MODELS[plain]


def load(name) -> keras.Model:
    """Loads a trained model, ready to sample from.

    Args:
        name: Name of a release ("stylegan2-fashion": the highest version under saved_models/),
            or a path to a release, to one version of it, to a run, or to a `.keras` file.

    Returns:
        The model with its own settings, not compiled.

    Raises:
        FileNotFoundError: There is no such model.
        Altered: A file is not what was written, by the checksums beside it.
    """
    path = find(name)
    try:
        durable.check(path)
    except durable.Altered as error:
        raise durable.Altered(f"{error} {instead_of(path)}") from None
    return keras.models.load_model(path, compile=False)


def instead_of(path) -> str:
    """What to load instead of a damaged snapshot or version."""
    if path.name == "model.keras" and path.parent.name.isdigit():
        older = [p for p in versions(path.parent.parent) if int(p.name) < int(path.parent.name)]
    else:
        older = sorted(p for p in path.parent.glob("[0-9]*.keras") if p.name < path.name)
    return f"The one before: {older[-1]}" if older else "Replace it by a whole copy."


def find(name) -> pathlib.Path:
    """The `.keras` file that `load` reads. Raises FileNotFoundError."""
    path = pathlib.Path(name).expanduser()
    if path.suffix == ".keras" and path.is_file():
        return path
    if path.suffix == ".pkl":
        raise BadInput(
            f"{path} is a pickle: tfgans.pretrained.load({str(path)!r}) reads official ones, and "
            f"`python tools/convert.py {path}` makes a release of them."
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
    raise FileNotFoundError(
        f"No model at {path}: it is neither a run, nor a release, nor a .keras file. "
        + nearest("release", str(name), known)
        + f" To make one: python tools/train.py {path.name}"
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
