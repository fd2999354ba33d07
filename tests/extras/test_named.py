"""Sets by name: built here, read through their packages, trained on, resumed."""

import io

import datasets
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tfgans import data, training
from tfgans.config import Config
from tfgans.data import BrokenImage, Data, DataError, domains, open_images
from tfgans.data.check import check
from tfgans.data.images import open_source
from tfgans.data.paired import open_pairs
from tfgans.data.unpaired import open_domains

PIXELS = np.random.default_rng(0).integers(0, 256, [12, 8, 6, 3], "uint8")
NAMES = ["ant", "bee", "cat"]


class Insects(tfds.core.GeneratorBasedBuilder):
    """Twelve images of three classes, and four in another split."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=NAMES)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(12), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for k in range(count):
            yield k, {"image": PIXELS[k], "label": k % 3}


class Old(Insects):
    """The same, in files without random access."""


class Deep(Insects):
    """Gray images in 16 bits beside float ones, with labels that are plain numbers."""

    def _info(self):
        shape = (8, 6, 1)
        features = {
            "depth": tfds.features.Image(shape=shape, dtype=np.uint16),
            "height": tfds.features.Image(shape=(8, 6, 1), dtype=np.float32),
            "label": np.int64,
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self, count):
        for k in range(count):
            deep = PIXELS[k, ..., :1].astype("uint16") * 257
            yield k, {"depth": deep, "height": deep.astype("float32"), "label": 5 + k % 2}


class Views(Insects):
    """The splits of a set of two domains."""

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["A"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(4) for name in ("trainA", "trainB", "testA")}

    def _generate_examples(self, count):
        for k in range(count):
            yield k, {"image": PIXELS[k], "label": 0}


@pytest.fixture(scope="session", autouse=True)
def prepared():
    """The sets of tensorflow-datasets, as a user has prepared them."""
    for builder in (Insects, Deep, Views):
        builder(file_format="array_record").download_and_prepare()
    Old(file_format="tfrecord").download_and_prepare()


def pictures(*names):
    """Images, one column for each name."""
    return {name: [Image.fromarray(p) for p in np.roll(PIXELS, k, 0)] for k, name in
            enumerate(names)}  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of files of Arrow's kinds: parquet, and what `save_to_disk` writes."""
    folder = tmp_path_factory.mktemp("sets")
    features = {"img": datasets.Image(), "kind": datasets.ClassLabel(names=NAMES)}
    rows = pictures("img") | {"kind": [k % 3 for k in range(12)]}
    whole = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    for name, part in (("train", whole), ("test", whole.select(range(4)))):
        (folder / "parquet").mkdir(exist_ok=True)
        part.to_parquet(folder / "parquet" / f"{name}.parquet")
    datasets.DatasetDict(train=whole, test=whole.select(range(4))).save_to_disk(folder / "saved")
    whole.save_to_disk(folder / "one")
    (folder / "empty").mkdir()
    return folder


def every(source):
    return np.stack([source.read(i) for i in range(len(source))])


def sorted_rows(images, labels):
    """Images with their labels in an order of their own: packages shuffle once."""
    found = sorted((image.tobytes(), int(label)) for image, label in
                   zip(images, labels, strict=True))  # fmt: skip
    return found


def path_of(kind, folder):
    return {"tfds": "tfds:insects", "parquet": f"hf:{folder}/parquet",
            "saved": f"hf:{folder}/saved", "one": f"hf:{folder}/one"}[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["tfds", "parquet", "saved", "one"])
def test_images_and_classes_are_those_of_the_set(kind, folder):
    path = path_of(kind, folder)
    source = open_source(Data(path=path, labels=True), (8, 6, 3))
    assert len(source) == 12 and source.shape == (8, 6, 3) and source.value_range == (0, 255)
    assert source.label_names == NAMES and source.num_classes == 3
    assert source.labels.dtype == np.int32
    wanted = sorted_rows(PIXELS, [k % 3 for k in range(12)])
    assert sorted_rows(every(source), source.labels) == wanted
    assert source.describe(3) == f"{path}@train row 3"
    if kind != "one":
        assert len(open_images(f"{path}@test")) == 4
    if kind in ("tfds", "parquet"):
        assert len(open_images(f"{path}@train[:25%]")) == 3


def test_images_of_16_bits_and_labels_without_names():
    source = open_images("tfds:deep")
    assert source.shape == (8, 6, 1) and source.dtype == np.uint16
    assert source.value_range == (0, 65535) and source.label_names is None
    assert {*source.labels} == {5, 6} and source.num_classes == 7
    assert sorted(every(source)[:, 0, 0, 0]) == sorted(PIXELS[:, 0, 0, 0].astype("int") * 257)


# Training.


@pytest.mark.parametrize("kind", ["tfds", "parquet"])
def test_the_order_is_a_function_of_seed_and_step(kind, folder):
    """Batches from step 5 on are those of a run that began at 0; each pass has all images."""
    changes = ["data.batch_size=4", "data.flip=true", "model.image_shape=[8,8,3]"]
    settings = Config.load("cgan", "tiny", changes)
    settings.data.path, settings.data.labels = path_of(kind, folder), True
    settings.model.pop("num_classes", None)
    source = training.resolve(settings)
    assert settings.model["num_classes"] == 3
    model = training.build(settings)
    per_step = 4 * model.batches_per_step
    batches = [b for _, b in zip(range(6), data.batches(model, source, settings.data, 1),
                                 strict=False)]  # fmt: skip
    again = open_images(source.path)
    late = next(iter(data.batches(model, again, settings.data, 1, start=5)))
    for name in ("image", "label"):
        np.testing.assert_array_equal(late[name], batches[5][name])
    labels = np.concatenate([batch["label"] for batch in batches])[: 12 * (6 * per_step // 12)]
    assert (np.bincount(labels) == len(labels) // 3).all()
    other = next(iter(data.batches(model, source, settings.data, 2)))
    assert not np.array_equal(other["image"], batches[0]["image"])


@pytest.mark.parametrize("path", ["tfds:insects", "hf:parquet"])
def test_a_run_goes_on_bit_for_bit(path, folder, tool, tmp_path, monkeypatch):
    path = path.replace("parquet", f"{folder}/parquet")
    words = ["gan", "--tiny", "--data", path, "--set", "model.image_shape=[8,8,3]"]
    words += ["--set", "data.batch_size=4", "--set", "train.tick=2"]
    for run, lengths in (("whole", [6]), ("parts", [4, 6])):
        for steps in lengths:
            done = tool(tmp_path, "train", *words, "--set", f"train.steps={steps}", "--run", run)
            assert done.returncode == 0, done.stderr
    models = [training.storage.read(training.storage.snapshots(tmp_path / run)[-1])
              for run in ("whole", "parts")]  # fmt: skip
    assert [int(model.step.numpy()) for model in models] == [6, 6]
    for one, other in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    facts = (tmp_path / "parts" / "data.json").read_text()
    assert '"images": [12]' in facts


def test_tools_read_a_set_by_name(folder, tool, tmp_path):
    assert tool(tmp_path, "data", "check", "tfds:insects").returncode == 0
    done = tool(tmp_path, "data", "pack", f"hf:{folder}/parquet", "packed", "--shards", 1)
    assert done.returncode == 0, done.stderr
    packed = open_images(tmp_path / "packed")
    assert len(packed) == 12 and sorted({*packed.labels}) == [0, 1, 2]


# Two sides.


def two_columns(folder, names):
    path = folder / "-".join(names)
    datasets.Dataset.from_dict(
        pictures(*names),
        features=datasets.Features({name: datasets.Image() for name in names}),
    ).save_to_disk(path)
    return f"hf:{path}"


@pytest.mark.parametrize("names", [("imageA", "imageB"), ("target", "input"), ("one", "two")])
def test_two_columns_are_pairs_and_domains(names, tmp_path):
    path = two_columns(tmp_path, names)
    a, b = open_pairs(path)
    first = 1 if names == ("target", "input") else 0  # `input` is A wherever it stands
    np.testing.assert_array_equal(every(a), np.roll(PIXELS, first, 0))
    np.testing.assert_array_equal(every(b), np.roll(PIXELS, 1 - first, 0))
    two = open_domains(path)
    np.testing.assert_array_equal(two.b.read(3), b.read(3))
    with pytest.raises(DataError, match="2 columns of images: .*models of pairs"):
        open_images(path)


def test_one_column_holds_both_sides_of_pairs():
    a, b = open_pairs("tfds:insects")
    np.testing.assert_array_equal(a.read(2), open_images("tfds:insects").read(2)[:, :3])
    np.testing.assert_array_equal(b.read(2), open_images("tfds:insects").read(2)[:, 3:])


def test_splits_of_two_domains():
    two = open_domains("tfds:views")
    assert [source.path for source in two.sets] == ["tfds:views@trainA", "tfds:views@trainB"]
    assert len(open_images("tfds:views@testA")) == 4
    with pytest.raises(DataError, match=r"no two domains in tfds:insects \(its splits: .*train"):
        open_domains("tfds:insects")


def test_each_class_is_a_domain():
    sets = domains.open_domains("tfds:insects")
    assert [len(images) for images in sets] == [4, 4, 4]


def test_cyclegan_reads_two_splits():
    settings = Config.load("cyclegan", "tiny", ["data.batch_size=4", "data.jitter=0"])
    settings.data.path = "tfds:views"
    source, model = training.resolve(settings), training.build(settings)
    batch = next(iter(data.batches(model, source, settings.data, 0)))
    assert batch["a"].shape == batch["b"].shape == (4, *model.image_shape)
    assert not np.array_equal(batch["a"], batch["b"])  # each has an order of its own


# Faults. Each message says what was wanted, what came, what to do.


@pytest.mark.parametrize(
    "path, message",
    [
        ("tfds:insect", "No set of tensorflow-datasets named 'insect'. Did you mean"),
        ("tfds:insects:3.0.0", "cannot be opened: .* Write it as tensorflow-datasets does"),
        ("tfds:insects@tran", r"no split 'tran' .* it has .*test.*Name one behind an @"),
        ("tfds:old", "in the form tfrecord, which has no random access. Set TFDS_DATA_DIR"),
        ("hf:FOLDER/parquet@tran", r"no split 'tran' .* it has train"),
        ("hf:FOLDER/saved@tran", r"no split 'tran' .* it has train, test"),
        ("hf:FOLDER/empty", "cannot be opened: .*EmptyDataset.*Check the name, hf:USER/NAME"),
    ],
)
def test_a_set_that_cannot_be_had(path, message, folder):
    with pytest.raises(DataError, match=message) as found:
        open_images(path.replace("FOLDER", str(folder)))
    assert len(str(found.value)) < 700 and "\n" not in str(found.value)


def test_no_network(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(DataError, match="tfds:mnist is not in .*no network.*Try again with a net"):
        open_images("tfds:mnist")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="hf:nobody/faces cannot be opened: .*Without a network"):
        open_images("hf:nobody/faces")


def test_columns_that_do_not_fit(tmp_path):
    texts = datasets.Dataset.from_dict({"text": ["a"]})
    texts.save_to_disk(tmp_path / "texts")
    with pytest.raises(DataError, match="no column of images, only text"):
        open_images(f"hf:{tmp_path}/texts")
    path = two_columns(tmp_path, ("image", "mask"))
    assert open_images(path).column == "image"
    with pytest.raises(DataError, match="no column is called label or holds classes"):
        open_source(Data(path=path, labels=True), (8, 6, 3))


def test_a_broken_image_is_passed_over_as_in_a_folder(tmp_path):
    content = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(content, "PNG")
    cells = [{"bytes": content.getvalue()[:n], "path": None} for n in (None, 60, None)]
    rows = datasets.Dataset.from_dict({"image": [*cells, None]})
    rows.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "set")
    source = open_images(f"hf:{tmp_path}/set")
    np.testing.assert_array_equal(source.read(2), PIXELS[0])
    for i, reason in ((1, "row 1"), (3, "row 3: there is no image")):
        with pytest.raises(BrokenImage, match=reason):
            source.read(i)
    assert len(check(f"hf:{tmp_path}/set")) >= 2
