"""Every kind of storage gives back the images written, and every error names its cause."""

import gzip
import json
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans.data import BrokenImage, Data, DataError, open_images
from tfgans.data.images import open_source
from tfgans.data.pack import pack
from tfgans.data.records import record_spans
from tfgans.data.source import as_labels


def every(source):
    return [source.read(i) for i in range(len(source))]


# Folders and zips.


def test_folder(folder, pictures):
    source = open_images(folder)
    assert len(source) == 8 and source.shape == (6, 10, 3) and source.value_range == (0, 255)
    np.testing.assert_array_equal(every(source), pictures)
    assert source.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1] and source.labels.dtype == np.int32
    assert source.label_names == ["cat", "dog"] and source.num_classes == 2
    assert source.describe(5) == str(folder / "dog" / "5.png")


def test_folder_inside_a_folder(folder, pictures, tmp_path):
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "._0.png").write_bytes(b"x")
    assert open_images(tmp_path).label_names == ["cat", "dog"]
    (folder / "top.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    source = open_images(tmp_path)  # not every image is in a sub-folder now
    assert len(source) == 9 and source.labels is None and source.num_classes == 0


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)


def filled(path, *names):
    """A folder of small images of these names."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path / name)
    return path


def test_classes_are_those_of_the_training_set(tmp_path, capsys):
    names = [f"{part}/{animal}/0.png" for part in ("Train", "val") for animal in ("cat", "dog")]
    source = open_images(filled(tmp_path / "set", *names))
    assert source.names == ["Train/cat/0.png", "Train/dog/0.png"]
    assert source.label_names == ["cat", "dog"] and source.labels.tolist() == [0, 1]
    assert "Only Train of " in (said := capsys.readouterr().out) and "2 of 4 images" in said
    source = open_images(filled(tmp_path / "flat", "train/0.png", "test/1.png"))
    assert source.names == ["train/0.png"] and source.labels is None
    with pytest.raises(DataError, match="folders test, val, but no folder train"):
        open_images(filled(tmp_path / "none", "val/0.png", "test/1.png"))
    classes = open_images(filled(tmp_path / "trains", "train/0.png", "bus/1.png"))
    assert classes.label_names == ["bus", "train"]


@pytest.mark.parametrize(
    "names, message",
    [
        (["cat/0.png"], "all its images are in one folder"),
        (["cat/0.png", "dog/1.png", "top.png"], r"1 images, for example top.png, .*\(cat, dog\)"),
    ],
)
def test_the_reason_why_labels_are_missing(tmp_path, names, message):
    filled(tmp_path, *names)
    with pytest.raises(DataError, match=f"Labels are needed, but .* has none: .*{message}"):
        open_source(Data(path=str(tmp_path), labels=True), (4, 4, 3))


def test_files_beside_images_do_not_hide_them(tmp_path):
    path = filled(tmp_path / "set", "cat/0.png")
    (path / "train").write_text("0.png")
    (path / "data_batch_1").write_text("notes")
    assert len(open_images(path)) == 1
    for name in ("x.tfrecord", "train-images-idx3-ubyte", "train.bin"):
        (path / name).write_bytes(b"x")
        with pytest.raises(DataError, match=f"for example {name}, and images, .* cat/0.png"):
            open_images(path)
        (path / name).unlink()


@pytest.mark.parametrize("name", ["A.ZIP", "a.NPZ", "a.Npy", "A.TFRECORDS", "TRAIN.BIN"])
def test_capital_endings(tmp_path, pictures, name):
    path = tmp_path / name
    if name == "A.ZIP":
        with zipfile.ZipFile(path, "w") as file:
            file.write(filled(tmp_path / "x", "0.PNG") / "0.PNG", "0.PNG")
    elif name == "a.NPZ":
        with open(path, "wb") as file:
            np.savez(file, images=pictures)
    elif name == "a.Npy":
        with open(path, "wb") as file:
            np.save(file, pictures)
    elif name == "A.TFRECORDS":
        pack(filled(tmp_path / "x", "0.png"), tmp_path / "out", shards=1)
        next((tmp_path / "out").iterdir()).rename(path)
    else:
        path.write_bytes(bytes(3074))
    assert len(open_images(path)) == (8 if name[:2] == "a." else 1)


def test_capital_endings_of_idx_and_their_labels(tmp_path):
    images = b"\0\0\x08\x03" + struct.pack(">III", 2, 1, 1) + b"\1\2"
    (tmp_path / "TRAIN-IMAGES-IDX3-UBYTE.GZ").write_bytes(gzip.compress(images))
    (tmp_path / "Train-Labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\2\7\6")
    assert open_images(tmp_path).labels.tolist() == [7, 6]


def test_a_zip_with_backslashes(tmp_path):
    png = (filled(tmp_path, "0.png") / "0.png").read_bytes()
    names = ["p\\cat\\0.png", "p\\dog\\1.png", "p\\.hidden\\2.png", "__MACOSX\\p\\3.png", "p\\"]
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as file:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name
            file.writestr(info, png)
    source = open_images(tmp_path / "w.zip")
    assert source.label_names == ["cat", "dog"] and source.read(1).shape == (4, 4, 3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_label_vectors_are_finite(bad):
    labels = np.zeros([4, 3], "float32")
    labels[2:, 1] = bad
    with pytest.raises(DataError, match=r"Row 2 of the labels in x is \[.*2 of 4 rows"):
        as_labels(labels, 4, "x")


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.JPG"])
def test_endings_of_jpeg(tmp_path, name):
    Image.new("RGB", (4, 4)).save(tmp_path / name, "JPEG")
    assert len(open_images(tmp_path)) == 1


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.webp", "a.bmp", "a.tif", "a.tiff"])
def test_lossless_formats(tmp_path, pictures, name):
    save(tmp_path / name, pictures[0], **({"lossless": True} if name.endswith("webp") else {}))
    np.testing.assert_array_equal(open_images(tmp_path).read(0), pictures[0])


def test_jpeg(tmp_path):
    smooth = np.tile(np.arange(0, 240, 15, "uint8")[:, None, None], [1, 16, 3])
    save(tmp_path / "a.jpg", smooth, quality=95)
    save(tmp_path / "b.jpeg", smooth[..., 0], quality=95)
    source = open_images(tmp_path)
    assert source.read(0).shape == (16, 16, 3) and source.read(1).shape == (16, 16, 1)
    assert source.shape is None
    assert source.smallest == (16, 16, 1) and source.largest == (16, 16, 3)
    assert np.abs(source.read(0) - smooth.astype(int)).max() < 6


def test_modes(tmp_path, pictures):
    rgb = Image.fromarray(pictures[0])
    bits = Image.fromarray(pictures[0, ..., 0] > 99)
    bits.save(tmp_path / "0_bits.png")
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], "uint8"), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "1_palette.png")
    palette.save(tmp_path / "2_transparent.png", transparency=1)
    rgb.convert("CMYK").save(tmp_path / "3_cmyk.tif")
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "4.gif", save_all=True, append_images=frames[1:])
    save(tmp_path / "5_la.png", pictures[0, ..., :2])
    source = open_images(tmp_path)
    images = every(source)
    assert images[0].tolist() == (np.asarray(bits)[..., None] * 255).tolist()
    assert images[1].tolist() == [[[10, 20, 30], [40, 50, 60]], [[40, 50, 60], [10, 20, 30]]]
    assert images[2][0].tolist() == [[10, 20, 30, 255], [40, 50, 60, 0]]
    assert images[3].shape == (6, 10, 3)
    assert images[4].tolist() == [[[255, 0, 0]] * 4] * 4  # the first frame
    np.testing.assert_array_equal(images[5], pictures[0, ..., :2])
    for i, image in enumerate(images):
        assert source.header(i) == (*image.shape, "uint8")


def test_exif_orientation(tmp_path):
    image = np.zeros([16, 32, 3], "uint8")
    image[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees: left becomes top
    for name in ("a.jpg", "b.png", "c.tif"):
        save(tmp_path / name, image, exif=exif)
    source = open_images(tmp_path)
    assert source.shape == (32, 16, 3)
    for turned in every(source):
        assert (turned[:14] > 240).all() and (turned[18:] < 15).all()


def png16(path, array):
    path.write_bytes(tf.io.encode_png(tf.constant(array)).numpy())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_sixteen_bits(tmp_path, channels):
    array = np.random.RandomState(1).randint(0, 65536, [5, 7, channels], "uint16")
    png16(tmp_path / "a.png", array)
    source = open_images(tmp_path)
    assert source.value_range == (0, 65535) and source.shape == (5, 7, channels)
    assert source.read(0).dtype == np.uint16
    np.testing.assert_array_equal(source.read(0), array)


def test_tiff_of_sixteen_bits(tmp_path):
    array = np.random.RandomState(1).randint(0, 65536, [5, 7], "uint16")
    save(tmp_path / "a.tif", array)
    np.testing.assert_array_equal(open_images(tmp_path).read(0)[..., 0], array)


def test_mixed_depths_are_read_as_sixteen_bits(tmp_path):
    png16(tmp_path / "a.png", np.full([2, 2, 1], 30001, "uint16"))
    save(tmp_path / "b.png", np.array([[0, 255], [1, 2]], "uint8"))
    source = open_images(tmp_path)
    assert source.value_range == (0, 65535) and (source.read(0) == 30001).all()
    assert source.read(1)[..., 0].tolist() == [[0, 65535], [257, 514]]
    source.dtype = np.dtype("uint8")  # as if the image of 16 bits had not been among the sample
    assert (source.read(0) == 117).all() and source.read(1)[..., 0].tolist() == [[0, 255], [1, 2]]


def test_sizes_are_looked_at_evenly(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.png", np.zeros([4 + i, 9 - i, 3], "uint8"))
    source = open_images(tmp_path)
    assert source.shape is None
    assert source.smallest == (4, 5, 3) and source.largest == (8, 9, 3)


def test_value_range_of_twelve_bit_images(tmp_path):
    png16(tmp_path / "a.png", np.full([2, 2, 1], 4095, "uint16"))
    assert open_images(tmp_path, [0, 4095]).value_range == (0, 4095)
    with pytest.raises(DataError, match="lowest pixel value must be below"):
        open_images(tmp_path, [1, 1])


def truncated(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def test_broken_images(folder):
    big = np.random.RandomState(0).randint(0, 256, [64, 64, 3], "uint8")
    save(folder / "cat" / "0.jpg", big)
    truncated(folder / "cat" / "0.jpg")
    truncated(folder / "cat" / "1.png")
    (folder / "cat" / "2.png").write_text("this is no image")
    png16(folder / "cat" / "3.png", big.astype("uint16"))
    truncated(folder / "cat" / "3.png")
    source = open_images(folder)
    for i, name in [(0, "0.jpg"), (2, "1.png"), (3, "2.png"), (4, "3.png")]:
        with pytest.raises(BrokenImage, match=name) as caught:
            source.read(i)
        assert caught.value.name == str(folder / "cat" / name) and caught.value.reason
    assert source.read(1).shape == (6, 10, 3)


def test_only_broken_images(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(DataError, match="None of the 1 images.*a.png"):
        open_images(tmp_path)


def write_json(path, labels):
    path.write_text(json.dumps({"labels": labels}))


def test_labels_by_name(folder):
    names = [f"{'cat' if i < 4 else 'dog'}/{i}.png" for i in range(8)]
    labels = [[name, 10 * i] for i, name in enumerate(names)]
    write_json(folder / "dataset.json", labels[::-1])  # the order in the file means nothing
    source = open_images(folder)
    assert source.labels.tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
    assert source.label_names is None and source.num_classes == 71
    write_json(folder / "dataset.json", None)
    assert open_images(folder).labels is None


def test_vectors_as_labels(folder):
    names = [f"{'cat' if i < 4 else 'dog'}/{i}.png" for i in range(8)]
    write_json(folder / "dataset.json", [[name, [0.5, i]] for i, name in enumerate(names)])
    labels = open_images(folder).labels
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, [[0.5, i] for i in range(8)])
    write_json(
        folder / "dataset.json", [[n, [0.0, 1.0, 0.0]] for n in names[:7]] + [[names[7], [0, 0, 1]]]
    )
    assert open_images(folder).labels.tolist() == [1] * 7 + [2]  # one-hot rows are class numbers


def test_one_hot_vectors_keep_the_number_of_classes(folder, tmp_path):
    """A set may lack its last class; sets of every kind of file, and packed ones, tell it."""
    names = [f"{'cat' if i < 4 else 'dog'}/{i}.png" for i in range(8)]
    labels = [0, 1] * 4
    vectors = np.eye(3, dtype="float32")[labels]
    rows = [[name, row.tolist()] for name, row in zip(names, vectors, strict=True)]
    write_json(folder / "dataset.json", rows)
    np.savez(tmp_path / "a.npz", images=np.zeros([8, 4, 4], "uint8"), labels=vectors)
    pack(folder, tmp_path / "packed")
    for path in (folder, tmp_path / "a.npz", tmp_path / "packed"):
        source = open_images(path)
        assert source.num_classes == 3 and source.labels.tolist() == labels
        assert source.labels.dtype == np.int32
    write_json(folder / "dataset.json", [[n, k] for n, k in zip(names, labels, strict=True)])
    assert open_images(folder).num_classes == 2


def test_vectors_that_are_not_one_hot_stay_vectors(folder):
    names = [f"{'cat' if i < 4 else 'dog'}/{i}.png" for i in range(8)]
    for vector in ([1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0], [2.0, -1.0]):
        write_json(folder / "dataset.json", [[name, vector] for name in names])
        np.testing.assert_array_equal(open_images(folder).labels, [vector] * 8)


def test_labels_that_cannot_be_used(folder):
    names = [f"{'cat' if i < 4 else 'dog'}/{i}.png" for i in range(8)]
    write_json(folder / "dataset.json", [[name, 1] for name in names[1:]])
    source = open_images(folder)  # an error comes only when labels are used
    with pytest.raises(DataError, match="no label for 1 of 8 images, for example cat/0.png"):
        _ = source.labels
    write_json(
        folder / "dataset.json", [[name, [1.0] * (i % 2 + 1)] for i, name in enumerate(names)]
    )
    with pytest.raises(DataError, match="differ in length"):
        _ = open_images(folder).labels
    write_json(folder / "dataset.json", [[name, "cat"] for name in names])
    with pytest.raises(DataError, match="one class number, or one vector"):
        _ = open_images(folder).labels
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="dataset.json is not valid"):
        _ = open_images(folder).labels


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("top", ["", "set/"])
def test_zip(tmp_path, folder, pictures, method, top):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        for i in reversed(range(8)):
            name = f"{'cat' if i < 4 else 'dog'}/{i}.png"
            file.writestr(f"{top}00000/img{i}.png", (folder / name).read_bytes())
        file.writestr("__MACOSX/._img0.png", b"x")
        labels = [[f"00000/img{i}.png", 7 - i] for i in range(8)]
        file.writestr(f"{top}dataset.json", json.dumps({"labels": labels}))
    source = open_images(path)
    np.testing.assert_array_equal(every(source), pictures)
    assert source.labels.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert source.describe(2) == f"{path}: {top}00000/img2.png"


def test_zip_with_class_folders(tmp_path, folder):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        for image in folder.rglob("*.png"):
            file.write(image, f"animals/{image.relative_to(folder).as_posix()}")
    assert open_images(path).label_names == ["cat", "dog"]


def test_damaged_zip(tmp_path, folder):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        for image in sorted(folder.rglob("*.png")):
            file.write(image, image.name)
    data = bytearray(path.read_bytes())
    position = data.index(b"IDAT", 1500) + 20
    data[position] ^= 255
    path.write_bytes(data)
    source, broken = open_images(path), []
    for i in range(8):
        try:
            source.read(i)
        except BrokenImage as error:
            broken.append(error.name)
    assert len(broken) == 1 and broken[0].startswith(f"{path}: ")
    truncated(path)
    with pytest.raises(DataError, match="not an intact zip"):
        open_images(path)


# TFRecords.


def stylegan_record(image):
    planes = image.transpose(2, 0, 1)
    shape = tf.train.Feature(int64_list=tf.train.Int64List(value=planes.shape))
    data = tf.train.Feature(bytes_list=tf.train.BytesList(value=[planes.tobytes()]))
    features = tf.train.Features(feature={"shape": shape, "data": data})
    return tf.train.Example(features=features).SerializeToString()


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def stylegan(tmp_path):
    """set-r02 .. set-r04 with five images, and validation-set-r04."""
    images = np.random.RandomState(3).randint(0, 256, [5, 16, 16, 3], "uint8")
    for level in (2, 3, 4):
        step = 2 ** (4 - level)
        records = [stylegan_record(image[::step, ::step]) for image in images]
        write_records(tmp_path / f"set-r{level:02d}.tfrecords", records)
    write_records(tmp_path / "validation-set-r04.tfrecords", [stylegan_record(images[0])])
    return tmp_path, images


def test_stylegan_records(stylegan):
    path, images = stylegan
    source = open_images(path)
    assert source.shape == (16, 16, 3) and source.value_range == (0, 255) and len(source) == 5
    np.testing.assert_array_equal([source.read(i) for i in (4, 0, 2)], images[[4, 0, 2]])
    named = open_images(path / "set-r03.tfrecords")
    assert named.shape == (8, 8, 3)
    np.testing.assert_array_equal(every(named), images[:, ::2, ::2])
    assert source.labels is None
    assert source.describe(3) == f"{path / 'set-r04.tfrecords'} record 3"


def test_stylegan_labels(stylegan):
    path, _ = stylegan
    with open(path / "set-rxx.labels", "wb") as file:
        np.save(file, np.eye(3, dtype="float32")[[2, 0, 1, 2, 2]])
    assert open_images(path).labels.tolist() == [2, 0, 1, 2, 2]
    vectors = np.random.RandomState(0).rand(5, 3).astype("float32")
    with open(path / "set-rxx.labels", "wb") as file:
        np.save(file, vectors)
    labels = open_images(path / "set-r02.tfrecords").labels
    assert labels.dtype == np.float32 and np.array_equal(labels, vectors)
    with open(path / "set-rxx.labels", "wb") as file:
        np.save(file, vectors[:4])
    with pytest.raises(DataError, match="4 labels for 5 images"):
        _ = open_images(path).labels


def test_record_sizes_and_offsets(stylegan):
    path, _ = stylegan
    file = path / "set-r02.tfrecords"
    view = memoryview(file.read_bytes())
    wanted = [record.numpy() for record in tf.data.TFRecordDataset(str(file))]
    assert [bytes(view[a:b]) for a, b in record_spans(view, file)] == wanted
    assert file.stat().st_size == 5 * 98  # as the official writer


def test_truncated_records(stylegan):
    path, _ = stylegan
    file = path / "set-r04.tfrecords"
    whole = file.read_bytes()
    size = len(whole) // 5
    for length in (size * 2 + 100, size * 3 + 5):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=f"middle of record {length // size}:"):
            open_images(path)
    file.write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match="truncated, compressed"):
        open_images(path)
    file.write_bytes(b"")
    with pytest.raises(DataError, match="None of the 0 images"):
        open_images(path)


def test_records_of_something_else(tmp_path):
    good = stylegan_record(np.zeros([4, 4, 3], "uint8"))
    other = tf.train.Example(features=tf.train.Features(feature={"x": tf.train.Feature()}))
    wrong_size = stylegan_record(np.zeros([4, 4, 3], "uint8")).replace(
        b"\x03\x04\x04", b"\x03\x04\x05"
    )
    records = [good, other.SerializeToString(), b"\xff" * 30, wrong_size, b""]
    write_records(tmp_path / "a.tfrecords", records)
    source = open_images(tmp_path / "a.tfrecords")
    assert source.read(0).shape == (4, 4, 3)
    for i in (1, 2, 3, 4):
        with pytest.raises(BrokenImage, match=f"a.tfrecords record {i}: no"):
            source.read(i)


def test_ambiguous_or_incomplete_records(stylegan):
    path, _ = stylegan
    (path / "other.tfrecords").write_bytes((path / "set-r02.tfrecords").read_bytes())
    with pytest.raises(DataError, match="2 sets: other, set"):
        open_images(path)
    (path / "other.tfrecords").rename(path / "set-r05-00001-of-00003.tfrecords")
    with pytest.raises(DataError, match="1 of the 3 shards"):
        open_images(path)


# IDX.


def idx(array, code=8):
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()
    )


@pytest.fixture
def mnist(tmp_path):
    images = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([7, 3], "uint8")))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images[:1] + 100))
    return tmp_path


def test_idx(mnist):
    source = open_images(mnist)
    assert source.shape == (2, 3, 1) and source.value_range == (0, 255)
    np.testing.assert_array_equal(source.read([1, 0])[..., 0].ravel(), [*range(6, 12), *range(6)])
    assert source.labels.tolist() == [7, 3] and source.labels.dtype == np.int32
    test = open_images(mnist / "t10k-images-idx3-ubyte")
    assert len(test) == 1 and test.read(0)[0, 0, 0] == 100 and test.labels is None


def test_idx_of_wide_types(tmp_path):
    array = np.array([[[1000, 70]]], ">i4")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(array, code=12))
    source = open_images(tmp_path, [0, 1000])
    assert source.read(0).ravel().tolist() == [1000, 70]


def test_damaged_idx(mnist):
    path = mnist / "t10k-images-idx3-ubyte"
    whole = path.read_bytes()
    for data, message in [
        (whole[:-1], "should be 22 bytes.*is 21"),
        (whole[:9], "is 9"),
        (whole + b"x", "is 23"),
        (b"\x08\x00" + whole[2:], "not an IDX file: it begins with 08 00 08 03"),
        (b"", "begins with nothing"),
        (gzip.compress(whole)[:-9], "gzip"),
    ]:
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            open_images(path)
    with pytest.raises(DataError, match="not images"):
        open_images(mnist / "train-labels-idx1-ubyte")
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, "uint8")))
    with pytest.raises(DataError, match="3 labels for 2 images"):
        open_images(mnist)


def test_idx_folder_without_training_part(mnist):
    (mnist / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="0 IDX files of training images.*t10k-images-idx3-ubyte"):
        open_images(mnist)


FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist


@pytest.mark.skipif(not FASHION.exists(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist():
    source = open_images(FASHION)
    assert len(source) == 60000 and source.shape == (28, 28, 1)
    assert np.bincount(source.labels).tolist() == [6000] * 10
    assert source.array.mean() == pytest.approx(72.94, abs=0.01)  # the known 0.2860 of 255
    assert len(open_images(FASHION / "t10k-images-idx3-ubyte.gz")) == 10000


# CIFAR.


def cifar_record(*labels, start=0):
    planes = [np.full(1024, k, "uint8") for k in (1, 2, 3)]
    planes[0][:32] = np.arange(start, start + 32)  # the first row of red
    return bytes(labels) + b"".join(plane.tobytes() for plane in planes)


def test_cifar10(tmp_path):
    for k in (1, 2):
        (tmp_path / f"data_batch_{k}.bin").write_bytes(cifar_record(k) + cifar_record(7, start=9))
    (tmp_path / "test_batch.bin").write_bytes(cifar_record(4))
    source = open_images(tmp_path)
    assert len(source) == 4 and source.shape == (32, 32, 3)
    image = source.read(0)
    assert image[0, :, 0].tolist() == list(range(32)) and (image[1:, :, 0] == 1).all()
    assert (image[..., 1] == 2).all() and (image[..., 2] == 3).all()
    assert source.labels.tolist() == [1, 7, 2, 7] and source.label_names is None
    assert open_images(tmp_path / "test_batch.bin").labels.tolist() == [4]
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\n")
    assert open_images(tmp_path).label_names == ["airplane", "automobile"]


def test_cifar100_takes_the_fine_labels(tmp_path):
    (tmp_path / "train.bin").write_bytes(cifar_record(3, 42) + cifar_record(4, 99, start=5))
    source = open_images(tmp_path)
    assert source.labels.tolist() == [42, 99] and source.read(1)[0, 0].tolist() == [5, 2, 3]


def test_damaged_cifar(tmp_path):
    (tmp_path / "train.bin").write_bytes(cifar_record(3, 42)[:-1] + b"xyz")
    with pytest.raises(DataError, match="3,076 bytes long.*3,073.*3,074"):
        open_images(tmp_path)


class Evil:
    def __reduce__(self):
        return print, ("a pickle ran code",)


def test_cifar_python_version(tmp_path, capsys):
    data = np.frombuffer(cifar_record(5)[1:] * 2, "uint8").reshape(2, 3072)
    batch = {b"data": data, b"labels": [5, 6]}
    for protocol in (2, 4):
        (tmp_path / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=protocol))
        source = open_images(tmp_path)
        assert source.labels.tolist() == [5, 6] and source.read(1)[0, 3].tolist() == [3, 2, 3]
    for bad in (pickle.dumps(Evil()), pickle.dumps(batch)[:50], pickle.dumps([1])):
        (tmp_path / "data_batch_1").write_bytes(bad)
        with pytest.raises(DataError, match="not an intact pickle of CIFAR"):
            open_images(tmp_path)
    assert capsys.readouterr().out == ""


# NumPy.


def test_npy(tmp_path, pictures):
    np.save(tmp_path / "a.npy", pictures)
    source = open_images(tmp_path / "a.npy")
    assert isinstance(source.array, np.memmap) and source.value_range == (0, 255)
    np.testing.assert_array_equal(source.read([3, 1]), pictures[[3, 1]])
    np.save(tmp_path / "b.npy", pictures[..., 0])
    assert open_images(tmp_path / "b.npy").shape == (6, 10, 1)
    np.save(tmp_path / "c.npy", pictures[0, 0])
    with pytest.raises(DataError, match=r"shape \(10, 3\)"):
        open_images(tmp_path / "c.npy")
    truncated(tmp_path / "a.npy")
    with pytest.raises(DataError, match="cannot be read by NumPy"):
        open_images(tmp_path / "a.npy")


def test_floats_need_a_value_range(tmp_path):
    np.save(tmp_path / "a.npy", np.linspace(-3, 5, 48, dtype="float32").reshape(3, 4, 4))
    with pytest.raises(DataError, match=r"values -3 to 5 were seen.*data.value_range: \[0, 1\]"):
        open_images(tmp_path / "a.npy")
    source = open_images(tmp_path / "a.npy", [-3, 5])
    assert source.value_range == (-3, 5) and source.read(0).dtype == np.float32


def test_npz(tmp_path, pictures):
    labels = np.arange(8)
    for names in (("images", "labels"), ("x", "y"), ("x_train", "y_train"), ("zzz", "y")):
        arrays = dict(zip(names, (pictures, labels), strict=True))
        np.savez_compressed(tmp_path / "a.npz", other=np.zeros(3), x_tes=np.zeros([1, 1]), **arrays)
        source = open_images(tmp_path / "a.npz")
        np.testing.assert_array_equal(every(source), pictures)
        assert source.labels.tolist() == labels.tolist()
    np.savez(tmp_path / "a.npz", numbers=labels)
    with pytest.raises(DataError, match="no images, only numbers"):
        open_images(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(DataError, match="cannot be read"):
        open_images(tmp_path / "a.npz")


# Paths of unknown kinds.


def test_unknown_paths(tmp_path, folder):
    with pytest.raises(DataError, match="There is no .*nothing"):
        open_images(tmp_path / "nothing")
    with pytest.raises(DataError, match="single image.*folder"):
        open_images(folder / "cat" / "0.png")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="no known format.*(?s:.*)TFRecord|tfrecords"):
        open_images(tmp_path / "a.txt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="No images in .*1 other files.*png"):
        open_images(tmp_path / "empty")
