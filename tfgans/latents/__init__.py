"""Tools for the latent spaces of a trained generator.

All tools take a `Space(model)`. Each method is a module with the name of its paper.
"""

from tfgans.latents.edits import Edit
from tfgans.latents.image2stylegan import (
    USES,
    Image2StyleGAN,
    morph,
    transfer_expression,
    transfer_style,
)
from tfgans.latents.mixing import layers_of, mix, mixing_table, truncation_table
from tfgans.latents.projector import Projector
from tfgans.latents.space import Space
from tfgans.latents.walks import lerp, slerp, walk

__all__ = [
    "USES",
    "Edit",
    "Image2StyleGAN",
    "Projector",
    "Space",
    "layers_of",
    "lerp",
    "mix",
    "mixing_table",
    "morph",
    "slerp",
    "transfer_expression",
    "transfer_style",
    "truncation_table",
    "walk",
]
