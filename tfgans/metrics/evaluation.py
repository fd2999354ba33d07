"""From a model or a folder of images, and a data set, to numbers with their protocol.

Images stream through in batches; of all of them only sums are kept, in float64. Features, patches
and logits are kept for metrics that cannot do without, of a bounded number of images.
"""

import contextlib
import dataclasses
import inspect
import pathlib
from collections.abc import Callable
from hashlib import sha256

import numpy as np

import tfgans
from tfgans import data, durable, storage
from tfgans.config import Data
from tfgans.data.images import ImageReader, common_shape, open_source
from tfgans.data.synthetic import WHITE, polygons
from tfgans.errors import BadInput, nearest
from tfgans.images import to_uint8
from tfgans.metrics.density_coverage import density_coverage
from tfgans.metrics.fid import Moments, fid_of_moments
from tfgans.metrics.improved_pr import improved_precision_recall
from tfgans.metrics.inception_score import inception_score
from tfgans.metrics.intra_fid import intra_fid
from tfgans.metrics.kid import kid
from tfgans.metrics.ms_ssim import ms_ssim
from tfgans.metrics.ppl import check_space, ppl_of_model
from tfgans.metrics.prd import prd, prd_summary
from tfgans.metrics.precision_recall import manifold_precision_recall
from tfgans.metrics.swd import PATCHES_PER_IMAGE, patches_of_levels, swd_of_patches

DEFINITION = 1  # grows when a metric or the order of images changes what a number means
BATCH = 64  # images at once; which images a seed gives depends on it
KEPT = 50_000  # images whose features and logits are kept
PATCHED = 2048  # images whose patches are kept: 75 kB of each level of each RGB image
PAIRED = 20_000  # images that are compared in pairs by MS-SSIM
STUDY = 1024  # images of the polygon study
FEW = 10_000  # below this many images FID is mostly bias


@dataclasses.dataclass
class Metric:
    """A metric by its name on the command line.

    Args:
        needs: What `Statistics` gathers for it, or one of `OF_MODEL`.
        settings: What a report says about it.
        values: Statistics of the real and the generated images, and the seed -> name -> number; of
            `OF_MODEL`: the evaluator, the model, the number of images, and the seed.
        best: Name of the number by which models are ranked; None where none is good by itself.
        higher: Whether a higher one is better.
    """

    needs: str
    settings: str
    values: Callable
    best: str | None = None
    higher: bool = False


def named(*names):
    """Wraps a function of two sets of features, so that its numbers have names."""

    def wrap(function):
        def values(real, fake, seed):
            return dict(zip(names, function(real.features, fake.features), strict=True))

        return values

    return wrap


def swd_values(real, fake, seed):
    real, fake = real.patches, fake.patches
    for side in real:  # equally many are compared
        few = min(len(real[side]), len(fake[side]))
        real[side], fake[side] = real[side][:few], fake[side][:few]
    levels = swd_of_patches(real, fake, seed)
    return {"swd": np.mean(list(levels.values()))} | {f"swd_{k}": v for k, v in levels.items()}


def path_metric(name, space, sampling):
    """The perceptual path length of one space and sampling."""

    def values(evaluator, model, samples, seed):
        random = np.random.default_rng([seed, 3])
        labels = evaluator.labels_of_data(random, samples)
        distance = evaluator.distance
        return {name: ppl_of_model(model, distance, samples, space, sampling, labels, seed)}

    settings = "one path for each image, step 1e-4, 1st to 99th percentile, no crop"
    return Metric(f"paths in {space}", settings, values, best=name)


METRICS = {
    "kid": Metric(
        "features", "unbiased, cubic kernel, 100 subsets of at most 1,000 images",
        lambda real, fake, seed: {"kid": kid(real.features, fake.features, seed=seed)[0]},
        best="kid",
    ),
    "fid": Metric(
        "moments", "covariances divided by N - 1",
        lambda real, fake, seed: {"fid": fid_of_moments(real.moments, fake.moments)},
        best="fid",
    ),
    "is": Metric(
        "logits", "mean of 10 splits",
        lambda real, fake, seed: {"is": inception_score(fake.logits)[0]},
        best="is", higher=True,
    ),
    "pr": Metric(
        "features", "k = 3", named("precision", "recall")(improved_precision_recall),
        best="recall", higher=True,
    ),
    "dc": Metric(
        "features", "k = 5", named("density", "coverage")(density_coverage),
        best="coverage", higher=True,
    ),
    "prd": Metric(
        "features", "20 clusters, 10 runs of k-means",
        named("prd_f8", "prd_f1/8")(lambda real, fake: prd_summary(*prd(real, fake))),
        best="prd_f8", higher=True,
    ),
    "intra_fid": Metric(
        "labels", "mean over classes, covariances divided by N - 1",
        lambda real, fake, seed: {
            "intra_fid": intra_fid(real.features, real.labels, fake.features, fake.labels)
        },
        best="intra_fid",
    ),
    "swd": Metric(
        "patches", f"at most {PATCHED:,} images of each set, times 1,000", swd_values,
        best="swd",
    ),
    "ms_ssim": Metric(
        "pairs", f"pairs of neighbors of at most {PAIRED:,} images",
        lambda real, fake, seed: {"ms_ssim": fake.similarity, "ms_ssim_of_real": real.similarity},
    ),
    "polygons": Metric(
        "polygons", f"at most {STUDY:,} images of each kind, delta = 0.75",
        lambda evaluator, model, samples, seed: polygon_study(model, min(STUDY, samples), seed),
        best="polygon_f1", higher=True,
    ),
    "ppl_zend": path_metric("ppl_zend", "z", "end"),
    "ppl_zfull": path_metric("ppl_zfull", "z", "full"),
    "ppl_wend": path_metric("ppl_wend", "w", "end"),
    "ppl_wfull": path_metric("ppl_wfull", "w", "full"),
}  # fmt: skip
WITH_NETWORK = ("features", "moments", "logits", "labels")  # needs that take an extractor
PATHS = ("paths in z", "paths in w")  # needs that take a distance
OF_MODEL = ("polygons", *PATHS)  # needs that are of a model, not of images


class Statistics:
    """What metrics need of a set of images, gathered batch by batch.

    Args:
        needs: Some of the words of `Metric.needs`.
        extractor: The feature network, or None where no metric needs it.
        seed: Of the places of patches.
    """

    def __init__(self, needs, extractor=None, seed=0):
        self.needs, self.extractor = set(needs), extractor
        self.random = np.random.default_rng(seed)
        self.count, self.moments, self.kept, self.similarities = 0, Moments(), {}, []

    def add(self, images, labels=None, features=None):
        """Adds images, uint8 [n, H, W, C], with class numbers; with features if they are known."""
        if "logits" in self.needs:
            features, logits = self.extractor.with_logits(images)
            self.keep("logits", logits, KEPT)
        elif self.needs & set(WITH_NETWORK) and features is None:
            features = self.extractor(images)
        if self.needs & {"moments"}:
            self.moments.add(features)
        if self.needs & {"features", "labels"}:
            self.keep("features", features, KEPT)
        if "labels" in self.needs:
            self.keep("labels", labels, KEPT)
        if "patches" in self.needs and self.count < PATCHED:
            levels = patches_of_levels(images, PATCHES_PER_IMAGE, self.random)
            for side, patches in levels.items():
                self.keep(side, patches, PATCHED * PATCHES_PER_IMAGE)
        if "pairs" in self.needs and self.count < PAIRED:
            even = len(images) // 2 * 2
            self.similarities.append(ms_ssim(images[:even:2], images[1:even:2]))
        self.count += len(images)

    def keep(self, name, rows, most):
        kept = self.kept.setdefault(name, [])
        room = most - sum(map(len, kept))
        kept.append(np.asarray(rows)[:room])

    @property
    def features(self) -> np.ndarray:
        """[at most KEPT, d]."""
        return np.concatenate(self.kept["features"])

    @property
    def labels(self) -> np.ndarray:
        """Class numbers [at most KEPT]."""
        return np.concatenate(self.kept["labels"])

    @property
    def logits(self) -> np.ndarray:
        """[at most KEPT, K]."""
        return np.concatenate(self.kept["logits"])

    @property
    def patches(self) -> dict:
        """Side of the level -> patches, as `swd_of_patches` takes them."""
        return {side: np.concatenate(p) for side, p in self.kept.items() if type(side) is int}

    @property
    def similarity(self) -> float:
        """Mean MS-SSIM of neighbors."""
        return float(np.concatenate(self.similarities).mean())


class Evaluator:
    """Measures models of one kind against one data set; the real images are measured once.

    Args:
        settings: The data: path, labels, value_range.
        image_shape: (height, width, channels): real images are brought to it as in training.
        num_classes: Of the models; above 0 the data must have labels, and images are generated
            for labels drawn from them.
        metrics: Names of METRICS.
        extractor: A feature network, or what `tfgans.features.get` makes one of.
        samples: How many images to generate.
        seeds: How many times, each with other latents.
        truncation: psi, for models that have it.
        cache: Folder in which the features of the real images are kept for the next time.
        distance: Of images, for path lengths: a `tfgans.features.vgg.LPIPS`; without it that of
            the files in the environment variables TFGANS_VGG16 and TFGANS_LPIPS.

    Raises:
        BadInput: A metric does not exist or does not fit the data.
    """

    def __init__(
        self, settings: Data, image_shape, num_classes=0, metrics=("kid", "fid"), extractor=None,
        samples=50_000, seeds=3, truncation=None, cache=None, distance=None,
    ):  # fmt: skip
        for name in metrics:
            if name not in METRICS:
                raise BadInput(nearest("metric", name, METRICS))
        if samples < 2 or seeds < 1:
            raise BadInput(f"At least two images and one seed, not {samples} and {seeds}.")
        if samples < FEW and "fid" in metrics:
            metrics = ["kid", *(name for name in metrics if name != "kid")]
        if "polygons" in metrics and (
            settings.path != "synthetic" or image_shape[2] != 1 or image_shape[0] != image_shape[1]
        ):
            raise BadInput("The metric polygons needs `synthetic` data, square and gray.")
        self.metrics, self.samples, self.seeds = list(metrics), samples, seeds
        self.truncation, self.cache = truncation, cache
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.needs = {METRICS[name].needs for name in metrics}
        self.extractor = self.distance = None
        if self.needs & set(PATHS):
            self.distance = distance or lpips_of_files()
            self.distance(*np.zeros([2, 1, *image_shape], "float32"))  # fails now, or never
        if self.needs & set(WITH_NETWORK):
            self.extractor = extractor_of(extractor)
            classes = "logits" in self.needs
            look = self.extractor.with_logits if classes else self.extractor
            look(np.zeros([1, *image_shape], "uint8"))  # fails now, or never
        if cache is not None and self.extractor and not self.extractor.sha256:
            raise BadInput(f"{self.extractor.name} has no hash, so nothing can be kept in {cache}.")
        self.settings = settings
        self.source = open_source(settings, self.image_shape, num_classes)
        if "labels" in self.needs and (self.source.labels is None or self.source.labels.ndim != 1):
            raise BadInput("intra_fid needs a model with classes and data with class numbers.")
        self.real = None

    def __call__(self, subject, description: dict) -> dict:
        """Measures a model, or a set of images.

        Args:
            subject: A model, or an `Images` whose shape is image_shape.
            description: What the result says about it.

        Returns:
            The result, as `report.py` writes it.
        """
        if self.real is None:
            self.measure_real()
        if isinstance(subject, data.Images):
            seeds, samples = [0], min(self.samples, len(subject))
        else:
            seeds, samples = list(range(self.seeds)), self.samples
        runs = [self.measure(subject, samples, seed) for seed in seeds]
        values = {}
        for name in runs[0]:
            numbers = [float(run[name]) for run in runs]
            std = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None
            values[name] = {"mean": float(np.mean(numbers)), "std": std, "runs": numbers}
        return {
            "subject": description,
            "data": str(self.settings.path),
            "values": values,
            "notes": self.notes(samples),
            "settings": {name: METRICS[name].settings for name in self.metrics},
            "protocol": self.protocol(subject, samples, seeds),
            "tfgans": tfgans.__version__,
        }

    def measure_real(self):
        """Passes over the real images, to measure them and for their fingerprint."""
        self.real = Statistics(self.needs - {"logits"}, self.extractor, seed=[0, 0])
        digest = sha256()
        with self.cached_features() as cached:
            for number, (images, labels) in enumerate(self.real_batches()):
                digest.update(images.tobytes())
                self.real.add(images, labels, cached(number, images))
        self.data_sha256 = digest.hexdigest()

    def real_batches(self):
        """All real images once, in random order: uint8 [n, H, W, C] and labels or None."""
        order = np.random.default_rng(0).permutation(len(self.source))
        reader = ImageReader(self.source, self.image_shape, "fail")
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            labels = None if self.source.labels is None else self.source.labels[rows]
            yield to_uint8(reader.read(list(rows))[0]), labels

    @contextlib.contextmanager
    def cached_features(self):
        """(number, images) -> features of that batch of real images, known or computed.

        The name of the file tells which images it is of, so these are read once more before.
        """
        if self.cache is None or self.extractor is None:
            yield lambda number, images: None
            return
        digest = sha256()
        for images, _ in self.real_batches():
            digest.update(images.tobytes())
        words = [digest.hexdigest(), self.extractor.sha256, self.extractor.resize]
        key = sha256(" ".join(words).encode()).hexdigest()[:16]
        path = pathlib.Path(self.cache).expanduser() / f"{key}.npy"
        if path.exists():
            known = np.load(path, mmap_mode="r")
            yield lambda number, images: known[number * BATCH : number * BATCH + len(images)]
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, table = path.with_name(f"partial-{path.name}"), None

        def compute(number, images):
            nonlocal table
            features = np.asarray(self.extractor(images))
            if table is None:
                shape = (len(self.source), features.shape[1])
                table = np.lib.format.open_memmap(partial, "w+", features.dtype, shape)
            table[number * BATCH : number * BATCH + len(images)] = features
            return features

        yield compute
        table.flush()
        durable.publish(partial, path)

    def measure(self, subject, samples, seed) -> dict:
        """Name -> number of one set of generated images."""
        fake = Statistics(self.needs, self.extractor, seed=[seed, 1])
        if self.needs - set(OF_MODEL):
            for images, labels in self.fake_batches(subject, samples, seed):
                fake.add(images, labels)
        values = {}
        for name in self.metrics:
            metric = METRICS[name]
            if metric.needs in OF_MODEL:
                found = metric.values(self, subject, samples, seed)
            else:
                found = metric.values(self.real, fake, seed)
            judge = self.judge_of(metric)
            own = judge is not None and not judge.comparable
            values |= {f"own_{word}" if own else word: value for word, value in found.items()}
        return values

    def judge_of(self, metric):
        """The network that a metric looks through, or None."""
        if metric.needs in WITH_NETWORK:
            return self.extractor
        return self.distance if metric.needs in PATHS else None

    def labels_of_data(self, random, n):
        """n labels drawn from the data, or None for a model without classes."""
        if not self.num_classes:
            return None
        return self.source.labels[random.integers(len(self.source), size=n)]

    def fake_batches(self, subject, samples, seed):
        """Generated images, uint8 [n, H, W, C], and their labels or None."""
        if isinstance(subject, data.Images):
            order = np.random.default_rng(seed).permutation(len(subject))[:samples]
            reader = ImageReader(subject, self.image_shape, "fail")
            for begin in range(0, samples, BATCH):
                yield to_uint8(reader.read(list(order[begin : begin + BATCH]))[0]), None
            return
        options = {} if self.truncation is None else {"truncation": self.truncation}
        random = np.random.default_rng([seed, 2])
        for begin in range(0, samples, BATCH):
            labels = self.labels_of_data(random, BATCH)
            if labels is not None:
                options["labels"] = labels
            images = np.asarray(
                subject.sample(BATCH, seed=(seed << 20) + begin // BATCH, **options)
            )
            if not np.isfinite(images).all():
                raise BadInput("The model makes images that are not finite numbers.")
            rows = slice(0, samples - begin)  # the last batch is cut
            yield to_uint8(images[rows]), None if labels is None else labels[rows]

    def protocol(self, subject, samples, seeds) -> dict:
        """All that two results must share for their numbers to be compared."""
        folder = isinstance(subject, data.Images)
        extractor, distance = self.extractor, self.distance
        same = self.source.shape == self.image_shape
        return {
            "definition": DEFINITION,
            "extractor": extractor and extractor.name,
            "extractor_sha256": extractor and extractor.sha256,
            "resize": extractor and extractor.resize,
            "comparable_with_published": extractor and bool(extractor.comparable),
            "distance": distance and distance.name,
            "distance_sha256": distance and distance.sha256,
            "data_sha256": self.data_sha256,
            "real_images": self.real.count,
            "real_images_resized": "no" if same else "center crop, Lanczos",
            "mirrored": False,
            "image_shape": list(self.image_shape),
            "generated_images": samples,
            "rounding": "8 bits",
            "truncation": self.truncation,
            "labels": "drawn from the data" if self.num_classes and not folder else None,
            "covariance_ddof": 1,
            "seeds": seeds,
        }

    def notes(self, samples) -> list:
        """What a reader of the numbers must know."""
        notes = []
        if samples < FEW and "fid" in self.metrics:
            notes.append(
                f"{samples:,} images are fewer than {FEW:,}: FID is mostly bias. Look at KID, "
                "whose mean does not depend on the number of images."
            )
        for judge in (self.extractor, self.distance):
            if judge is not None and not judge.comparable:
                notes.append(
                    f"own_...: by the features of {judge.name}, not comparable with published "
                    "figures."
                )
        return notes


def extractor_of(spec):
    """A feature network: the given one, or what `tfgans.features.get` finds."""
    if hasattr(spec, "comparable"):
        return spec
    from tfgans import features

    return features.get(spec)


def lpips_of_files():
    """LPIPS from the files that environment variables name."""
    from tfgans.features.vgg import LPIPS

    return LPIPS()


def polygon_study(model, count, seed) -> dict:
    """Precision, recall and F1 of a model of triangles."""

    def unit(images):
        return (images + 1) / 2

    fakes = unit(model.sample(count, seed=seed))
    test = polygons(count, side=model.image_shape[0], seed=10_000 + seed)[..., None] / WHITE
    result = manifold_precision_recall(
        fakes, lambda z: unit(model(z)), model.latents, test, seed=seed
    )  # fmt: skip
    return {f"polygon_{name}": value for name, value in result.items()}


def evaluate(
    name, path, metrics=("kid", "fid"), extractor=None, samples=50_000, seeds=3, truncation=None,
    cache=None, value_range=None, distance=None,
) -> dict:  # fmt: skip
    """Measures a trained model, or a folder of images, against a data set.

    Args:
        name: What `tfgans.models.load` takes, or a path of images.
        path: The data, as `data.path` of a configuration: also "synthetic".
        metrics: Names of `METRICS`.
        extractor: What `tfgans.features.get` takes, or such a feature network.
        samples: How many images to generate, or to take of a folder at most.
        seeds: How many times, each with other latents; a folder is measured once.
        truncation: psi, for models that have it.
        cache: Folder in which the features of the real images are kept for the next time.
        value_range: Of float pixels in the data.
        distance: Of images, for path lengths, as `Evaluator` takes it.

    Returns:
        The result, to be written by `write_result`: values with mean, deviation and runs, notes,
        settings, protocol.

    Raises:
        BadInput: Something does not fit.
        FileNotFoundError: There is neither a model nor a set of images of this name.
    """
    subject, description = open_subject(name)
    settings = Data(path=path, value_range=value_range)
    if isinstance(subject, data.Images):
        if truncation is not None:
            raise BadInput(f"{name} is a set of images, and knows no truncation.")
        for metric in metrics:
            if metric in METRICS and METRICS[metric].needs in OF_MODEL:
                raise BadInput(f"{metric} is of a model's latents; {name} is a set of images.")
        shape, classes, samples = common_shape(subject), 0, min(samples, len(subject))
    else:
        check_model(subject, metrics, truncation)
        shape, classes = subject.image_shape, subject.num_classes
    settings.labels = bool(classes)
    evaluator = Evaluator(
        settings, shape, classes, metrics, extractor, samples, seeds, truncation, cache, distance
    )
    return evaluator(subject, description)


def check_model(model, metrics=(), truncation=None):
    """Raises BadInput unless a model makes images of latents, and has what the metrics need.

    Args:
        model: The model.
        metrics: Names of `METRICS`.
        truncation: psi, which the model must know if it is given.
    """
    kind = type(model).__name__
    if model.data_kind != "images":
        raise BadInput(
            f"{kind} takes data of the kind {model.data_kind!r}; metrics are of models that learn "
            "a set of images."
        )
    if truncation is not None and "truncation" not in inspect.signature(model.sample).parameters:
        raise BadInput(f"{kind} has no truncation.")
    for name in metrics:
        if name in METRICS and METRICS[name].needs in PATHS:
            check_space(model, METRICS[name].needs[-1])
            if truncation is not None:
                raise BadInput(f"{name} is of all latents: leave out the truncation.")


def open_subject(name) -> tuple:
    """A model, or a set of images, and what a result says about it."""
    try:
        path = storage.find(name)
    except FileNotFoundError:
        folder = pathlib.Path(name).expanduser()
        if not folder.exists() or (folder / "snapshots").is_dir():
            raise
        return data.open_images(name), {"name": str(name), "kind": "images"}
    model = storage.read(path, compile=False)
    return model, describe(model, name)


def describe(model, name) -> dict:
    """What a result says about a model."""
    return {
        "name": str(name),
        "kind": type(model).__name__,
        "step": int(model.step.numpy()),
        "averaged_weights": hasattr(model, "generator_ema"),
    }
