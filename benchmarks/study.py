"""Losses side by side on triangles: `python benchmarks/study.py [--out FOLDER] [--steps N]`.

The experiment of "Are GANs Created Equal?" (Lucic et al., NeurIPS 2018, arXiv:1711.10337) at a size
for two cores. All losses train the same networks (those of the study, narrower) on the same images
for as many updates of the discriminator: from the first seed with each learning rate, from the
others with the one that has the lowest FID there. The generator gets a fifth of the updates where
the paper of a loss says so. Precision and recall are those of the known manifold of triangles; FID
is that of the package's own features.

It writes a row of FOLDER/study.csv after each training, and goes on where it was stopped;
`--losses` divides the work. Then it prints the table of the best learning rate of each
loss, and draws FOLDER/study.png: samples of the first seed, a row for each loss.
"""

import argparse
import csv
import os
import pathlib
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import keras  # noqa: E402
import numpy as np  # noqa: E402

from tfgans import data, images, metrics, models  # noqa: E402
from tfgans.data.synthetic import SyntheticImages  # noqa: E402
from tfgans.models.infogan import build_generator, build_head, build_trunk, dense  # noqa: E402
from tfgans.optimizers import Adam  # noqa: E402

SHAPE, LATENT, BATCH = (32, 32, 1), 64, 32
DENSE, WIDTH = 128, 16  # the study has 1024 and 64
LOSSES = {  # name -> model, its settings, D with batch normalization
    "mm": ("gan", {"saturating": True}, True),
    "ns": ("gan", {}, True),
    "lsgan": ("lsgan", {}, True),
    "wgan": ("wgan", {"n_critic": 5, "long_rounds": 0}, True),
    "wgan_gp": ("wgan_gp", {"n_critic": 5}, False),
    "dragan": ("dragan", {}, False),
    "began": ("began", {"gamma": 0.75, "k_rate": 1e-3}, False),
    "vae": ("vae", {"dense_width": DENSE, "width": WIDTH}, True),
}
RATES = (1e-3, 3e-3)
FIELDS = ("loss", "rate", "seed", "seconds", "precision", "recall", "f1", "fid")
MEASURED = 64  # images for precision and recall; FID takes 1,024


def plain_trunk():
    """The study's discriminator without batch normalization, up to its features."""

    def conv(filters):
        return keras.layers.Conv2D(
            filters, 4, 2, "same", kernel_initializer=keras.initializers.RandomNormal(stddev=0.02)
        )

    image = keras.Input(SHAPE)
    x = keras.layers.LeakyReLU(0.2)(conv(WIDTH)(image))
    x = keras.layers.LeakyReLU(0.2)(conv(2 * WIDTH)(x))
    x = keras.layers.LeakyReLU(0.2)(dense(DENSE)(keras.layers.Flatten()(x)))
    return keras.Model(image, x)


def build(name, seed):
    """A model with the networks of the study in place of its own."""
    keras.utils.set_random_seed(seed)
    architecture, settings, normalized = LOSSES[name]
    model = models.get(architecture)(image_shape=SHAPE, latent_dim=LATENT, **settings)
    if name == "vae":
        return model
    model.generator = build_generator(SHAPE, LATENT, DENSE, WIDTH)
    trunk = build_trunk(SHAPE, DENSE, WIDTH, leak=0.2) if normalized else plain_trunk()
    if name == "began":  # an autoencoder of the same parts
        code = dense(LATENT)(trunk.output)
        back = build_generator(SHAPE, LATENT, DENSE, WIDTH)(code)
        model.discriminator = keras.Model(trunk.input, back, name="discriminator")
    else:
        score = build_head(DENSE)(trunk.output)
        model.discriminator = keras.Model(trunk.input, score, name="discriminator")
    return model


def train(name, rate, seed, steps):
    """The model after `steps` updates of its discriminator."""
    model = build(name, seed)
    model.compile({p: Adam(rate, beta_1=0.5) for p in model.players()}, seed=seed)
    batches = data.batches(
        model, SyntheticImages(SHAPE), data.Data("synthetic", batch_size=BATCH), seed
    )
    count = steps // model.batches_per_step
    model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0)
    return model


def measure(model, cache):
    """Precision, recall, F1 and FID of a model. The folder `cache` keeps features of the data."""
    some = {"settings": data.Data("synthetic"), "image_shape": SHAPE, "seeds": 1}
    few = metrics.Evaluator(metrics=["polygons"], samples=MEASURED, **some)
    many = metrics.Evaluator(
        metrics=["fid"], samples=1024, extractor="own-small", cache=cache, **some
    )
    found = few(model, {})["values"] | many(model, {})["values"]
    words = ("polygon_precision", "polygon_recall", "polygon_f1", "own_fid")
    return dict(zip(FIELDS[4:], (found[word]["mean"] for word in words), strict=True))


def best_rate(rows, name):
    """The learning rate with the lowest FID from the first seed; None before all are tried."""
    tried = {
        float(row["rate"]): float(row["fid"])
        for row in rows
        if row["loss"] == name and int(row["seed"]) == 0
    }
    return min(tried, key=tried.get) if len(tried) == len(RATES) else None


def report(rows):
    """Prints the table: mean and range over the seeds with each loss's best learning rate."""
    print("| loss | learning rate | seeds | precision | recall | F1 | FID (own features) |")
    print("|---|---|---|---|---|---|---|")
    for name in LOSSES:
        rate = best_rate(rows, name)
        some = [row for row in rows if row["loss"] == name and float(row["rate"]) == rate]
        if not some:
            continue
        cells = []
        for field, digits in (("precision", 2), ("recall", 2), ("f1", 2), ("fid", 3)):
            values = [float(row[field]) for row in some]
            spread = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
            cells.append(f"{statistics.mean(values):.{digits}f} ({spread})")
        print(f"| {name} | {rate:g} | {len(some)} | {' | '.join(cells)} |")


def runs(rows, seeds, losses):
    """Yields what is still to be trained: loss, rate, seed."""
    for seed in range(seeds):
        for name in losses:
            for rate in RATES if seed == 0 else [best_rate(rows, name)]:
                done = {(r["loss"], float(r["rate"]), int(r["seed"])) for r in rows}
                if rate and (name, rate, seed) not in done:
                    yield name, rate, seed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("study"))
    parser.add_argument("--steps", type=int, default=3000, help="updates of the discriminator")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    table = given.out / "study.csv"
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    for name, rate, seed in runs(rows, given.seeds, given.losses):
        begin = time.perf_counter()
        model = train(name, rate, seed, given.steps)
        seconds = time.perf_counter() - begin
        np.save(given.out / f"{name}-{rate:g}-{seed}.npy", model.sample(16, seed=0).numpy())
        row = {"loss": name, "rate": rate, "seed": seed, "seconds": round(seconds, 1)}
        row |= {word: round(value, 4) for word, value in measure(model, given.out).items()}
        new = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        rows.append(row)
        print(*row.values(), flush=True)
        keras.backend.clear_session()
    rows = list(csv.DictReader(table.open()))  # those of other processes too
    report(rows)
    files = [given.out / f"{name}-{best_rate(rows, name) or 0:g}-0.npy" for name in LOSSES]
    samples = [np.load(path) for path in files if path.exists()]
    images.save_grid(np.concatenate(samples), given.out / "study.png", columns=16)


if __name__ == "__main__":
    main()
