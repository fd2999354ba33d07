"""Read from each code, and moved by a swap: `python benchmarks/disentangle.py [--picture FILE]`.

It trains Disentangle's demo, and the same networks without the critic's gradient, in turn. Linear
probes (least squares on one half of new images, measured on the other half) read color and shape
from both codes: chance is 20 % and 25 %. A swap puts the style of one image to the content of
another: reported are the share that shows the other image's color, and the overlap of the outline
with that of the content image (intersection over union). The picture is a table of swaps: contents
by rows, styles by columns.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import train  # noqa: E402

from tfgans.data.convert import to_float  # noqa: E402
from tfgans.data.groups import COLORS, SHAPES, ColoredShapes, read_shapes  # noqa: E402
from tfgans.images import save_grid  # noqa: E402

TRAINED_ON = 2**13  # images; those beyond are new


def probe(codes, labels):
    """The share of labels that a linear map of the codes names, on images it was not fitted to."""
    codes = np.concatenate([codes, np.ones([len(codes), 1])], axis=1)
    fitted, tried = slice(None, len(codes) // 2), slice(len(codes) // 2, None)
    weights, *_ = np.linalg.lstsq(codes[fitted], np.eye(labels.max() + 1)[labels[fitted]])
    return float(np.mean(np.argmax(codes[tried] @ weights, axis=1) == labels[tried]))


def measure(model, count):
    """Shares that linear probes read from the codes of new images, and the effects of swaps."""
    source = ColoredShapes(model.image_shape, TRAINED_ON, count)
    images = to_float(source.read(np.arange(count)), source.value_range, 3)
    parts = [model.encode(images[k : k + 256]) for k in range(0, count, 256)]
    codes = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = {
        f"{word} from {name}": probe(rows, labels)
        for name, rows in codes.items()
        for word, labels in (("color", source.labels), ("shape", source.shapes))
    }
    content, style = (codes[name][:512] for name in ("content", "style"))
    made = model.decode(content, np.roll(style, 1, axis=0))
    masks, colors = read_shapes(made)
    wanted, _ = read_shapes(images[:512])
    overlap = np.sum(masks & wanted, axis=(1, 2)) / np.sum(masks | wanted, axis=(1, 2))
    found["color of the style"] = float(np.mean(colors == np.roll(source.labels[:512], 1)))
    found["overlap of outlines"] = float(np.mean(overlap))
    return found


def swap_table(model):
    """Two images of each shape by rows, in one style of each color by columns."""
    source = ColoredShapes(model.image_shape, TRAINED_ON, 512)
    rows = [i for k in range(len(SHAPES)) for i in np.flatnonzero(source.shapes == k)[:2]]
    columns = [np.flatnonzero(source.labels == k)[2] for k in range(len(COLORS))]
    images = to_float(source.read(np.array(rows + columns)), source.value_range, 3)
    return model.swaps(images[: len(rows)], images[len(rows) :])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2048, help="number of new images")
    parser.add_argument("--picture", type=pathlib.Path, help="PNG of a table of swaps")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    for word, changes in (("without reversal", ["model.reversal=0"]), ("with reversal", [])):
        model = train("disentangle", [*given.set, *changes])
        for name, value in measure(model, given.images).items():
            print(f"{word}: {name} {value:.1%}", flush=True)
    if given.picture:
        save_grid(swap_table(model), given.picture)


if __name__ == "__main__":
    main()
