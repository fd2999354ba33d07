"""Loads official checkpoints as models, and begins runs that continue their training."""

import io
import pathlib

import keras

from tfgans import models, storage
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.foreign import pickles, torch_files
from tfgans.foreign.pickles import Record
from tfgans.foreign.shapes import check_counts
from tfgans.pretrained import bigbigan, biggan, nogan, progan, stylegan, stylegan2

TENSORFLOW = {"dnnlib.tflib.network.Network", "tfutil.Network", "network.Network"}
NAMES = {stylegan2.PERSISTENT} | TENSORFLOW | torch_files.IN_PICKLES | torch_files.INERT


def load(path, **changes) -> keras.Model:
    """Makes a model from an official checkpoint. Nothing in the file is run.

    It reads pickles of stylegan2-ada-pytorch, stylegan2, stylegan2-ada, stylegan and
    progressive_growing_of_gans, and those of stylegan3 that hold a StyleGAN2; the folders of
    BigGAN's and BigBiGAN's modules of TensorFlow Hub; Hugging Face's BigGAN-deep; and DeOldify's
    generators. The averaged generator ("G_ema", "Gs") becomes `generator_ema`, which `sample` uses;
    training continues with G and D. The contents of the file are printed.

    Args:
        path: Path of the `.pkl`, `.bin` or `.pth` file, or of the module's folder.
        changes: Arguments of the model's constructor that the file does not hold, such as
            `augment="bgc"` or `r1_gamma=2.0`.

    Returns:
        A `StyleGAN2`, `StyleGAN`, `ProGAN`, `BigGAN`, `BigBiGAN` or `NoGAN`, not compiled.

    Raises:
        BadInput: The file is damaged, holds another kind of network, or names classes or functions
            that official files do not have.
    """
    path = pathlib.Path(path).expanduser()
    path.stat()  # an absent file is not a damaged one
    is_pickle = path.is_file() and path.suffix not in (".bin", ".pt", ".pth")
    data = path.read_bytes() if is_pickle else b""
    with pickles.refusals(path):
        family, networks = read(data) if is_pickle else read_module(path)
        found, notes = ", ".join(networks), []
        for absent, other in (("G", "G_ema"), ("G_ema", "G")):
            if other in networks and absent not in networks:
                networks[absent] = networks[other]
                notes.append(f"There is no {absent}; {other} replaces it.")
        settings, others = family.settings_of(networks)
        check_counts(settings)
    name = family.__name__.rpartition(".")[2]
    arguments = Config.from_dict({"architecture": name, "model": settings | changes}).model
    model = models.get(name)(**arguments)
    with pickles.refusals(path):
        family.fill(model, networks)
    print(f"{path}: {found} of {name}.")
    print(", ".join(f"{word}={value!r}" for word, value in settings.items()))
    print(*notes, *others, family.LICENSE, sep="\n")
    return model


def read_module(path) -> tuple:
    """The networks of a module's folder, a `.bin` or a `.pth`, as `read` returns them."""
    if path.is_dir() and (networks := bigbigan.read(path)):
        return bigbigan, networks
    if path.is_file() and path.suffix != ".bin" and (networks := nogan.read(path)):
        return nogan, networks
    return biggan, biggan.read(path)


def read(data) -> tuple:
    """Reads the networks of a pickle.

    Returns:
        The module of this package for them; "G_ema", "G", "D" -> (name -> array, settings).
    """
    value, _ = pickles.read(io.BytesIO(data), NAMES)
    records = {}
    if isinstance(value, dict):
        family, take = stylegan2, stylegan2.from_torch
        records = {name: value[name] for name in ("G_ema", "G", "D") if value.get(name)}
    elif isinstance(value, tuple) and len(value) == 3:
        records = dict(zip(("G", "D", "G_ema"), value, strict=True))
        by_dnnlib = getattr(value[0], "name", "") == "dnnlib.tflib.network.Network"
        family = progan
        if by_dnnlib:
            family = stylegan if stylegan.is_styled(value[0]) else stylegan2
        take = family.from_tensorflow
    whole = all(isinstance(record, Record) for record in records.values())
    if not whole or not {"G", "G_ema"} & set(records):
        raise BadInput("it holds neither a dict with G_ema nor a tuple (G, D, Gs) of networks")
    networks = {name: take(record) for name, record in records.items()}
    held = sum(array.nbytes for arrays, _ in networks.values() for array in arrays.values())
    if held > len(data):
        raise BadInput("its arrays are together larger than the file")
    return family, networks


def begin_run(model, run) -> pathlib.Path:
    """Begins a run that starts from the weights of a model; `tools/train.py` continues it.

    Args:
        model: A model that `load` returns.
        run: Folder of the run; it must not exist.

    Returns:
        Path of the configuration file of the run. Its data and length are those of the paper.
    """
    run = pathlib.Path(run)
    if run.exists():
        raise BadInput(f"{run} exists already. Choose another folder.")
    settings = Config.load(next(name for name in models.MODELS if type(model) is models.get(name)))
    settings.model = model.get_config()
    for word in ("name", "dtype"):
        del settings.model[word]
    model.compile(settings.optimizers, seed=settings.train.seed)
    storage.save(model, run / "snapshots" / f"{int(model.step.numpy()):08}.keras")
    path = run / "start.yaml"
    path.write_text(settings.to_yaml(), encoding="utf-8")
    return path
