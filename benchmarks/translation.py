"""Translators between two domains, side by side: `python benchmarks/translation.py RUN [RUN ...]`.

The runs are of models with the directions a_to_b and b_to_a, trained on the synthetic drawings and
pictures without pairs, or with `--drawn cartoons` on photographs and cartoons. New scenes are drawn
in both forms, so the right translation is known. Printed are, for each direction: the mean error
against the truth (0 to 1), beside that of the input itself; the correlation of the edges of input
and output; seconds per image. Then what a translation hides: the error of the way there and back,
without and with a disturbance in between (noise of five gray values, JPEG of quality 75). A
translator that hides the input in invisible details finds it again only without one (Chu et al.,
CycleGAN, a Master of Steganography, arXiv:1712.02950).

With `--drawn turned` the runs were trained on bars and spindles: printed is the correlation of the
directions of input and output, 0 for unrelated ones. For a critic of codes (xgan): the share of
images whose domain it names right, and the cosine of the codes of two images with the same content,
and of two with another one.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.convert import to_float  # noqa: E402
from tfgans.data.scenes import direction_of  # noqa: E402
from tfgans.data.unpaired import DRAWN  # noqa: E402
from tfgans.metrics import hidden  # noqa: E402

SHOWN = 8


def drawn(kind, shape, count):
    """Images of both domains with the same content, [count, H, W, C] in [-1, 1] each."""
    found = []
    for second in (False, True):
        source = kind(shape, second, first=TRAINED_ON, count=count)
        stack = np.stack([source.read(i) for i in range(count)])
        found.append(to_float(stack, source.value_range, shape[2]))
    return found


def edges(x):
    """The size of the slope of the brightness, [N, H - 1, W - 1]."""
    gray = x.mean(axis=-1)
    return np.hypot(np.diff(gray, axis=1)[:, :, :-1], np.diff(gray, axis=2)[:, :-1])


def correlation(x, y):
    """The mean over images of the correlation of their pixels."""
    x, y = (v.reshape(len(v), -1) - v.reshape(len(v), -1).mean(1, keepdims=True) for v in (x, y))
    return np.mean((x * y).sum(1) / np.maximum(np.sqrt((x**2).sum(1) * (y**2).sum(1)), 1e-9))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, or names of releases")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--drawn", choices=DRAWN, default="scenes")
    parser.add_argument("--picture", type=pathlib.Path)
    given = parser.parse_args()
    turned = given.drawn == "turned"
    rows = []
    for run in given.runs:
        model = models.load(run)
        a, b = drawn(DRAWN[given.drawn], tuple(model.image_shape), given.images)
        print(f"{run}: {type(model).__name__}, {model.count_params():,} numbers")
        if hasattr(model, "domain_accuracy"):
            codes = in_parts(model.encode, a), in_parts(lambda x, m=model: m.encode(x, "b"), b)
            alike, apart = (np.mean(np.sum(codes[0] * np.roll(codes[1], k, 0), 1)) for k in (0, 1))
            print(
                f"  codes: the critic names {model.domain_accuracy(a, b):.1%} right; cosine of "
                f"partners {alike:.2f}, of others {apart:.2f}"
            )
        for word, back, source, truth in (("a_to_b", "b_to_a", a, b), ("b_to_a", "a_to_b", b, a)):

            def made(x, direction, model=model):
                def translate(part):
                    return model.translate(part, direction=direction, seed=0)

                return in_parts(translate, x, size=32)

            made(source[:32], word)
            start = time.perf_counter()
            output = made(source, word)
            seconds = (time.perf_counter() - start) / len(source)
            if turned:
                angles = direction_of(source), direction_of(output)
                fits = [abs(np.mean(np.exp(2j * (angles[1] - s * angles[0])))) for s in (1, -1)]
                print(
                    f"  {word}: correlation of directions {max(fits):.2f} (mirrored {fits[1]:.2f})"
                )
            else:
                error, own = (np.mean(np.abs(x - truth)) / 2 for x in (output, source))
                print(
                    f"  {word}: error {error:.3f} (input {own:.3f}), edges "
                    f"{correlation(edges(source), edges(output)):.2f}, {1e3 * seconds:.1f} ms"
                )
                returned = hidden.ways_back(output, lambda x, back=back: made(x, back))
                print(
                    "    way back: error {:.3f}, with noise {:.3f}, with JPEG {:.3f}".format(
                        *hidden.errors(source, returned).values()
                    )
                )
            rows += [source[:SHOWN], output[:SHOWN]]
            if hasattr(model, "attention"):  # how bright the encoder's features are, over the input
                where = model.attention(source[:SHOWN], word[0]).numpy()
                factor = source.shape[1] // where.shape[1]
                where = where.repeat(factor, axis=1).repeat(factor, axis=2)
                rows.insert(-1, where * (source[:SHOWN] + 1) - 1)
            if not turned and run == given.runs[-1]:
                rows.append(truth[:SHOWN])
    if given.picture:
        side = max(row.shape[1] for row in rows)
        rows = [tf.image.resize(row, [side, side], "bicubic") for row in rows]
        images.save_grid(np.concatenate(rows), given.picture, SHOWN)


if __name__ == "__main__":
    main()
