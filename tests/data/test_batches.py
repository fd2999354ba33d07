"""Batches of a training run: their images, order and format."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stand_in import StandIn

from tfgans.config import Data
from tfgans.data import DataError, batches, open_images
from tfgans.data.images import open_source
from tfgans.data.synthetic import polygons


def model(image_shape=(4, 4, 1), **attributes):
    defaults = {"data_kind": "images"}
    return StandIn(image_shape=image_shape, **defaults | attributes)


@pytest.fixture
def numbers(tmp_path):
    """A set of 10 images of 4x4 pixels; all pixels of image i are 10 * i. Label of i: i // 2."""
    images = np.tile(10 * np.arange(10, dtype="uint8")[:, None, None], [1, 4, 4])
    np.savez(tmp_path / "numbers.npz", images=images, labels=np.arange(10) // 2)
    return open_images(tmp_path / "numbers.npz")


def take(dataset, steps):
    """The batches as images, [steps, B, h, w, c]."""
    return np.array([batch["image"] for batch in dataset.take(steps).as_numpy_iterator()])


def which(dataset, steps):
    """The numbers of the images read, [steps, B]."""
    return np.rint((take(dataset, steps)[:, :, 0, 0, 0] + 1) * 127.5 / 10).astype(int)


def test_element(numbers):
    dataset = batches(model(batches_per_step=3), numbers, Data(batch_size=2), seed=0)
    assert dataset.element_spec == {"image": tf.TensorSpec([6, 4, 4, 1], tf.float32)}
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert dataset.options().deterministic
    policy = dataset.options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.OFF
    assert np.isin(which(dataset, 3), range(10)).all()


def test_every_pass_is_another_permutation(numbers):
    order = which(batches(model(), numbers, Data(batch_size=4), seed=5), 25).reshape(10, 10)
    assert (np.sort(order) == np.arange(10)).all()  # batches cross the ends of passes
    assert len({tuple(row) for row in order}) == 10


def test_passes_are_unrelated():
    # with tf.random.experimental.index_shuffle successive passes correlate by 0.9 at this size
    source = open_source(Data(path="synthetic"), (2, 2, 1))
    source.vertices, order = np.zeros([60000, 3, 2]), []
    source.read = lambda i: np.zeros([len(i), 2, 2, 1], "uint8")
    source.labels = np.arange(60000, dtype="int32")
    dataset = batches(model((2, 2, 1), num_classes=60000), source, Data(batch_size=6000), seed=0)
    for batch in dataset.take(20):
        order.append(batch["label"].numpy())
    first, second = np.reshape(order, [2, 60000])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first, np.arange(60000))[0, 1]) < 0.02


def test_seed_decides(numbers):
    def order(seed):
        return which(batches(model(), numbers, Data(batch_size=4), seed), 6)

    assert np.array_equal(order(1), order(1))
    assert not np.array_equal(order(1), order(2))


@pytest.mark.parametrize("start", [1, 4, 13])
def test_start_is_skipping(folder, start):
    source, config = open_images(folder), Data(batch_size=4, flip=True)
    whole = take(batches(model((6, 10, 3), batches_per_step=2), source, config, seed=3), start + 3)
    resumed = take(
        batches(model((6, 10, 3), batches_per_step=2), source, config, 3, start=start), 3
    )
    assert np.array_equal(whole[start:], resumed)


def test_start_far_away_costs_nothing(numbers):
    assert take(batches(model(), numbers, Data(batch_size=4), 0, start=10**12), 1).shape[0] == 1


def test_workers_share_each_batch(folder):
    source, config = open_images(folder), Data(batch_size=6, flip=True)
    critic = model((6, 10, 3), batches_per_step=2, num_classes=2)
    whole = take(batches(critic, source, config, 1), 5)
    parts = [take(batches(critic, source, config, 1, shard=(k, 3)), 5) for k in range(3)]
    assert parts[0].shape == (5, 4, 6, 10, 3)
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    with pytest.raises(DataError, match="12 images per step cannot be shared equally by 5"):
        batches(critic, source, config, 1, shard=(0, 5))


def test_sets_smaller_than_a_batch(tmp_path):
    for n in (1, 2):
        np.save(
            tmp_path / "few.npy", np.tile(np.arange(n, dtype="uint8")[:, None, None] * 10, (4, 4))
        )
        source = open_images(tmp_path / "few.npy")
        order = which(batches(model(), source, Data(batch_size=8), 0), 2).ravel()
        assert (np.sort(order.reshape(-1, n)) == np.arange(n)).all()


def test_labels_stay_with_their_images(numbers):
    dataset = batches(model(num_classes=5), numbers, Data(batch_size=4), 0)
    assert dataset.element_spec["label"] == tf.TensorSpec([4], tf.int32)
    for batch in dataset.take(5).as_numpy_iterator():
        images = np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5 / 10).astype(int)
        assert np.array_equal(batch["label"], images // 2)
    numbers.labels = np.stack([np.arange(10), -np.arange(10)], axis=1).astype("float32")
    dataset = batches(model(num_classes=2), numbers, Data(batch_size=4), 0)
    assert dataset.element_spec["label"] == tf.TensorSpec([4, 2], tf.float32)
    for batch in dataset.take(3).as_numpy_iterator():
        images = np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5 / 10)
        assert np.array_equal(batch["label"], np.stack([images, -images], axis=1))


def test_flip(tmp_path):
    image = np.tile(np.arange(4, dtype="uint8"), (4, 1))
    np.save(tmp_path / "one.npy", np.stack([image, image + 100]))
    source = open_images(tmp_path / "one.npy")
    flipped = take(batches(model(), source, Data(batch_size=50, flip=True), 0), 20)
    values = np.rint((flipped + 1) * 127.5)[..., 0, :, 0] % 100  # the first row
    mirrored = (values == [3, 2, 1, 0]).all(axis=-1)
    assert (mirrored | (values == [0, 1, 2, 3]).all(axis=-1)).all()
    assert 0.45 < mirrored.mean() < 0.55
    assert not np.array_equal(mirrored[0], mirrored[1])
    plain = take(batches(model(), source, Data(batch_size=50), 0), 2)
    assert (np.diff(plain[..., 0], axis=-1) > 0).all()


# Conversion.


def test_resizing_cropping_and_channels(folder, pictures, capsys):
    source = open_images(folder)
    read = take(batches(model((6, 6, 1)), source, Data(batch_size=8), 0), 1)[0]
    assert capsys.readouterr().out == (
        f"The images of {folder} are 6x10x3 (height x width x channels); they are center-cropped "
        "and resized to 6x6 and converted to 1 channels.\n"
    )
    luma = pictures[:, :, 2:8] @ np.array([0.299, 0.587, 0.114]) / 127.5 - 1
    wanted = {image.tobytes(): None for image in luma.astype("float16")}
    assert len(wanted) == 8
    for image in luma:
        assert np.abs(read[..., 0] - image).max(axis=(1, 2)).min() < 1e-6
    half = take(batches(model((3, 5, 3)), source, Data(batch_size=8), 0), 1)[0]
    means = pictures.reshape(8, 3, 2, 5, 2, 3).mean(axis=(2, 4)) / 127.5 - 1
    for image in means:  # Lanczos comes near the mean of 2 x 2, nearest to that of its own image
        distances = np.abs(half - image).mean(axis=(1, 2, 3))
        assert distances.min() < 0.5 * np.sort(distances)[1]


def test_images_that_fit_are_not_announced(numbers, capsys):
    batches(model(), numbers, Data(batch_size=4), 0)
    assert capsys.readouterr().out == ""


def test_differing_sizes(tmp_path, capsys):
    for i, size in enumerate([(4, 4), (8, 20), (9, 9)]):
        Image.new("RGB", size[::-1], (i * 100,) * 3).save(tmp_path / f"{i}.png")
    source = open_images(tmp_path)
    read = take(batches(model((4, 4, 3)), source, Data(batch_size=3), 0), 1)[0]
    assert "4x4x3 to 9x20x3" in capsys.readouterr().out
    assert sorted(np.rint((read[:, 0, 0, 0] + 1) * 127.5)) == [0, 100, 200]
    assert np.ptp(read, axis=(1, 2, 3)).max() == 0


def test_sixteen_bits_reach_the_model(tmp_path):
    array = np.random.RandomState(0).randint(0, 65536, [4, 4, 3], "uint16")
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(array).numpy())
    read = take(batches(model((4, 4, 3)), open_images(tmp_path), Data(batch_size=1), 0), 1)[0, 0]
    assert np.array_equal(np.rint((read.astype("float64") + 1) * 32767.5), array)


def test_stated_value_range(tmp_path):
    np.save(tmp_path / "a.npy", np.full([1, 4, 4], 0.75, "float32"))
    source = open_source(Data(path=tmp_path / "a.npy", value_range=[0, 1]), (4, 4, 1))
    assert (take(batches(model(), source, Data(batch_size=1), 0), 1) == 0.5).all()


def test_channels_without_conversion(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros([2, 3, 64, 64], "uint8"))  # channels first by mistake
    with pytest.raises(DataError, match="64 channels.*model wants 3.*height, width, channels"):
        batches(model((64, 64, 3)), open_images(tmp_path / "a.npy"), Data(), 0)


# Broken images.


@pytest.fixture
def breakable(tmp_path):
    """A folder of ten 8x8 images; all pixels of image i are 10 * i."""
    root = tmp_path / "set"
    root.mkdir()
    for i in range(10):
        noise = np.random.RandomState(i).randint(0, 2, [8, 8, 1], "uint8")
        kind = "jpg" if i == 7 else "png"
        Image.fromarray(np.repeat(noise + 10 * i, 3, axis=-1)).save(
            root / f"{i}.{kind}", quality=99
        )
    return root


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])


def test_skip_takes_the_next_whole_image(breakable, capsys):
    for name in ("3.png", "4.png", "7.jpg"):
        truncate(breakable / name)
    config = Data(batch_size=5)
    for _ in range(2):  # the same in both rounds, in spite of threads
        source = open_images(breakable)
        source.labels = np.arange(10, dtype="int32")
        dataset = batches(model((8, 8, 3), num_classes=10), source, config, 0)
        read, labels = [], []
        for batch in dataset.take(6).as_numpy_iterator():
            read.append((batch["image"].mean(axis=(1, 2, 3)) + 1) * 127.5 // 10)
            labels.append(batch["label"])
        assert np.array_equal(read, labels)  # the labels of the images read
        for one_pass in np.reshape(labels, [3, 10]):
            assert np.bincount(one_pass).tolist() == [1, 1, 1, 0, 0, 3, 1, 0, 2, 1]
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3  # one line for each image, not for each read
        for name in ("3.png", "4.png", "7.jpg"):
            assert any(
                line.startswith(f"skipped broken image {breakable / name}: ") for line in lines
            )


def test_image_that_breaks_in_the_middle_of_a_run(breakable, capsys):
    source = open_images(breakable)
    iterator = iter(batches(model((8, 8, 3)), source, Data(batch_size=10), 0))
    next(iterator)
    truncate(breakable / "2.png")
    for _ in range(20):
        assert next(iterator)["image"].shape == (10, 8, 8, 3)
    assert capsys.readouterr().out.count("skipped broken image") == 1


def test_fail_names_the_file(breakable):
    truncate(breakable / "3.png")
    dataset = batches(
        model((8, 8, 3)), open_images(breakable), Data(batch_size=10, broken="fail"), 0
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"BrokenImage: .*3\.png: .*truncated"):
        take(dataset, 3)


def test_nothing_but_broken_images(breakable):
    source = open_images(breakable)
    for path in breakable.iterdir():
        truncate(path)
    dataset = batches(model((8, 8, 3)), source, Data(batch_size=10), 0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="All 10 images are broken"):
        take(dataset, 1)


# Sources.


def test_synthetic(capsys):
    source = open_source(Data(path="synthetic"), (12, 12, 3))
    read = take(batches(model((12, 12, 3)), source, Data(batch_size=64), 0), 1)[0]
    wanted = polygons(2**14, side=12)[source_order(64)] / 32 - 1
    assert np.array_equal(read[..., 1], wanted.astype("float32"))
    assert read.min() == -1 and read.max() == 1 and capsys.readouterr().out == ""


def source_order(count):
    return np.random.default_rng([0, 0]).permutation(2**14)[:count]


def test_synthetic_classes():
    config = Data(path="synthetic", batch_size=8)
    source = open_source(config, (12, 12, 1), num_classes=4)
    dataset = batches(model((12, 12, 1), num_classes=4), source, config, 0)
    label = next(iter(dataset))["label"].numpy()
    assert np.array_equal(label, source_order(8) % 4)


def test_labels_that_are_missing_or_too_many(tmp_path, numbers):
    np.save(tmp_path / "a.npy", np.zeros([3, 4, 4], "uint8"))
    for labels, num_classes in ((True, 0), (False, 5)):
        with pytest.raises(DataError, match="Labels are needed.*sub-folder.*dataset.json"):
            open_source(Data(path=tmp_path / "a.npy", labels=labels), (4, 4, 1), num_classes)
    with pytest.raises(DataError, match="run from 0 to 4.*num_classes = 3.*num_classes to 5"):
        open_source(Data(path=numbers.path), (4, 4, 1), 3)
    assert open_source(Data(path=numbers.path, labels=True), (4, 4, 1)).num_classes == 5
    numbers.labels = np.zeros([10, 2], "float32")
    with pytest.raises(DataError, match="vectors of length 2"):
        batches(model(num_classes=3), numbers, Data(), 0)


def test_replicas_share_each_batch(numbers):
    config = Data(batch_size=4, flip=True)
    whole = batches(model(num_classes=5), numbers, config, seed=0)
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices)
    distributed = iter(strategy.experimental_distribute_dataset(whole))
    for batch in whole.take(3):
        shared = next(distributed)
        for key, wanted in batch.items():
            parts = strategy.experimental_local_results(shared[key])
            assert len(parts) == len(devices) and len({part.shape for part in parts}) == 1
            np.testing.assert_array_equal(np.concatenate(parts), wanted)
