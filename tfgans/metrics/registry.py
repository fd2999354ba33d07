"""The metrics by name, each with the statistics it is computed from and its settings."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfgans.data.synthetic import WHITE, polygons
from tfgans.metrics.density_coverage import density_coverage
from tfgans.metrics.fid import fid_of_moments
from tfgans.metrics.improved_pr import improved_precision_recall
from tfgans.metrics.inception_score import inception_score
from tfgans.metrics.intra_fid import intra_fid
from tfgans.metrics.kid import kid
from tfgans.metrics.ppl import ppl_of_model
from tfgans.metrics.prd import prd, prd_summary
from tfgans.metrics.precision_recall import manifold_precision_recall
from tfgans.metrics.swd import swd_of_patches

KEPT = 50_000  # images whose features and logits are kept
OF_KEPT = f"at most {KEPT:,} images of each set"
PATCHED = 2048  # images whose patches are kept: 75 kB per level of each RGB image
PAIRED = 20_000  # images that MS-SSIM compares in pairs
STUDY = 1024  # images of the polygon study
WITH_NETWORK = ("features", "moments", "logits", "labels")  # needs that take an extractor
PATHS = ("paths in z", "paths in w")  # needs that take a distance
OF_MODEL = ("polygons", *PATHS)  # needs that take a model, not images


@dataclasses.dataclass
class Metric:
    """A metric as the command line names it.

    Args:
        needs: The statistics that `Statistics` gathers for it, or a word of `OF_MODEL`.
        settings: Its settings, for the report.
        values: Function of the statistics of the real images, those of the generated images and the
            seed, or, with `needs` in `OF_MODEL`, of the evaluator, the model, the number of images
            and the seed. It returns name -> number.
        best: Name of the number that ranks models; None where the number alone ranks nothing.
        higher: True where a higher number is better.
    """

    needs: str
    settings: str
    values: Callable
    best: str | None = None
    higher: bool = False


def kid_values(real, fake, seed):
    return {"kid": kid(real.features, fake.features, seed=seed)[0]}


def fid_values(real, fake, seed):
    return {"fid": fid_of_moments(real.moments, fake.moments)}


def inception_score_values(real, fake, seed):
    return {"is": inception_score(fake.logits)[0]}


def improved_pr_values(real, fake, seed):
    precision, recall = improved_precision_recall(real.features, fake.features)
    return {"precision": precision, "recall": recall}


def density_coverage_values(real, fake, seed):
    density, coverage = density_coverage(real.features, fake.features)
    return {"density": density, "coverage": coverage}


def prd_values(real, fake, seed):
    f8, f1_8 = prd_summary(*prd(real.features, fake.features))
    return {"prd_f8": f8, "prd_f1/8": f1_8}


def intra_fid_values(real, fake, seed):
    return {"intra_fid": intra_fid(real.features, real.labels, fake.features, fake.labels)}


def swd_values(real, fake, seed):
    real, fake = real.patches, fake.patches
    for side in real:  # both sets must have the same size
        few = min(len(real[side]), len(fake[side]))
        real[side], fake[side] = real[side][:few], fake[side][:few]
    levels = swd_of_patches(real, fake, seed)
    return {"swd": np.mean(list(levels.values()))} | {f"swd_{k}": v for k, v in levels.items()}


def ms_ssim_values(real, fake, seed):
    return {"ms_ssim": fake.similarity, "ms_ssim_of_real": real.similarity}


def polygon_values(evaluator, model, samples, seed):
    """Precision, recall and F1 of a model of triangles."""

    def unit(images):
        return (images + 1) / 2

    count = min(STUDY, samples)
    fakes = unit(model.sample(count, seed=seed))
    test = polygons(count, side=model.image_shape[0], seed=10_000 + seed)[..., None] / WHITE
    result = manifold_precision_recall(
        fakes, lambda z: unit(model(z)), model.latents, test, seed=seed
    )
    return {f"polygon_{name}": value for name, value in result.items()}


def path_metric(name, space, sampling):
    """The perceptual path length in one space, with one sampling of the steps."""

    def values(evaluator, model, samples, seed):
        random = np.random.default_rng([seed, 3])
        labels = evaluator.labels_of_data(model, random, samples)
        distance = evaluator.distance
        return {name: ppl_of_model(model, distance, samples, space, sampling, labels, seed)}

    settings = "one path for each image, step 1e-4, 1st to 99th percentile, no crop"
    return Metric(f"paths in {space}", settings, values, best=name)


METRICS = {
    "kid": Metric(
        needs="features",
        settings=f"unbiased, cubic kernel, 100 subsets of at most 1,000 images, {OF_KEPT}",
        values=kid_values,
        best="kid",
    ),
    "fid": Metric(
        needs="moments",
        settings="covariances divided by N - 1",
        values=fid_values,
        best="fid",
    ),
    "is": Metric(
        needs="logits",
        settings=f"mean of 10 splits of at most {KEPT:,} images",
        values=inception_score_values,
        best="is",
        higher=True,
    ),
    "pr": Metric(
        needs="features",
        settings=f"k = 3, {OF_KEPT}",
        values=improved_pr_values,
        best="recall",
        higher=True,
    ),
    "dc": Metric(
        needs="features",
        settings=f"k = 5, {OF_KEPT}",
        values=density_coverage_values,
        best="coverage",
        higher=True,
    ),
    "prd": Metric(
        needs="features",
        settings=f"20 clusters, 10 runs of k-means, {OF_KEPT}",
        values=prd_values,
        best="prd_f8",
        higher=True,
    ),
    "intra_fid": Metric(
        needs="labels",
        settings=f"mean over classes, covariances divided by N - 1, {OF_KEPT}",
        values=intra_fid_values,
        best="intra_fid",
    ),
    "swd": Metric(
        needs="patches",
        settings=f"at most {PATCHED:,} images of each set, times 1,000",
        values=swd_values,
        best="swd",
    ),
    "ms_ssim": Metric(
        needs="pairs",
        settings=f"pairs of neighbors of at most {PAIRED:,} images",
        values=ms_ssim_values,
    ),
    "polygons": Metric(
        needs="polygons",
        settings=f"at most {STUDY:,} images of each kind, delta = 0.75",
        values=polygon_values,
        best="polygon_f1",
        higher=True,
    ),
    "ppl_zend": path_metric("ppl_zend", "z", "end"),
    "ppl_zfull": path_metric("ppl_zfull", "z", "full"),
    "ppl_wend": path_metric("ppl_wend", "w", "end"),
    "ppl_wfull": path_metric("ppl_wfull", "w", "full"),
}
