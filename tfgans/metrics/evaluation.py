"""Measures a model or a folder of images against a data set; the result holds its protocol.

Images stream through `Statistics` in batches, so a set never lies in memory as a whole.
"""

import contextlib
import inspect
import math
import pathlib
from hashlib import sha256

import numpy as np

from tfgans import data, durable, features, random, storage
from tfgans.config import Config
from tfgans.data.images import ImageReader, common_shape, open_source
from tfgans.data.settings import Data
from tfgans.errors import BadInput, nearest
from tfgans.features.vgg import LPIPS
from tfgans.images import to_uint8
from tfgans.metrics.ppl import check_space
from tfgans.metrics.registry import METRICS, OF_MODEL, PATHS, WITH_NETWORK
from tfgans.metrics.statistics import Statistics
from tfgans.models.translation import TranslationModel
from tfgans.ops.machine import for_many
from tfgans.version import __version__

DEFINITION = 1  # grows when a metric or the order of images changes the meaning of a number
BATCH = 64  # images at once; the images that a seed gives depend on it
FEW = 10_000  # below this many images FID is mostly bias


class Evaluator:
    """Measures models of one image shape against one data set, whose images it measures once.

    Args:
        settings: The data: path, labels, value_range.
        image_shape: (height, width, channels). Real images are resized to it as in training.
        num_classes: Number of classes of the models. Above 0 the data must have labels, and the
            labels of the generated images are drawn from them.
        metrics: Names of METRICS.
        extractor: A feature network, or the `spec` that `tfgans.features.get` takes.
        samples: Number of images to generate.
        seeds: Number of runs, each with other latents.
        truncation: psi, for models that have it.
        cache: Folder that keeps the features of the real images for later evaluations.
        distance: Distance of images for path lengths, such as `tfgans.features.vgg.LPIPS`, or a
            function: two sets of images [N, H, W, C] in [-1, 1] -> [N]. The default is LPIPS from
            the files in the environment variables TFGANS_VGG16 and TFGANS_LPIPS.
        inputs: For models that translate images: their data, as `data.resolve` opens them. The
            wanted images among these are the real ones.

    Raises:
        BadInput: A metric does not exist or does not fit the data.
    """

    def __init__(
        self,
        settings: Data,
        image_shape,
        num_classes=0,
        metrics=("kid", "fid"),
        extractor=None,
        samples=50_000,
        seeds=3,
        truncation=None,
        cache=None,
        distance=None,
        inputs=None,
    ):
        for name in metrics:
            if name not in METRICS:
                raise BadInput(nearest("metric", name, METRICS))
        if samples < 2 or seeds < 1:
            raise BadInput(f"Wanted at least two images and one seed, not {samples} and {seeds}.")
        if samples < FEW and "fid" in metrics:
            metrics = ["kid", *(name for name in metrics if name != "kid")]
        if "polygons" in metrics and (
            settings.path != "synthetic" or image_shape[2] != 1 or image_shape[0] != image_shape[1]
        ):
            raise BadInput("The metric polygons needs the data `synthetic`: square gray images.")
        self.metrics, self.samples, self.seeds = list(metrics), samples, seeds
        self.truncation, self.cache = truncation, cache
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.needs = {METRICS[name].needs for name in metrics}
        self.extractor = self.distance = None
        if self.needs & set(PATHS):
            self.distance = distance_of(distance)
            self.distance(*np.zeros([2, 1, *image_shape], "float32"))  # an error comes at once
        if self.needs & set(WITH_NETWORK):
            self.extractor = extractor_of(extractor)
            classes = "logits" in self.needs
            look = self.extractor.with_logits if classes else self.extractor
            look(np.zeros([1, *image_shape], "uint8"))  # an error comes at once
        if cache is not None and self.extractor and not self.extractor.sha256:
            raise BadInput(
                f"{self.extractor.name} has no hash of its weights, so its features cannot be "
                f"cached in {cache}: leave out the cache."
            )
        self.settings = settings
        self.inputs = inputs
        if inputs is None:
            self.source = open_source(settings, self.image_shape, num_classes)
        else:
            self.source = inputs.wanted
            self.samples = min(samples, len(self.source))
        if "labels" in self.needs and (self.source.labels is None or self.source.labels.ndim != 1):
            raise BadInput("intra_fid needs a model with classes and data with class numbers.")
        self.real = None

    def __call__(self, subject, description: dict) -> dict:
        """Measures a model or a set of images.

        Args:
            subject: A model, or an `Images` whose shape is image_shape.
            description: The entry "subject" of the result.

        Returns:
            The result, as `write_result` takes it.
        """
        if self.real is None:
            self.measure_real()
        if isinstance(subject, data.Images):
            seeds, samples = [0], min(self.samples, len(subject))
        else:
            seeds, samples = list(range(self.seeds)), self.samples
        make = for_many(self.maker(subject), len(seeds) * math.ceil(samples / BATCH))
        found = (self.measure(subject, make, samples, seed) for seed in seeds)
        runs, counts = zip(*found, strict=True)
        samples = counts[0]
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
            "tfgans": __version__,
        }

    def measure_real(self):
        """Computes the statistics and the hash of the real images."""
        self.real = Statistics(self.needs - {"logits"}, self.extractor, seed=[0, 0])
        digest = sha256()
        with self.cached_features() as cached:
            for number, (images, labels) in enumerate(self.real_batches()):
                digest.update(images.tobytes())
                self.real.add(images, labels, cached(number, images))
        if self.needs - set(OF_MODEL):
            check_count(self.real.count, "real images")
        self.data_sha256 = digest.hexdigest()

    def real_batches(self):
        """Yields all real images once, in random order: uint8 [n, H, W, C] and labels or None."""
        order = np.random.default_rng(0).permutation(len(self.source))
        for images, rows in self.read(self.source, order):
            yield images, None if self.source.labels is None else self.source.labels[rows]

    def read(self, source, order):
        """Yields images, uint8 [n, H, W, C], and their indices; broken ones as in training.

        Args:
            source: `tfgans.data.Images`.
            order: Their indices, an array.
        """
        reader = ImageReader(source, self.image_shape, self.settings.broken)
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            images, used = reader.read(list(rows))
            intact = used == rows  # another one stands in the place of a broken one
            if intact.any():
                yield to_uint8(images[intact]), rows[intact]

    @contextlib.contextmanager
    def cached_features(self):
        """(number of the batch, images) -> features of real images, from the cache or computed.

        The name of the cache file is a hash of the images, so all images are read once more to
        find it.
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
            rows = np.asarray(self.extractor(images))
            if table is None:
                shape = (len(self.source), rows.shape[1])
                table = np.lib.format.open_memmap(partial, "w+", rows.dtype, shape)
            table[number * BATCH : number * BATCH + len(images)] = rows
            return rows

        yield compute
        table.flush()
        durable.publish(partial, path)

    def measure(self, subject, make, samples, seed) -> tuple:
        """Measures one set of generated images: name -> number, and the number of images.

        Args:
            subject: A model, or `Images`.
            make: `maker` of the model.
            samples: Number of images to make, or to take of a set.
            seed: Whole number: decides latents, labels and order.
        """
        fake = Statistics(self.needs, self.extractor, seed=[seed, 1])
        if self.needs - set(OF_MODEL):
            for images, labels in self.fake_batches(subject, make, samples, seed):
                fake.add(images, labels)
            samples = fake.count  # fewer where images are broken
            check_count(samples, "images to measure")
        values = {}
        for name in self.metrics:
            metric = METRICS[name]
            if metric.needs in OF_MODEL:
                found = metric.values(self, subject, samples, seed)
            else:
                found = metric.values(self.real, fake, seed)
            network = self.network_of(metric)
            own = network is not None and not network.comparable
            values |= {f"own_{word}" if own else word: value for word, value in found.items()}
        return values, samples

    def network_of(self, metric):
        """The network that a metric uses, or None."""
        if metric.needs in WITH_NETWORK:
            return self.extractor
        return self.distance if metric.needs in PATHS else None

    def labels_of_data(self, model, generator, n):
        """Draws n labels from the data; None for a model that is not conditional on them.

        Args:
            model: For its `label_dim`.
            generator: A `numpy.random.Generator`.
            n: Number of labels.
        """
        if not model.label_dim:
            return None
        return self.source.labels[generator.integers(len(self.source), size=n)]

    def maker(self, model):
        """A function that makes a batch of images: of a seed and labels, or of a seed and inputs.

        The seed is a pair of int64, as the two first arguments of `random.scope`.

        Args:
            model: A model, or `Images`, for which nobody calls the function.
        """
        options = {} if self.truncation is None else {"truncation": self.truncation}

        def sample(seed, **labels):
            return model.sample(BATCH, seed[0], **labels, **options)

        def translate(seed, **batch):
            with random.scope(seed[0], seed[1]):
                return model.outputs(batch)

        return sample if self.inputs is None else translate

    def fake_batches(self, subject, make, samples, seed):
        """Yields generated images, uint8 [n, H, W, C], and their labels or None.

        Args:
            subject: A model, or `Images`.
            make: `maker` of the model.
            samples: Number of images, at most.
            seed: As `measure`.
        """
        if isinstance(subject, data.Images):
            order = np.random.default_rng(seed).permutation(len(subject))[:samples]
            yield from ((images, None) for images, _ in self.read(subject, order))
            return
        if self.inputs is not None:
            yield from self.translations(subject, make, samples, seed)
            return
        generator = np.random.default_rng([seed, 2])
        for begin in range(0, samples, BATCH):
            labels = self.labels_of_data(subject, generator, BATCH)
            given = {} if labels is None else {"labels": labels}
            images = finite(make(np.array([(seed << 20) + begin // BATCH, 0]), **given))
            rows = slice(0, samples - begin)  # the last batch is cut
            yield to_uint8(images[rows]), None if labels is None else labels[rows]

    def translations(self, model, make, samples, seed):
        """Yields the model's outputs for inputs in random order, uint8 [n, H, W, C], and None.

        Args:
            model: A model that translates images.
            make: `maker` of the model.
            samples: Number of outputs.
            seed: As `measure`.
        """
        settings = Data(**vars(self.settings) | {"batch_size": BATCH, "flip": False, "jitter": 0})
        last = len(model.stage_steps)
        batches = data.batches(model, self.inputs, settings, seed, stage=last)
        for begin, batch in zip(range(0, samples, BATCH), batches, strict=False):
            images = finite(make(np.array([seed, begin]), **batch))
            yield to_uint8(images[: samples - begin]), None

    def protocol(self, subject, samples, seeds) -> dict:
        """The conditions that two results must share for their numbers to be comparable.

        Args:
            subject: A model, or `Images`.
            samples: Number of images that were measured.
            seeds: The seeds of all measurements.
        """
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
        """Warnings for the reader of numbers that were measured on so many `samples`."""
        notes = []
        if samples < FEW and "fid" in self.metrics:
            notes.append(
                f"{samples:,} images are fewer than {FEW:,}: FID is mostly bias. Look at KID, "
                "whose mean does not depend on the number of images."
            )
        for network in (self.extractor, self.distance):
            if network is not None and not network.comparable:
                notes.append(
                    f"own_...: measured with the features of {network.name}, not comparable with "
                    "published figures."
                )
        return notes


def check_count(count, noun):
    """Raises BadInput where fewer than two images are intact: no metric of images has a value."""
    if count < 2:
        raise BadInput(f"Wanted at least two intact {noun}, not {count}: give more images.")


def finite(images) -> np.ndarray:
    """Generated images as an array. Raises BadInput where a pixel is NaN or infinite."""
    images = np.asarray(images)
    if not np.isfinite(images).all():
        raise BadInput("The model generates images with NaN or infinite pixels.")
    return images


def extractor_of(spec):
    """The given feature network, or the one that `tfgans.features.get` finds."""
    return spec if hasattr(spec, "comparable") else features.get(spec)


def distance_of(spec):
    """The given distance with its name and hash, or LPIPS from the environment's files."""
    if spec is None:
        return LPIPS()
    return spec if hasattr(spec, "comparable") else OwnDistance(spec)


class OwnDistance:
    """A function as a distance for path lengths. No published numbers are made with it.

    Args:
        function: Two sets of images [N, H, W, C] in [-1, 1] -> [N].
    """

    sha256, comparable = None, False

    def __init__(self, function):
        self.function = function
        self.name = f"function {getattr(function, '__name__', type(function).__name__)}"

    def __call__(self, a, b):
        return self.function(a, b)


def evaluate(
    name,
    path,
    metrics=("kid", "fid"),
    extractor=None,
    samples=50_000,
    seeds=3,
    truncation=None,
    cache=None,
    value_range=None,
    distance=None,
) -> dict:
    """Measures a trained model or a folder of images against a data set.

    Args:
        name: A model, as `tfgans.models.load` takes it, or a path of images.
        path: The data, as `data.path` of a configuration; "synthetic" too.
        metrics: Names of `METRICS`.
        extractor: A feature network, or the `spec` that `tfgans.features.get` takes.
        samples: Number of images to generate, or the most to take from a folder.
        seeds: Number of runs, each with other latents; a folder is measured once.
        truncation: psi, for models that have it.
        cache: Folder that keeps the features of the real images for later evaluations.
        value_range: (low, high) of float pixels in the data.
        distance: Distance of images for path lengths, as `Evaluator` takes it.

    Returns:
        The result, for `write_result`: values with mean, deviation and runs, notes, settings,
        protocol.

    Raises:
        BadInput: The metrics, the model and the data do not fit together.
        FileNotFoundError: No model and no set of images has this name.
    """
    subject, description = open_subject(name)
    settings = Data(path=path, value_range=value_range)
    if isinstance(subject, data.Images):
        if truncation is not None:
            raise BadInput(f"{name} is a set of images: leave out the truncation.")
        for metric in metrics:
            if metric in METRICS and METRICS[metric].needs in OF_MODEL:
                raise BadInput(f"{metric} needs a model's latents; {name} is a set of images.")
        shape, classes, samples = common_shape(subject), 0, min(samples, len(subject))
    else:
        check_model(subject, metrics, truncation)
        shape, classes = subject.image_shape, subject.num_classes
    settings.labels = bool(classes)
    inputs = None
    if isinstance(subject, TranslationModel):
        inputs = data.resolve(
            Config(type(subject).__name__, subject.get_config(), data=settings), type(subject)
        )
    evaluator = Evaluator(
        settings=settings,
        image_shape=shape,
        num_classes=classes,
        metrics=metrics,
        extractor=extractor,
        samples=samples,
        seeds=seeds,
        truncation=truncation,
        cache=cache,
        distance=distance,
        inputs=inputs,
    )
    return evaluator(subject, description)


def check_model(model, metrics=(), truncation=None):
    """Checks that a model makes images from latents or from images, and suits the metrics.

    Args:
        model: The model.
        metrics: Names of `METRICS`.
        truncation: psi; if given, the model must support truncation.

    Raises:
        BadInput: The model does not suit them.
    """
    kind = type(model).__name__
    translates = isinstance(model, TranslationModel) and model.data_kind != "video"
    if model.data_kind not in ("images", "semi_labeled") and not translates:
        raise BadInput(
            f"{kind} takes data of the kind {model.data_kind!r}; metrics measure models that are "
            "trained on a set of images, on pairs or on two domains."
        )
    if not translates and "sample" not in model.endpoints():
        raise BadInput(f"{kind} makes no new images; metrics measure models that do.")
    for name in metrics:
        if name in METRICS and METRICS[name].needs == "labels" and not model.label_dim:
            raise BadInput(f"{name} needs a model with classes; {kind} has none.")
        if name == "polygons" and model.label_dim:
            raise BadInput(
                f"{name} needs a model without classes or conditions, because it searches latents "
                f"alone; {kind} also takes labels of length {model.label_dim}."
            )
    known = () if translates else inspect.signature(model.sample).parameters
    if truncation is not None and "truncation" not in known:
        raise BadInput(f"{kind} has no truncation.")
    for name in metrics if translates else ():
        if name in METRICS and METRICS[name].needs in OF_MODEL:
            raise BadInput(f"{name} needs a model's latents; {kind} has none.")
    for name in metrics:
        if name in METRICS and METRICS[name].needs in PATHS:
            check_space(model, METRICS[name].needs[-1])
            if truncation is not None:
                raise BadInput(f"{name} measures untruncated latents: leave out the truncation.")


def open_subject(name) -> tuple:
    """Opens a model or a set of images; returns it and its description for the result."""
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
    """The description of a model in a result, with a name and the networks of its losses."""
    found = {
        "name": str(name),
        "kind": type(model).__name__,
        "step": int(model.step.numpy()),
        "averaged_weights": hasattr(model, "generator_ema"),
    }
    # The hash is known to a training, and not to a release.
    files = {pathlib.Path(path).name: digest for path, digest in model.frozen_files().items()}
    return found | ({"losses_through": files} if files else {})
