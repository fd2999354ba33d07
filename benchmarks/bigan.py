"""BiGAN beside the bidirectional autoencoder: `python benchmarks/bigan.py [--steps N]`.

Both have the same encoder and generator and learn the same triangles for as many steps, BiGAN by
its game, the other by squared errors. It prints the mean squared error of reconstructions of unseen
images, the share of gray pixels in them and in samples, and the FID of samples on the package's own
features. The picture has a row of unseen images, then of each model reconstructions and samples.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import held_out, own_fid, train  # noqa: E402

from tfgans import images  # noqa: E402


def gray(pictures):
    """The share of pixels that are neither black nor white."""
    return np.mean(np.abs(pictures) < 0.8)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--images", type=int, default=1024, help="number of unseen images")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--picture", type=pathlib.Path)
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        for name in ("bigan", "bigan-bidirectional"):
            changes = [
                f"train.steps={given.steps}",
                f"train.seed={seed}",
                f"model.decay_start={given.steps // 2}",
                f"model.decay_end={given.steps}",
            ]
            model = train(name, changes)
            real, _ = held_out("synthetic", model, given.images, 1)
            made = model.reconstruct(real).numpy()
            samples = model.sample(given.images, seed=0).numpy()
            fid = own_fid(model)
            print(
                f"seed {seed}, {name}: squared error {np.mean((made - real) ** 2):.4f}; gray "
                f"pixels {gray(real):.1%} of images, {gray(made):.1%} of reconstructions, "
                f"{gray(samples):.1%} of samples; FID {fid:.2f}",
                flush=True,
            )
            if seed == 0:
                rows += ([real[:16]] if not rows else []) + [made[:16], samples[:16]]
    if given.picture:
        images.save_grid(np.concatenate(rows), given.picture, 16)


if __name__ == "__main__":
    main()
