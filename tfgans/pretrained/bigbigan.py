"""Published generators of BigBiGAN as a `BigBiGAN` model.

The folder of a module of TensorFlow Hub (bigbigan-resnet50, bigbigan-revnet50x4) is read as a
checkpoint; its graph is not run. Its generator is BigGAN's under other names, with one row in the
shared embedding. The encoder and the discriminator of the module are not read: training goes on
with new ones.
"""

from tfgans.errors import BadInput
from tfgans.pretrained import biggan

LICENSE = (
    "The modules of TensorFlow Hub are under the Apache License 2.0, "
    "https://www.apache.org/licenses/LICENSE-2.0."
)
PLACE = "GenEncWrapper/"
AVERAGED = "/ema_0.9999"
LAST = (biggan.LAST - {"beta"}) | {"scale", "offset"}  # gamma is that of the attention
WORDS = {"GenZ": "G_Z", "scale": "gamma", "offset": "beta"}


def read(path) -> dict:
    """{"G_ema": (name in BigGAN's modules -> array, {})}; {} where the folder holds another one."""
    arrays = biggan.read_module(path, PLACE + "Generator/", LAST, AVERAGED)
    arrays = {biggan_name(name.removeprefix(PLACE)): a for name, a in arrays.items()}
    return {"G_ema": (arrays, {})} if arrays else {}


def biggan_name(name) -> str:
    """The name of the same variable in BigGAN's modules."""
    generator, *parts = name.split("/")
    if parts[0] == "linear":
        return "/".join(parts)
    statistic = parts[-1].startswith("accumulated")
    last = "ScaledCrossReplicaBNbn" if statistic else "ScaledCrossReplicaBN"
    within = "CrossReplicaBN" if statistic else "HyperBN"  # in a block
    own = last if parts[0] == "BatchNorm" else within
    parts = [WORDS.get(part, part).replace("BatchNorm", own) for part in parts]
    return "/".join([generator, *parts])


def settings_of(networks) -> tuple:
    """Returns arguments for `BigBiGAN`, and a list of notes on missing parts."""
    settings, _ = biggan.settings_of(networks)
    if settings["num_classes"] != 1:
        raise BadInput(f"its shared embedding has {settings['num_classes']} rows, not one")
    notes = ["Its encoder and its discriminator are not read; new ones replace them."]
    return {word: settings[word] for word in (
        "image_shape", "latent_dim", "embedding_dim", "generator_channels",
        "discriminator_channels", "discriminator_downs", "generator_attention",
        "discriminator_attention",
    )}, notes  # fmt: skip


def fill(model, networks):
    """Assigns the arrays of a file to a `BigBiGAN`: to the averaged generator and to the live one.

    All networks of this kind have BigGAN's parts.
    """
    biggan.fill(model, networks)
