"""Working with the latent space of a trained generator."""

from tfgans.latents.walks import loop, mixing_table, slerp

__all__ = ["loop", "mixing_table", "slerp"]
