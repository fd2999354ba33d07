"""All models by name, `load` for trained ones, `snapshots` for those of a run."""

from tfgans.errors import BadInput, nearest, plain
from tfgans.models.acgan import ACGAN
from tfgans.models.began import BEGAN
from tfgans.models.bigan import BiGAN
from tfgans.models.bigbigan import BigBiGAN
from tfgans.models.biggan import BigGAN
from tfgans.models.cartoongan import CartoonGAN
from tfgans.models.cgan import CGAN
from tfgans.models.cogan import CoGAN
from tfgans.models.colorful import Colorful
from tfgans.models.combogan import ComboGAN
from tfgans.models.context_encoder import ContextEncoder
from tfgans.models.covst import CoVST
from tfgans.models.cyclegan import CycleGAN
from tfgans.models.dann import DANN
from tfgans.models.dcgan import DCGAN
from tfgans.models.discogan import DiscoGAN
from tfgans.models.disentangle import Disentangle
from tfgans.models.dragan import DRAGAN
from tfgans.models.dtn import DTN
from tfgans.models.dualgan import DualGAN
from tfgans.models.ebgan import EBGAN
from tfgans.models.fader import Fader
from tfgans.models.fashion_gan import FashionGAN
from tfgans.models.fgan import FGAN
from tfgans.models.gan import GAN
from tfgans.models.ganilla import GANILLA
from tfgans.models.gaugan import GauGAN
from tfgans.models.icgan import IcGAN
from tfgans.models.improved_gan import ImprovedGAN
from tfgans.models.infogan import InfoGAN
from tfgans.models.instagan import InstaGAN
from tfgans.models.lapgan import LAPGAN
from tfgans.models.lsgan import LSGAN
from tfgans.models.lsgan_loss_sensitive import LossSensitiveGAN
from tfgans.models.nicegan import NICEGAN
from tfgans.models.nogan import NoGAN
from tfgans.models.o_gan import OGAN
from tfgans.models.pix2pix import Pix2Pix
from tfgans.models.pix2pixhd import Pix2PixHD
from tfgans.models.pizzagan import PizzaGAN
from tfgans.models.progan import ProGAN
from tfgans.models.projection import ProjectionGAN
from tfgans.models.ragan import RaGAN
from tfgans.models.s3gan import S3GAN
from tfgans.models.sagan import SAGAN
from tfgans.models.segan import SEGAN
from tfgans.models.self_mod import SelfMod
from tfgans.models.semi_gan import SemiGAN
from tfgans.models.seqgan import SeqGAN
from tfgans.models.singan import SinGAN
from tfgans.models.sngan import SNGAN
from tfgans.models.srgan import SRGAN
from tfgans.models.stackgan import StackGAN
from tfgans.models.stargan import StarGAN
from tfgans.models.stylegan import StyleGAN
from tfgans.models.stylegan2 import StyleGAN2
from tfgans.models.triple_gan import TripleGAN
from tfgans.models.unit import UNIT
from tfgans.models.vae import VAE
from tfgans.models.vae_gan import VAEGAN
from tfgans.models.vgan import VGAN
from tfgans.models.vid2vid import Vid2Vid
from tfgans.models.videopred import VideoPred
from tfgans.models.wgan import WGAN
from tfgans.models.wgan_gp import WGANGP
from tfgans.models.wrm import WRM
from tfgans.models.xgan import XGAN
from tfgans.storage import load, snapshots

__all__ = ["MODELS", "get", "load", "snapshots"]

MODELS = {
    "acgan": ACGAN,
    "began": BEGAN,
    "bigan": BiGAN,
    "bigbigan": BigBiGAN,
    "biggan": BigGAN,
    "cartoongan": CartoonGAN,
    "cgan": CGAN,
    "cogan": CoGAN,
    "colorful": Colorful,
    "combogan": ComboGAN,
    "context_encoder": ContextEncoder,
    "covst": CoVST,
    "cyclegan": CycleGAN,
    "dann": DANN,
    "dcgan": DCGAN,
    "discogan": DiscoGAN,
    "disentangle": Disentangle,
    "dragan": DRAGAN,
    "dtn": DTN,
    "dualgan": DualGAN,
    "ebgan": EBGAN,
    "fader": Fader,
    "fashion_gan": FashionGAN,
    "fgan": FGAN,
    "gan": GAN,
    "ganilla": GANILLA,
    "gaugan": GauGAN,
    "icgan": IcGAN,
    "improved_gan": ImprovedGAN,
    "infogan": InfoGAN,
    "instagan": InstaGAN,
    "lapgan": LAPGAN,
    "lsgan": LSGAN,
    "lsgan_loss_sensitive": LossSensitiveGAN,
    "nicegan": NICEGAN,
    "nogan": NoGAN,
    "o_gan": OGAN,
    "pix2pix": Pix2Pix,
    "pix2pixhd": Pix2PixHD,
    "pizzagan": PizzaGAN,
    "progan": ProGAN,
    "projection": ProjectionGAN,
    "ragan": RaGAN,
    "s3gan": S3GAN,
    "sagan": SAGAN,
    "segan": SEGAN,
    "self_mod": SelfMod,
    "semi_gan": SemiGAN,
    "seqgan": SeqGAN,
    "singan": SinGAN,
    "sngan": SNGAN,
    "stackgan": StackGAN,
    "srgan": SRGAN,
    "stargan": StarGAN,
    "stylegan": StyleGAN,
    "stylegan2": StyleGAN2,
    "triple_gan": TripleGAN,
    "unit": UNIT,
    "vae": VAE,
    "vae_gan": VAEGAN,
    "vgan": VGAN,
    "vid2vid": Vid2Vid,
    "videopred": VideoPred,
    "wgan": WGAN,
    "wgan_gp": WGANGP,
    "wrm": WRM,
    "xgan": XGAN,
}


ALIASES = {  # other names in papers and in code -> ours
    "ali": "bigan",
    "deoldify": "nogan",
    "feature_disentangle": "disentangle",
    "lsgan_qi": "lsgan_loss_sensitive",
    "pggan": "progan",
    "projection_gan": "projection",
    "s2gan": "s3gan",
    "sgan": "semi_gan",
    "ssgan": "s3gan",
    "ssgan_semi": "semi_gan",
    "stack_gan": "stackgan",
    "triple": "triple_gan",
    "videogan": "vgan",
}


def get(name: str) -> type:
    """The class of a model, by its name or an alias; see `name_of`."""
    return MODELS[name_of(name)]


def name_of(word: str) -> str:
    """The name of a model in MODELS for a word; case, hyphens and underscores do not matter.

    Raises:
        BadInput: There is none; the message has the nearest name.
    """
    names = {plain(name): name for name in MODELS} | {plain(k): v for k, v in ALIASES.items()}
    if plain(word) not in names:
        raise BadInput(nearest("model", word, {*MODELS, *ALIASES}))
    return names[plain(word)]
