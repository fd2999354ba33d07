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
from tfgans.pretrained import (
    bigbigan,
    biggan,
    cyclegan,
    gaugan,
    nogan,
    pix2pix,
    pix2pixhd,
    progan,
    stargan,
    stylegan,
    stylegan2,
    unit,
)

TENSORFLOW = {"dnnlib.tflib.network.Network", "tfutil.Network", "network.Network"}
NAMES = {stylegan2.PERSISTENT} | TENSORFLOW | torch_files.IN_PICKLES | torch_files.INERT


def load(path, b_to_a=None, discriminator=None, **changes) -> keras.Model:
    """Makes a model from an official checkpoint. Nothing in the file is run.

    It reads pickles of stylegan2-ada-pytorch, stylegan2, stylegan2-ada, stylegan and
    progressive_growing_of_gans, and those of stylegan3 that hold a StyleGAN2; the folders of
    BigGAN's and BigBiGAN's modules of TensorFlow Hub; Hugging Face's BigGAN-deep; generators of
    pytorch-CycleGAN-and-pix2pix, pix2pixHD and SPADE (GauGAN); those of DeOldify; and networks of
    StarGAN and UNIT. The averaged
    generator ("G_ema", "Gs") becomes `generator_ema`, which `sample` uses; training continues with
    G and D. The contents of the file are printed.

    A file of CycleGAN holds one direction, which becomes `a_to_b`. Without the file of the other
    one the model has no `b_to_a`, rather than one of random weights.

    Args:
        path: Path of the `.pkl`, `.bin`, `.pth` or `.ckpt` file, or of the module's folder.
        b_to_a: Path of a second `.pth` file, of the other direction of a CycleGAN.
        discriminator: Path of a second file, of the discriminator of a StarGAN or those of a UNIT.
        changes: Arguments of the model's constructor that the file does not hold, such as
            `augment="bgc"` or `r1_gamma=2.0`.

    Returns:
        A `StyleGAN2`, `StyleGAN`, `ProGAN`, `BigGAN`, `BigBiGAN`, `CycleGAN`, `Pix2Pix`,
        `Pix2PixHD`, `GauGAN`, `NoGAN`, `StarGAN` or `UNIT`, not compiled.

    Raises:
        BadInput: The file is damaged, holds another kind of network, or names classes or functions
            that official files do not have; or there is a second file that does not belong to the
            first one.
    """
    path = pathlib.Path(path).expanduser()
    path.stat()  # an absent file is not a damaged one
    is_pickle = path.is_file() and path.suffix not in (".bin", ".pt", ".pth")
    data = path.read_bytes() if is_pickle else b""
    is_pickle &= not torch_files.is_own_file(data)
    with pickles.refusals(path):
        family, networks = read(data) if is_pickle else read_module(path)
    if b_to_a is not None:
        networks |= read_way_back(pathlib.Path(b_to_a).expanduser(), path, family)
    if discriminator is not None:
        networks |= read_discriminator(pathlib.Path(discriminator).expanduser(), path, family)
    with pickles.refusals(path):
        found, notes = ", ".join(networks), []
        for absent, other in (("G", "G_ema"), ("G_ema", "G")):
            if absent not in networks and other in networks:
                networks[absent] = networks[other]
                notes.append(f"There is no {absent}; {other} replaces it.")
        settings, others = family.settings_of(networks)
        check_counts(settings)
    name = family.__name__.rpartition(".")[2]
    arguments = Config.from_dict({"architecture": name, "model": settings | changes}).model
    model = models.get(name)(**arguments)
    with pickles.refusals(path):
        family.fill(model, networks)
    files = ", ".join(str(file) for file in (path, b_to_a, discriminator) if file is not None)
    print(f"{files}: {found} of {name}.")
    print(", ".join(f"{word}={value!r}" for word, value in settings.items()))
    print(*notes, *others, family.LICENSE, sep="\n")
    return model


def read_module(path) -> tuple:
    """The networks of a module's folder, or of a `.bin` or `.pth` file.

    Args:
        path: The folder or file.

    Returns:
        The module of this package for them; the name of each network -> what `settings_of` and
        `fill` of that module take.

    Raises:
        BadInput: They are of no known kind.
    """
    if path.is_dir():
        networks = bigbigan.read(path)
        return (bigbigan, networks) if networks else (biggan, biggan.read(path))
    arrays = torch_files.read_state_dict(path)
    if "generator.gen_z.weight_orig" in arrays:
        return biggan, biggan.read_deep(arrays)
    refuse_larger([arrays], path.stat().st_size)
    if networks := nogan.read(arrays):
        return nogan, networks
    if any(name.startswith(f"{pix2pix.OUTER}.") for name in arrays):
        return pix2pix, {"generator": pix2pix.read(arrays)}
    for family in (pix2pixhd, gaugan):
        if family.is_known(arrays):
            return family, {"generator": family.read(arrays)}
    if unit.is_known(arrays):
        return unit, {"generators": unit.read(arrays)}
    if stargan.is_known(arrays):
        return stargan, {"generator": stargan.read(arrays)}
    if any(name.startswith("model.") for name in arrays):
        return cyclegan, {"a_to_b": cyclegan.read(arrays)}
    raise BadInput(
        "it holds no generator of CycleGAN, pix2pix, pix2pixHD, SPADE, DeOldify, StarGAN or UNIT, "
        "no ResNet of torchvision, and no BigGAN-deep of Hugging Face's form"
    )


def read_way_back(path, first, family) -> dict:
    """Reads a second file of CycleGAN, of the direction that the first one lacks.

    Args:
        path: The second file.
        first: The first file.
        family: The module of this package for the first file.

    Returns:
        {"b_to_a": what `cyclegan.read` returns}.

    Raises:
        BadInput: One of the two files is no generator of CycleGAN.
    """
    if family is not cyclegan:
        kind = family.__name__.rpartition(".")[2]
        raise BadInput(f"{first} is of {kind}, which has no way back: leave {path} out.")
    path.stat()
    with pickles.refusals(path):
        other, networks = read_module(path)
        if other is not cyclegan:
            raise BadInput(f"it is no generator of CycleGAN, as {first} is")
    return {"b_to_a": networks["a_to_b"]}


def read_discriminator(path, first, family) -> dict:
    """Reads a second file, of the discriminators that belong to the first one.

    Args:
        path: The second file.
        first: The first file.
        family: The module of this package for the first file.

    Returns:
        "discriminator" for StarGAN or "discriminators" for UNIT -> what `read_discriminator` of
        that module returns.

    Raises:
        BadInput: The first file is of another model; or the second one is no such file.
    """
    if family not in (stargan, unit):
        kind = family.__name__.rpartition(".")[2]
        raise BadInput(f"{first} is of {kind}, which has no file for discriminators: leave it out.")
    path.stat()
    with pickles.refusals(path):
        arrays = torch_files.read_state_dict(path)
        refuse_larger([arrays], path.stat().st_size)
        found = family.read_discriminator(arrays)
    return {"discriminators" if family is unit else "discriminator": found}


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
    refuse_larger([arrays for arrays, _ in networks.values()], len(data))
    return family, networks


def refuse_larger(parts, size):
    """Raises BadInput where arrays are larger than their file of `size` bytes, as of a bomb.

    Args:
        parts: Dicts of arrays.
        size: Bytes of the file.
    """
    if sum(array.nbytes for arrays in parts for array in arrays.values()) > size:
        raise BadInput("its arrays are together larger than the file")


def begin_run(model, run) -> pathlib.Path:
    """Begins a run that starts from the weights of a model; `tools/train.py` continues it.

    Args:
        model: A model that `load` returns.
        run: Folder of the run; it must not exist.

    Returns:
        Path of the configuration file of the run. Its data and length are those of the paper.

    Raises:
        BadInput: The folder exists; or the model is a CycleGAN of one way, which has no game.
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
