"""All models by name, and `load` for trained ones."""

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
from tfgans.storage import load

__all__ = ["MODELS", "get", "load"]

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


def get(name: str) -> type:
    """The class of a model; capitals and hyphens do not matter."""
    plain = name.lower().replace("-", "_")
    if plain not in MODELS:
        raise BadInput(nearest("model", name, MODELS))
    return MODELS[plain]
