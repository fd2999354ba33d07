"""The data kind "captions": sentences, embeddings, wrong images, and StackGAN's pickles."""

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.data import Data, DataError, batches, captions, resolve
from tfgans.data.captions import (
    BIGRAMS,
    SyntheticCaptions,
    bag,
    open_captions,
    places_of,
    read_captions,
)


def model(source, image_shape, stages=1):
    dim = len(source.words) + BIGRAMS if source.words else source.embeddings.shape[2]
    return StandIn(
        data_kind="captions", image_shape=image_shape, condition_dim=dim, words=source.words
    )


def first_batch(source, image_shape=(8, 8, 3), n=16, **settings):
    given = Data(batch_size=n, **settings)
    return {
        name: value.numpy()
        for name, value in next(
            iter(batches(model(source, image_shape), source, given, seed=0))
        ).items()
    }


@pytest.fixture
def folder(tmp_path):
    """Six images of two classes, whose gray value is 40 k for image k; sentences name k."""
    table = {}
    for k in range(6):
        name = f"{'ab'[k % 2]}/{k}.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (40 * k,) * 3).save(tmp_path / name)
        table[name] = [f"number n{k}", f"this is n{k}"]
    (tmp_path / "captions.json").write_text(json.dumps(table))
    return tmp_path


def number_of(images):
    return np.rint((images[:, 0, 0, 0] + 1) * 127.5 / 40).astype(int)


def test_image_text_and_wrong_image(folder):
    """The text is one of the image's own; the wrong image is of another class, always."""
    source = open_captions(folder, (8, 8, 3))
    assert source.words == ["is", *[f"n{k}" for k in range(6)], "number", "this"]
    batch = first_batch(source, n=64)
    numbers = number_of(batch["image"])
    np.testing.assert_array_equal(batch["condition"][:, 1:7], np.eye(6)[numbers])
    assert {*batch["condition"][:, 7]} == {0, 1}  # both forms are drawn
    np.testing.assert_array_equal(batch["label"], numbers % 2)
    assert ((numbers - number_of(batch["wrong"])) % 2 == 1).all()
    assert {*number_of(batch["wrong"])} == {*range(6)}


def test_images_in_one_folder_are_a_class_where_they_have_the_same_sentences(tmp_path):
    for k in range(4):
        Image.new("RGB", (8, 8), (40 * k,) * 3).save(tmp_path / f"{k}.png")
    table = {f"{k}.png": ["One!" if k < 2 else f"it is {k}"] for k in range(4)}
    (tmp_path / "captions.json").write_text(json.dumps(table))
    assert open_captions(tmp_path, (8, 8, 3)).classes.tolist() == [0, 0, 1, 2]


def test_errors_of_captions(folder):
    table = json.loads((folder / "captions.json").read_text())
    for change, error in (
        ({"a/0.png": []}, "1 of 6 images .* for example a/0.png"),
        ({"a/0.png": "text"}, "for example a/0.png"),
        ({"a/0.png": ["..."]}, "for example a/0.png"),
    ):
        (folder / "captions.json").write_text(json.dumps(table | change))
        with pytest.raises(DataError, match=error):
            open_captions(folder, (8, 8, 3))
    (folder / "captions.json").write_text("{")
    with pytest.raises(DataError, match="captions.json is not valid"):
        open_captions(folder, (8, 8, 3))
    (folder / "captions.json").unlink()
    with pytest.raises(DataError, match="has no captions.json. Wanted: images with"):
        open_captions(folder, (8, 8, 3))


def test_one_class_is_an_error(folder):
    (folder / "b").rename(folder / "a" / "b")
    table = json.loads((folder / "captions.json").read_text())
    table = {name.replace("b/", "a/b/"): own for name, own in table.items()}
    (folder / "captions.json").write_text(json.dumps(table))
    source = open_captions(folder, (8, 8, 3))
    assert len({*source.classes}) == 6  # one folder is no class; all sentences differ
    same = {name: ["the same"] for name in table}
    (folder / "captions.json").write_text(json.dumps(same))
    with pytest.raises(DataError, match="no text is ever the wrong one"):
        open_captions(folder, (8, 8, 3))


def test_a_broken_image_is_replaced_with_its_own_text(folder, capsys):
    (folder / "a" / "2.png").write_bytes(b"broken")
    source = open_captions(folder, (8, 8, 3))
    batch = first_batch(source, n=64)
    numbers = number_of(batch["image"])
    assert {*numbers} == {0, 1, 3, 4, 5}
    np.testing.assert_array_equal(batch["condition"][:, 1:7], np.eye(6)[numbers])
    assert ((numbers - number_of(batch["wrong"])) % 2 == 1).all()
    assert "skipped broken image" in capsys.readouterr().out


def test_words_of_a_trained_model_are_kept(folder):
    source = open_captions(folder, (8, 8, 3))
    other = model(source, (8, 8, 3))
    other.words = [word for word in source.words if word != "n3"]
    with pytest.raises(DataError, match="words that the model does not know: n3"):
        captions.Reader(other, source, Data(), 0)
    other.words = [*source.words, "zebra"]
    other.condition_dim += 1
    batch = next(iter(batches(other, source, Data(batch_size=4), seed=0)))
    assert batch["condition"].shape == (4, other.condition_dim)


@pytest.mark.thorough
def test_bags_are_the_same_in_another_process():
    words = ["a", "disc", "red", "small"]
    here = bag("a small red disc, red disc", places_of(words))
    code = (
        "from tfgans.data.captions import bag, places_of; "
        f"print(bag('A small red disc. Red DISC', places_of({words})).nonzero()[0].tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "3", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.stdout.strip() == str(here.nonzero()[0].tolist()), run.stderr
    np.testing.assert_array_equal(here[:4], [1, 2, 2, 1])
    assert here[4 + zlib.crc32(b"small red") % BIGRAMS] == 1


def test_synthetic_images_show_what_sentences_say():
    """Read from pixels: 100 % at 16 and at 32 pixels; all four are independent."""
    for side in (16, 32):
        source = SyntheticCaptions((side, side, 3), count=300)
        images = np.stack([source.read(i) for i in range(300)]) / 127.5 - 1
        np.testing.assert_array_equal(read_captions(images), source.said)
    said = SyntheticCaptions((16, 16, 3), count=4096).said
    correlation = np.corrcoef(said.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.05
    sentence = source.sentences(4)[0]
    assert sentence == "a small red square on dark ground"


def test_stage_one_has_the_means_of_squares():
    class Stages(StandIn):
        def stage_shape(self, stage):
            return (16, 16, 3) if stage else (8, 8, 3)

    source = resolve_synthetic()
    stages = Stages(
        data_kind="captions",
        image_shape=(16, 16, 3),
        condition_dim=len(source.words) + BIGRAMS,
        words=source.words,
    )
    small, large = (
        next(iter(batches(stages, source, Data(batch_size=4), seed=0, stage=k))) for k in (0, 1)
    )
    for name in ("image", "wrong"):
        means = large[name].numpy().reshape(4, 8, 2, 8, 2, 3).mean(axis=(2, 4))
        np.testing.assert_allclose(small[name], means, atol=1e-6)
    np.testing.assert_array_equal(small["condition"], large["condition"])


def resolve_synthetic():
    from tfgans.config import Config
    from tfgans.models.stackgan import StackGAN

    config = Config.load("stackgan", "tiny")
    source = resolve(config, StackGAN)
    assert config.model["words"] == source.words
    return source


def python_2(value):
    """The pickle that Python 2 wrote by default (protocol 0): text, with escaped bytes."""

    def string(data):
        return b"S'" + data.decode("latin1").encode("unicode_escape") + b"'\n"

    def written(value):
        if isinstance(value, str):
            return string(value.encode())
        if isinstance(value, int):
            return f"I{value}\n".encode()
        if isinstance(value, list):
            return b"(l" + b"".join(written(item) + b"a" for item in value)
        shape = b"(" + b"".join(f"I{n}\n".encode() for n in value.shape) + b"t"
        order = b"|" if value.dtype == np.uint8 else b"<"
        kind = value.dtype.str[1:].encode()
        dtype = b"cnumpy\ndtype\n(S'" + kind + b"'\nI0\nI1\ntR(I3\nS'" + order
        dtype += b"'\nNNNI-1\nI-1\nI0\ntb"
        start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        return start + b"(I1\n" + shape + dtype + b"I00\n" + string(value.tobytes()) + b"tb"

    return written(value) + b"."


def binary_2(value):
    """The same of protocol 2: bytes are strings with a length."""
    text = python_2(value)
    out, k = b"\x80\x02", 0
    while k < len(text):
        if text[k : k + 2] == b"S'":
            end = text.index(b"'\n", k + 2)
            data = text[k + 2 : end].decode("unicode_escape").encode("latin1")
            out += b"T" + struct.pack("<i", len(data)) + data
            k = end + 2
        elif text[k : k + 1] in b"cIV":
            ends = 2 if text[k : k + 1] == b"c" else 1
            end = k
            for _ in range(ends):
                end = text.index(b"\n", end) + 1
            out += text[k:end]
            k = end
        else:
            out += text[k : k + 1]
            k += 1
    return out


@pytest.mark.parametrize("write", [python_2, binary_2])
def test_pickles_of_python_2(tmp_path, write):
    """The mean of four different embeddings; the images that are large enough; three classes."""
    keys = np.random.RandomState(0)
    images = [keys.randint(0, 255, [10, 10, 3]).astype("uint8") for _ in range(5)]
    embeddings = [(10.0 ** np.arange(6)[:, None] * [[1, k]]).astype("float32") for k in range(5)]
    for name, value in {
        "filenames": [f"{k:03}.bird/{k}" for k in range(5)],
        "class_info": [1, 1, 2, 3, 3],
        "10images": images,
        "40images": [image.repeat(4, 0).repeat(4, 1) for image in images],
        "char-CNN-RNN-embeddings": embeddings,
    }.items():
        (tmp_path / f"{name}.pickle").write_bytes(write(value))
    source = open_captions(tmp_path, (8, 8, 3))
    for k in range(5):
        np.testing.assert_array_equal(source.images.read(k), images[k])
    assert open_captions(tmp_path, (16, 16, 3)).images.smallest == (40, 40, 3)
    batch = first_batch(source, n=64, jitter=2)
    assert (np.diff(source.classes[source.by_class]) >= 0).all()
    for sum_, twice in 4 * batch["condition"]:
        digits = f"{round(float(sum_)):06}"  # a 1 for each embedding that is part of the mean
        assert sorted(digits) == sorted("001111"), digits
        assert twice / sum_ == pytest.approx(round(twice / sum_), abs=1e-5)
    assert len({float(sum_) for sum_, _ in batch["condition"]}) > 5
    (tmp_path / "class_info.pickle").write_bytes(write([1, 2]))
    with pytest.raises(DataError, match="5 names, 5 embeddings, 2 classes and 5 images"):
        open_captions(tmp_path, (8, 8, 3))
    (tmp_path / "class_info.pickle").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match="os.system"):
        open_captions(tmp_path, (8, 8, 3))
    (tmp_path / "class_info.pickle").unlink()
    with pytest.raises(DataError, match="lacks class_info.pickle"):
        open_captions(tmp_path, (8, 8, 3))
