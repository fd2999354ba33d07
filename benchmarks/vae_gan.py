"""VAE-GAN beside the VAE: `python benchmarks/vae_gan.py [--steps N] [--picture FILE]`.

Both learn the same triangles for as many steps, with latents of one length and about as many
weights in encoder and decoder. It prints the gradient energy of reconstructions of unseen images,
as a share of that of the images (a blurred edge has less), their mean squared error, and the FID of
samples on the package's own features. The picture has rows of originals, reconstructions of the VAE
and those of the VAE-GAN, then samples of both.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import held_out, in_parts, own_fid, train  # noqa: E402

from tfgans import images  # noqa: E402


def energy(pictures):
    """The mean squared difference of neighboring pixels."""
    return sum(np.mean(np.diff(pictures, axis=axis) ** 2) for axis in (1, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--images", type=int, default=1024, help="number of unseen images")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--picture", type=pathlib.Path)
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        for name in ("vae", "vae_gan"):
            changes = ["data.batch_size=32", f"train.steps={given.steps}", f"train.seed={seed}"]
            model = train(name, changes)
            real, _ = held_out("synthetic", model, given.images, 1)
            made = in_parts(model.reconstruct, real)
            fid = own_fid(model)
            weights = model.encoder.count_params() + model.decoder.count_params()
            print(
                f"seed {seed}, {name}: {weights:,} weights; gradient energy "
                f"{energy(made) / energy(real):.1%} of the images'; squared error "
                f"{np.mean((made - real) ** 2):.4f}; FID {fid:.3f}",
                flush=True,
            )
            if seed == 0:
                samples = model.sample(16, seed=0).numpy()
                rows += ([real[:16]] if not rows else []) + [made[:16], samples]
    if given.picture:
        originals, first, sampled, second, resampled = rows
        images.save_grid(
            np.concatenate([originals, first, second, sampled, resampled]), given.picture, 16
        )


if __name__ == "__main__":
    main()
