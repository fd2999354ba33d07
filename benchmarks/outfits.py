"""People in the clothes of sentences: `python benchmarks/outfits.py RUN [--picture FILE]`.

The run is of FashionGAN on synthetic people. Unseen people get each of the 48 outfits, and an
oracle reads shirt, sleeves, cloth and cut from the made image and its map. Printed are the shares
that are as the sentence says, chance beside them, and how much hair and face differ from the
photographs (0). The picture has a row for each person: photograph, then clothes of some sentences,
each with its map below.
"""

import argparse
import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.label_maps import in_colors  # noqa: E402
from tfgans.data.outfits import (  # noqa: E402
    CLASSES,
    CLOTHS,
    CUTS,
    FACE,
    GRAMMAR,
    HAIR,
    SHIRTS,
    SLEEVES,
    SyntheticPeople,
    read_outfits,
)

WORDS = {"shirt": [*SHIRTS], "sleeves": SLEEVES, "cloth": [*CLOTHS], "cut": CUTS}
FIRST = 2**12  # training draws the people before
SHOWN = (
    ("red", "long", "black", "trousers"),
    ("red", "short", "black", "trousers"),
    ("yellow", "short", "white", "shorts"),
    ("green", "long", "purple", "shorts"),
    ("blue", "short", "purple", "trousers"),
)


def sentence(values):
    return GRAMMAR[0].format(**dict(zip(WORDS, values, strict=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run, or name of a release")
    parser.add_argument("--people", type=int, default=8, help="for each outfit")
    parser.add_argument("--picture", type=pathlib.Path)
    given = parser.parse_args()
    model = models.load(given.run)

    def people(n):
        count = FIRST + n
        photos, maps = (
            SyntheticPeople(model.image_shape, count, labels=part) for part in (False, True)
        )
        rows = range(FIRST, count)
        return (
            (np.stack([photos.read(i) for i in rows]) / 127.5 - 1).astype("float32"),
            np.stack([maps.read(i)[..., 0] for i in rows]),
        )

    def dressed(photos, maps, values):
        condition = model.condition_vectors([sentence(v) for v in values])
        made, new = model.redress(photos, maps, condition, seed=0)
        return made.numpy(), new.numpy()

    every = [*itertools.product(*WORDS.values())] * given.people
    photos, maps = people(len(every))
    made, new = dressed(photos, maps, every)
    asked = np.array([[w.index(x) for w, x in zip(WORDS.values(), v, strict=True)] for v in every])
    before, now = read_outfits(photos, maps), read_outfits(made, new)
    for k, word in enumerate(WORDS):
        print(
            f"{word}: as asked {np.mean(now[:, k] == asked[:, k]):.1%} "
            f"(photographs {np.mean(before[:, k] == asked[:, k]):.1%})"
        )
    print(f"all four: {np.mean((now == asked).all(axis=1)):.1%}")
    kept = np.isin(maps, (HAIR, FACE))
    print(f"greatest difference in hair and face: {np.abs(made - photos)[kept].max()}")
    if given.picture:
        photos, maps = people(4)
        columns = [(photos, maps)] + [dressed(photos, maps, [values] * 4) for values in SHOWN]
        rows = []
        for k in range(4):
            rows.append([image[k] for image, _ in columns])
            rows.append([in_colors(numbers[k], len(CLASSES), CLASSES) for _, numbers in columns])
        print("; ".join(map(sentence, SHOWN)))
        images.save_grid(np.concatenate(rows), given.picture, len(columns))


if __name__ == "__main__":
    main()
