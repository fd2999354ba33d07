"""Some five hundred faulty data sets, each with its expected outcome.

A case is (name, function that makes the set in a folder and returns its path, outcome):

- "reads": every image is read;
- "broken": the set opens; its faulty images, and no others, are reported as broken;
- "refused": the set is refused when it is opened, or when its labels are asked for;
- "answers": one of these three, depending on the damage.

In a set of files the good images are named good*.png.
"""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image
from PIL import __version__ as pillow

NOISE = np.random.RandomState(0).randint(0, 256, [24, 20, 3], "uint8")


def encoded(kind, image=NOISE, **options):
    if kind == "png16":
        return tf.io.encode_png(tf.constant(image.astype("uint16") * 257)).numpy()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


KINDS = {
    "png": ("png", "PNG", {}),
    "png16": ("png", "png16", {}),
    "jpg": ("jpg", "JPEG", {"quality": 95}),
    "gif": ("gif", "GIF", {}),
    "webp": ("webp", "WEBP", {"lossless": True}),
    "tif": ("tif", "TIFF", {}),
    "tif-lzw": ("tiff", "TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("bmp", "BMP", {}),
}


def whole(kind):
    ending, name, options = KINDS[kind]
    return ending, encoded(name, **options)


def flipped(data, seed, count=3, start=0, end=None):
    """Flips some bits of data between two places."""
    data, draws = bytearray(data), np.random.RandomState(seed)
    for position in draws.randint(start, end or len(data), count):
        data[position] ^= 1 << draws.randint(8)
    return bytes(data)


CASES = []


def case(name, outcome):
    """Registers a maker: it gets a folder and returns the path to open."""

    def register(make):
        CASES.append((name, make, outcome))
        return make

    return register


def with_good(folder, name, data):
    """Makes a folder with two good images and one file of the given bytes."""
    folder = folder / "set"
    folder.mkdir()
    for i in range(2):
        (folder / f"good{i}.png").write_bytes(encoded("PNG", NOISE + i))
    with open(os.fsencode(folder) + b"/" + os.fsencode(name), "wb") as file:
        file.write(data)
    return folder


def file_case(name, outcome, filename, data):
    CASES.append((name, lambda folder: with_good(folder, filename, data), outcome))


# Image files: cut off, flipped, of another kind.

for kind in KINDS:
    ending, data = whole(kind)
    for part in (0.0, 0.02, 0.3, 0.6):
        file_case(
            f"{kind} cut at {part:.0%}", "broken", f"x.{ending}", data[: int(len(data) * part)]
        )
    file_case(f"{kind} cut by one byte", "answers", f"x.{ending}", data[:-1])
    for seed in range(8):
        file_case(f"{kind} flipped {seed}", "answers", f"x.{ending}", flipped(data, seed))
    for seed in range(5):
        bad = flipped(data, seed, 4, end=60)
        file_case(f"{kind} header flipped {seed}", "answers", f"x.{ending}", bad)

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(ran) print\n%%EOF\n"
for name, data in {
    "text": b"this is no image",
    "html": b"<!DOCTYPE html><html>404</html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "pdf": b"%PDF-1.4\n%%EOF",
    "eps": EPS,  # Pillow would start Ghostscript for it
    "ppm": b"P6 1 1 255\n\0\0\0",
    "zeros": bytes(500),
    "random": np.random.RandomState(1).bytes(500),
    "pickle": pickle.dumps([1, 2]),
}.items():
    file_case(f"{name} named png", "broken", "x.png", data)
file_case("jpg named png", "reads", "x.png", whole("jpg")[1])
file_case("gif named tif", "reads", "x.tif", whole("gif")[1])


# Files that say they are huge.


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width, height, depth=8, extra=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def patched(data, *changes):
    data = bytearray(data)
    for position, value in changes:
        data[position : position + len(value)] = value
    return bytes(data)


def tiff_bomb(side):
    """Replaces width (tag 256) and height (257) of a little-endian TIFF."""
    data = encoded("TIFF")
    for tag in (256, 257):
        at = (
            data.index(struct.pack("<HHI", tag, 4, 1))
            if struct.pack("<HHI", tag, 4, 1) in data
            else data.index(struct.pack("<HHI", tag, 3, 1))
        )
        data = patched(data, (at, struct.pack("<HHII", tag, 4, 1, side)))
    return data


JPEG = encoded("JPEG")
FRAME = JPEG.index(b"\xff\xc0") + 5  # height and width of the frame
TEXT_BOMB = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(90_000_000)))
for name, data in {
    "png 60000": png_bomb(60000, 60000),
    "png 10000": png_bomb(10000, 10000),
    "png 2^31-1": png_bomb(2**31 - 1, 2**31 - 1),
    "png long line": png_bomb(2**31 - 1, 1),
    "png 16 bits 60000": png_bomb(60000, 60000, 16),
    "png 16 bits 12000": png_bomb(12000, 12000, 16),
    "png 0": png_bomb(0, 5),
    "png text": png_bomb(20, 24, extra=TEXT_BOMB),
    "gif 65535": patched(encoded("GIF"), (6, b"\xff\xff\xff\xff")),
    "bmp 2^31-1": patched(encoded("BMP"), (18, struct.pack("<ii", 2**31 - 1, 2**31 - 1))),
    "bmp 0": patched(encoded("BMP"), (18, struct.pack("<ii", 0, 0))),
    "tif 100000": tiff_bomb(100_000),
    "tif 2^32-1": tiff_bomb(2**32 - 1),
    "tif 0": tiff_bomb(0),
    "jpg 65500": patched(JPEG, (FRAME, struct.pack(">HH", 65500, 65500))),
}.items():
    file_case(f"bomb: {name}", "broken", f"x.{name[:3]}", data)


@case("bomb: webp 16383", "broken")
def _(folder):

    data = bytearray(encoded("WEBP", lossless=True))
    at = data.index(b"VP8L") + 9
    data[at : at + 4] = struct.pack("<I", 0x3FFF | 0x3FFF << 14)
    return with_good(folder, "x.webp", bytes(data))


for ending in ("png", "webp", "bmp"):

    @case(f"bomb: sparse file of 3 GB, {ending}", "broken")
    def _(folder, ending=ending):
        path = with_good(folder, f"x.{ending}", whole(ending)[1][:100])
        os.truncate(path / f"x.{ending}", 3_000_000_000)
        return path


# Kinds of pixels, animations, turned images.

RGB = Image.fromarray(NOISE)
READS_YCBCR = "broken" if pillow.startswith("12.") else "reads"  # as raw TIFFs
PALETTE = RGB.quantize(16)
for name, filename, data, outcome in [
    ("cmyk jpg", "x.jpg", encoded("JPEG", RGB.convert("CMYK")), "reads"),
    ("cmyk tif", "x.tif", encoded("TIFF", RGB.convert("CMYK")), "reads"),
    ("ycbcr tif", "x.tif", encoded("TIFF", RGB.convert("YCbCr")), READS_YCBCR),
    ("lab tif", "x.tif", encoded("TIFF", RGB.convert("LAB")), "reads"),
    ("palette png", "x.png", encoded("PNG", PALETTE), "reads"),
    ("palette gif", "x.gif", encoded("GIF", PALETTE), "reads"),
    ("transparent palette", "x.png", encoded("PNG", PALETTE, transparency=0), "reads"),
    ("one bit", "x.png", encoded("PNG", RGB.convert("1")), "reads"),
    ("gray", "x.png", encoded("PNG", RGB.convert("L")), "reads"),
    ("gray and alpha", "x.png", encoded("PNG", RGB.convert("LA")), "reads"),
    ("rgba", "x.webp", encoded("WEBP", RGB.convert("RGBA")), "reads"),
    ("16 bits png", "x.png", encoded("png16"), "reads"),
    ("16 bits tif", "x.tif", encoded("TIFF", NOISE[..., 0].astype("uint16")), "reads"),
    ("32 bits tif", "x.tif", encoded("TIFF", NOISE[..., 0].astype("int32")), "broken"),
    ("floats tif", "x.tif", encoded("TIFF", NOISE[..., 0].astype("float32")), "broken"),
    ("one pixel", "x.png", encoded("PNG", NOISE[:1, :1]), "reads"),
    ("a line of pixels", "x.png", encoded("PNG", np.zeros([1, 5000], "uint8")), "reads"),
]:
    file_case(name, outcome, filename, data)
for ending, kind in (("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG"), ("tif", "TIFF")):
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue", "green")]
    data = encoded(kind, frames[0], save_all=True, append_images=frames[1:])
    file_case(f"animated {ending}", "reads", f"x.{ending}", data)
for turn in (*range(10), 65535):
    exif = Image.Exif()
    exif[0x0112] = turn
    for ending, kind in (("jpg", "JPEG"), ("png", "PNG")):
        file_case(f"exif {turn} {ending}", "reads", f"x.{ending}", encoded(kind, exif=exif))
file_case("exif of garbage", "reads", "x.jpg", encoded("JPEG", exif=b"Exif\0\0garbage" * 9))


# Names.

for name in (
    "ünïcödé 漢字.png",
    "new\nline.png",
    "\x1b[2J\x1b[31mred.png",
    "-rf.png",
    "a b  c.png",
    "'\"`$(touch ran).png",
    "x" * 251 + ".png",
    "\u202egnp.exe.png",
    "%s{0}.png",
    "x.PNG",
    "..x.png",
):
    hidden = name.startswith(".")
    file_case(f"name {name[:20]!r}", "reads", name, b"" if hidden else encoded("PNG"))
    if not hidden:
        file_case(f"broken with the name {name[:20]!r}", "broken", name, b"x")
file_case(
    "name of no utf-8", "reads", b"\xff\xfe.png".decode(errors="surrogateescape"), whole("png")[1]
)
file_case("broken, no utf-8", "broken", b"\xff\xfe.png".decode(errors="surrogateescape"), b"x")


# Links, pipes, devices.


def linked(folder, *links):
    """Makes a folder with two good images, sub-folders a, b, c, and links (from, to)."""
    path = with_good(folder, "notes.txt", b"")
    for name in "abc":
        (path / name).mkdir()
        (path / name / "good.png").write_bytes(encoded("PNG"))
    for source, target in links:
        (path / source).symlink_to(target)
    return path


for name, links, outcome in [
    ("a folder in itself", [("loop", ".")], "reads"),
    ("two loops", [("one", "."), ("a/two", "..")], "reads"),
    ("folders in each other", [("a/b", "../b"), ("b/a", "../a")], "reads"),
    ("nine links in a ring", [(f"{x}/{y}", f"../{y}") for x in "abc" for y in "abc"], "reads"),
    ("a folder twice", [("again", "a")], "reads"),
    ("a link that leads nowhere", [("x.png", "nowhere.png")], "broken"),
    ("a link to itself", [("x.png", "x.png")], "broken"),
    ("two links to each other", [("x.png", "y.png"), ("y.png", "x.png")], "broken"),
    ("a folder link to itself", [("loop", "loop")], "reads"),
    ("a link to an image", [("x.png", "good0.png")], "reads"),
    ("a link to /dev/zero", [("x.png", "/dev/zero")], "reads"),
    ("a link to the root", [("a/x.png", "/dev/null")], "reads"),
]:
    CASES.append((f"links: {name}", lambda f, links=links: linked(f, *links), outcome))


@case("links: thirty folders that all hold links to all", "reads")
def _(folder):
    path = linked(folder)
    for i in range(30):
        (path / f"f{i}").mkdir()
        for k in range(30):
            (path / f"f{i}" / f"l{k}").symlink_to(f"../f{k}")
    return path


@case("a pipe named png", "reads")
def _(folder):
    path = with_good(folder, "good3.png", encoded("PNG"))
    os.mkfifo(path / "x.png")
    return path


@case("a folder named png", "reads")
def _(folder):
    path = with_good(folder, "good3.png", encoded("PNG"))
    (path / "x.png").mkdir()
    return path


@case("the set is a pipe", "refused")
def _(folder):
    os.mkfifo(folder / "set.npy")
    return folder / "set.npy"


# Zips.


def zipped(folder, entries=(), **options):
    path = folder / "set.zip"
    with zipfile.ZipFile(path, "w", **options) as file:
        for i in range(2):
            file.writestr(f"good{i}.png", encoded("PNG", NOISE + i))
        for name, data in entries:
            file.writestr(name, data)
    return path


def changed(path, change):
    path.write_bytes(change(path.read_bytes()))
    return path


for part in (0.0, 0.2, 0.5, 0.9, 0.99):
    CASES.append(
        (
            f"zip cut at {part:.0%}",
            lambda f, p=part: changed(zipped(f), lambda data: data[: int(len(data) * p)]),
            "refused",
        )
    )
for seed in range(10):
    CASES.append(
        (
            f"zip flipped {seed}",
            lambda f, s=seed: changed(zipped(f), lambda data: flipped(data, s)),
            "answers",
        )
    )
for seed in range(25):
    CASES.append(
        (
            f"zip: table of contents flipped {seed}",
            lambda f, s=seed: changed(zipped(f), lambda d: flipped(d, s, 4, d.index(b"PK\1\2"))),
            "answers",
        )
    )


@case("zip: wrong checksum of an image", "broken")
def _(folder):
    path = zipped(folder, [("x.bmp", encoded("BMP"))])  # a BMP has no checksum of its own
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("x.bmp").header_offset + 200
    return changed(path, lambda data: patched(data, (at, bytes([data[at] ^ 1]))))


for name, entries, outcome in [
    ("path that leads outside", [("../../../outside.png", encoded("PNG"))], "reads"),
    ("absolute path", [("/tmp/outside.png", encoded("PNG"))], "reads"),
    ("drive letter", [("C:\\outside.png", encoded("PNG"))], "reads"),
    ("only paths that lead outside", [("../good.png", b"x"), ("a/../../x.png", b"x")], "reads"),
    ("newline", [("new\nline.png", b"x")], "broken"),
    ("zip in it", [("inner.zip", b"PK\3\4")], "reads"),
    ("same name twice", [("good0.png", encoded("PNG"))], "reads"),
    ("folder entry", [("folder/", b"")], "reads"),
    ("hidden files", [("__MACOSX/._x.png", b"x"), (".DS_Store", b"x")], "reads"),
    ("table of labels cut off", [("dataset.json", b'{"labels": [["go')], "refused"),
    ("bytes after the end of an image", [("good3.png", encoded("PNG") + bytes(99))], "reads"),
]:
    CASES.append((f"zip: {name}", lambda f, e=entries: zipped(f, e), outcome))
for name, method in (("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)):
    CASES.append(
        (f"zip: {name}", lambda f, m=method: zipped(f, compression=m), "reads"),
    )


@case("zip: an image of 3 GB of zeros", "broken")
def _(folder):
    path = zipped(folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        with file.open("x.webp", "w", force_zip64=True) as out:
            out.write(encoded("WEBP"))
            for _ in range(30):
                out.write(bytes(10_000_000))
    return path


@case("zip: empty", "refused")
def _(folder):
    with zipfile.ZipFile(folder / "set.zip", "w"):
        return folder / "set.zip"


@case("zip: encrypted", "broken")
def _(folder):
    """Sets the encryption flag of the last entry, there and in the table of contents."""
    path = zipped(folder, [("x.png", encoded("PNG"))])
    data = path.read_bytes()
    local, central = data.rindex(b"PK\3\4"), data.rindex(b"PK\1\2")
    return changed(path, lambda d: patched(d, (local + 6, b"\1"), (central + 8, b"\1")))


@case("zip: unknown compression", "broken")
def _(folder):
    path = zipped(folder, [("x.png", encoded("PNG"))])
    data = path.read_bytes()
    local, central = data.rindex(b"PK\3\4"), data.rindex(b"PK\1\2")
    return changed(path, lambda d: patched(d, (local + 8, b"\x63"), (central + 10, b"\x63")))


@case("zip: a link as entry", "broken")
def _(folder):
    info = zipfile.ZipInfo("x.png")
    info.external_attr = 0o120777 << 16
    return zipped(folder, [(info, "/etc/passwd")])


# TFRecords.


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value))


def example(**values):
    features = {name: feature(value) for name, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


PLANES = np.ascontiguousarray(NOISE.transpose(2, 0, 1))
GOOD = example(shape=PLANES.shape, data=PLANES.tobytes())


def records(folder, *more):
    path = folder / "set.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in (GOOD, GOOD, *more):
            writer.write(record)
    return path


def record_case(name, outcome, change):
    CASES.append((f"tfrecord {name}", lambda f: changed(records(f), change), outcome))


SIZE = len(GOOD) + 16
for at in (1, 11, 15, 500, SIZE - 2, SIZE + 3, SIZE + 700, 2 * SIZE - 1):
    record_case(f"cut at byte {at}", "refused", lambda data, at=at: data[:at])
record_case("data altered", "reads", lambda d: patched(d, (700, bytes([d[700] ^ 1]))))
record_case("checksum altered", "reads", lambda d: patched(d, (SIZE - 1, bytes([d[SIZE - 1] ^ 1]))))
record_case("length altered", "refused", lambda d: patched(d, (1, bytes([d[1] ^ 64]))))
record_case("length huge", "refused", lambda d: patched(d, (0, b"\xff" * 8)))
record_case("all zeros", "refused", lambda d: bytes(1_000_000))
record_case("empty", "refused", lambda d: b"")
record_case("gzipped", "refused", gzip.compress)
record_case("random", "refused", lambda d: np.random.RandomState(0).bytes(3000))
for seed in range(15):
    record_case(f"flipped {seed}", "answers", lambda d, s=seed: flipped(d, s))
    record_case(f"head flipped {seed}", "answers", lambda d, s=seed: flipped(d, s, 2, 12, 60))
for name, record in {
    "negative sides": example(shape=[-1, -24, 60], data=PLANES.tobytes()),
    "no pixels": example(shape=[3, 0, 20], data=b""),
    "huge sides": example(shape=[2**31, 2**31, 2**31], data=PLANES.tobytes()),
    "too few bytes": example(shape=PLANES.shape, data=PLANES.tobytes()[:-1]),
    "three bytes per value": example(shape=PLANES.shape, data=PLANES.tobytes() * 3),
    "two sides": example(shape=[24, 60], data=PLANES.tobytes()),
    "no shape": example(data=PLANES.tobytes()),
    "other words": example(image=PLANES.tobytes()),
    "text": b"no example",
    "endless number": b"\x80" * 2_000_000,
    "one byte": b"\x0a",
}.items():
    CASES.append((f"tfrecord with {name}", lambda f, r=record: records(f, r), "broken"))


@case("tfrecord: one label missing", "refused")
def _(folder):
    labeled = example(shape=PLANES.shape, data=PLANES.tobytes(), label=[1])
    path = folder / "set.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(labeled)
        writer.write(GOOD)
    return path


@case("tfrecord: labels of several lengths", "refused")
def _(folder):
    path = folder / "set.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for label in ([1], [1, 2]):
            writer.write(example(shape=PLANES.shape, data=PLANES.tobytes(), label=label))
    return path


@case("tfrecord: a shard missing", "refused")
def _(folder):
    records(folder).rename(folder / "set-00000-of-00002.tfrecords")
    return folder


# IDX.


def idx(*sides, kind=8, data=None, magic=b"\0\0"):
    data = bytes(int(np.prod(sides, dtype=object))) if data is None else data
    return magic + bytes([kind, len(sides)]) + struct.pack(f">{len(sides)}I", *sides) + data


def idx_case(name, outcome, data, labels=None):
    def make(folder):
        (folder / "train-images-idx3-ubyte").write_bytes(data)
        if labels is not None:
            (folder / "train-labels-idx1-ubyte").write_bytes(labels)
        return folder

    CASES.append((f"idx {name}", make, outcome))


TEN = idx(10, 4, 4)
idx_case("whole", "reads", TEN, idx(10))
idx_case("one class missing", "reads", TEN, idx(10, data=bytes([0, 2] * 5)))
idx_case("packed", "reads", gzip.compress(TEN))
idx_case("wrong magic", "refused", idx(10, 4, 4, magic=b"\x08\0"))
idx_case("wrong type", "refused", idx(10, 4, 4, kind=7))
idx_case("no sides", "refused", idx(data=b"x"))
idx_case("255 sides", "refused", idx(*[1] * 255))
idx_case("cut", "refused", TEN[:-1])
idx_case("cut in its head", "refused", TEN[:9])
idx_case("empty", "refused", b"")
idx_case("one byte too many", "refused", TEN + b"x")
idx_case("sides that overflow", "refused", idx(2**31, 2**31, 4, data=b""))
idx_case("sides of terabytes", "refused", idx(2**20, 2**12, 2**12, data=bytes(99)))
idx_case("no images", "refused", idx(0, 4, 4))
idx_case("no height", "refused", idx(10, 0, 4))
idx_case("labels of another set", "refused", TEN, idx(9))
idx_case("labels cut", "refused", TEN, idx(10)[:-1])
idx_case("labels empty", "refused", TEN, b"")
idx_case("gzip cut", "refused", gzip.compress(TEN)[:-9])
idx_case("gzip bomb", "refused", gzip.compress(TEN + bytes(300_000_000), 1))
idx_case("gzip bomb of terabytes", "refused", gzip.compress(idx(2**20, 2**12, 2**12, data=b"")))
for seed in range(8):
    random = idx(10, 4, 4, data=np.random.RandomState(seed).bytes(160))
    idx_case(f"gzip flipped {seed}", "answers", flipped(gzip.compress(random), seed, 2))
    idx_case(f"flipped {seed}", "answers", flipped(random, seed, 2, end=16))


# NumPy.


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def saved_many(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy_case(name, outcome, data, ending="npy"):
    def make(folder):
        (folder / f"set.{ending}").write_bytes(data)
        return folder / f"set.{ending}"

    CASES.append((f"{ending} {name}", make, outcome))


ROWS = np.stack([NOISE, NOISE + 1])
HEADER = saved(ROWS)[:128]


def npy_header(text):
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


npy_case("whole", "reads", saved(ROWS))
npy_case("objects", "refused", saved(np.array([[[None]]]), allow_pickle=True))
npy_case("texts", "refused", saved(np.full([2, 2, 2], "text")))
npy_case("records", "refused", saved(np.zeros([2, 2, 2], "u1,f4")))
npy_case("truths", "refused", saved(np.ones([2, 2, 2], bool)))
npy_case("complex", "refused", saved(np.ones([2, 2, 2], complex)))
npy_case("dates", "refused", saved(np.zeros([2, 2, 2], "datetime64[s]")))
npy_case("floats without a range", "refused", saved(np.ones([2, 2, 2], "float32")))
npy_case("not a number", "refused", saved(np.full([2, 2, 2], np.nan)))
npy_case("five sides", "refused", saved(np.ones([1, 1, 1, 1, 1], "uint8")))
npy_case("no images", "refused", saved(np.ones([0, 4, 4], "uint8")))
npy_case("no height", "refused", saved(np.ones([4, 0, 4], "uint8")))
npy_case("empty", "refused", b"")
npy_case("cut", "refused", saved(ROWS)[:-1])
npy_case("cut in its head", "refused", saved(ROWS)[:50])
npy_case("pickle", "refused", pickle.dumps(ROWS))
npy_case("many under the name of one", "refused", saved_many(images=ROWS))
npy_case(
    "terabytes",
    "refused",
    npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9999, 99999, 9999)}"),
)
npy_case("code in its head", "refused", npy_header("__import__('os').system('touch ran')"))
npy_case("deep head", "refused", npy_header("(" * 110))
for seed in range(12):
    npy_case(f"head flipped {seed}", "answers", flipped(saved(ROWS), seed, 3, end=128))
npy_case("whole", "reads", saved_many(images=ROWS, labels=np.arange(2)), "npz")
npy_case("labels of another set", "refused", saved_many(images=ROWS, labels=np.arange(3)), "npz")
npy_case("one under the name of many", "refused", saved(ROWS), "npz")
npy_case("no images", "refused", saved_many(numbers=np.arange(9)), "npz")
npy_case("cut", "refused", saved_many(images=ROWS)[:-30], "npz")
npy_case("empty", "refused", b"", "npz")
for seed in range(8):
    npy_case(f"flipped {seed}", "answers", flipped(saved_many(images=ROWS), seed), "npz")


@case("npz of terabytes", "refused")
def _(folder):
    head = npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9999, 99999, 9999)}")
    with zipfile.ZipFile(folder / "set.npz", "w") as file:
        file.writestr("images.npy", head + bytes(1000))
    return folder / "set.npz"


# CIFAR.


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


def cifar_case(name, outcome, data, file="data_batch_1"):
    def make(folder):
        (folder / file).write_bytes(data)
        return folder

    CASES.append((f"cifar {name}", make, outcome))


PIXELS = np.random.RandomState(0).randint(0, 256, [2, 3072], "uint8")
cifar_case("whole", "reads", pickle.dumps({b"data": PIXELS, b"labels": [3, 4]}))
cifar_case("code", "refused", pickle.dumps(Evil()))
cifar_case("code in a list", "refused", pickle.dumps({b"data": PIXELS, b"labels": [Evil()]}))
cifar_case("of one image fewer", "refused", pickle.dumps({b"data": PIXELS[:1], b"labels": [3, 4]}))
cifar_case("of floats", "refused", pickle.dumps({b"data": PIXELS / 1.0, b"labels": [3, 4]}))
cifar_case("of texts", "refused", pickle.dumps({b"data": PIXELS, b"labels": ["a", "b"]}))
cifar_case("without pixels", "refused", pickle.dumps({b"labels": [3, 4]}))
cifar_case("of a number", "refused", pickle.dumps(5))
cifar_case("of lists", "refused", pickle.dumps({b"data": [[1, 2]], b"labels": [3]}))
cifar_case("empty", "refused", b"")
cifar_case("binary", "reads", bytes(3073 * 2), "data_batch_1.bin")
cifar_case("binary cut", "refused", bytes(3073 * 2 - 1), "data_batch_1.bin")
cifar_case("binary empty", "refused", b"", "data_batch_1.bin")
for seed in range(12):
    cifar = pickle.dumps({b"data": PIXELS, b"labels": [3, 4]})
    bad = flipped(cifar, seed, 2, end=200) if seed % 2 else flipped(cifar, seed, 2, len(cifar) - 60)
    cifar_case(f"flipped {seed}", "answers", bad)


# Folders and labels.


def labeled(folder, table):
    path = with_good(folder, "good2.png", encoded("PNG"))
    (path / "dataset.json").write_bytes(table)
    return path


def table(*labels):
    pairs = [[f"good{i}.png", label] for i, label in enumerate(labels)]
    return json.dumps({"labels": pairs}).encode()


for name, data, outcome in [
    ("whole", table(0, 1, 1), "reads"),
    ("one class missing", table(0, 2, 2), "reads"),
    ("cut", table(0, 1, 1)[:-5], "refused"),
    ("empty", b"", "refused"),
    ("no utf-8", b"\xff\xfe\xff", "refused"),
    ("a list", b"[]", "refused"),
    ("a number", b"5", "refused"),
    ("null", b"null", "refused"),
    ("labels are a number", b'{"labels": 5}', "refused"),
    ("labels are texts", table("a", "b", "c"), "refused"),
    ("labels are objects", table({}, {}, {}), "refused"),
    ("labels of several lengths", table([1], [1, 2], [1]), "refused"),
    ("one label missing", table(0, 1), "refused"),
    ("huge labels", table(10**30, 1, 1), "refused"),
    ("big labels", table(2**40, 1, 1), "refused"),
    ("deep", b'{"labels": ' + b"[" * 100_000, "refused"),
]:
    CASES.append((f"dataset.json {name}", lambda f, d=data: labeled(f, d), outcome))


@case("empty folder", "refused")
def _(folder):
    (folder / "set").mkdir()
    return folder / "set"


@case("only hidden files", "refused")
def _(folder):
    (folder / ".x.png").write_bytes(encoded("PNG"))
    return folder


@case("only a text", "refused")
def _(folder):
    (folder / "notes.txt").write_text("x")
    return folder


@case("one class folder empty", "reads")
def _(folder):
    path = linked(folder)
    for i in range(2):
        (path / f"good{i}.png").unlink()
    (path / "b" / "good.png").unlink()
    return path


@case("a very deep folder", "reads")
def _(folder):
    path = deep = with_good(folder, "notes.txt", b"")
    for _ in range(200):
        deep /= "deeper"
    deep.mkdir(parents=True)
    (deep / "good.png").write_bytes(encoded("PNG"))
    return path
