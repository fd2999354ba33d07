"""Images that show what sentences say: `python benchmarks/captions.py RUN [--picture FILE]`.

The run is of StackGAN on synthetic captions. Each of the 60 combinations of color, shape, size and
ground gets some images, and an oracle reads the four from the pixels. Then one word of the sentence
is changed at a time, with the latents kept. Printed are the shares, for stage I and stage II: each
property as the sentence says; after a change, the changed property as asked, and the three others
as they were in the image before. The picture has a row for each stage, for one sentence and for
changes of it.
"""

import argparse
import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402

from tfgans import images, models, random  # noqa: E402
from tfgans.data.captions import (  # noqa: E402
    COLORS,
    GRAMMAR,
    GROUNDS,
    SHAPES,
    SIZES,
    read_captions,
)

WORDS = {"color": [*COLORS], "shape": SHAPES, "size": [*SIZES], "ground": [*GROUNDS]}
SHOWN = (("red", "triangle", "large", "light"), ("blue", "disc", "large", "dark"))


def sentence(values):
    return GRAMMAR[0].format(**dict(zip(WORDS, values, strict=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run, or name of a release")
    parser.add_argument("--images", type=int, default=8, help="images for each combination")
    parser.add_argument("--picture", type=pathlib.Path)
    given = parser.parse_args()
    model = models.load(given.run)

    def drawn(values, seed, make):
        """Images for tuples of words, each with a latent of its own that the seed draws."""
        condition = model.condition_vectors([sentence(v) for v in values])
        with random.scope(seed):
            return make(model.latents(len(values)), condition).numpy()

    every = [*itertools.product(*WORDS.values())] * given.images
    numbers = np.array(
        [[w.index(x) for w, x in zip(WORDS.values(), v, strict=True)] for v in every]
    )
    for stage, make in (("stage I", model.stage1), ("stage II", model)):
        seen = read_captions(drawn(every, 0, make))
        print(f"{stage}:", end="")
        for k, word in enumerate(WORDS):
            print(f" {word} {np.mean(seen[:, k] == numbers[:, k]):.1%}", end="")
        print(f"; all four {np.mean((seen == numbers).all(axis=1)):.1%}")
        for k, (word, known) in enumerate(WORDS.items()):
            asked = numbers.copy()
            asked[:, k] = (asked[:, k] + 1) % len(known)
            values = [[w[x] for w, x in zip(WORDS.values(), row, strict=True)] for row in asked]
            now = read_captions(drawn(values, 0, make))
            kept = np.delete(now == seen, k, axis=1).mean()
            right = np.mean(now[:, k] == asked[:, k])
            print(f"  {word} changed: as asked {right:.1%}, others kept {kept:.1%}", flush=True)
    if given.picture:
        rows = []
        for first in SHOWN:
            changes = [first]
            for k, known in enumerate(WORDS.values()):
                for other in [x for x in known if x != first[k]][: 2 if len(known) > 2 else 1]:
                    changes.append((*first[:k], other, *first[k + 1 :]))
            print("; ".join(map(sentence, changes)))
            for make in (model.stage1, model):
                made = np.concatenate([drawn([values], 1, make) for values in changes])
                times = model.image_shape[0] // made.shape[1]
                rows.append(made.repeat(times, axis=1).repeat(times, axis=2))
        images.save_grid(np.concatenate(rows), given.picture, len(rows[0]))


if __name__ == "__main__":
    main()
