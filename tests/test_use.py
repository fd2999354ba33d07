"""Inputs of a use, read from words: their ranges, and one line for each that does not fit."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import use
from tfgans.data.waves import WaveFile, write_wave
from tfgans.errors import BadInput

Z, SEED = tf.TensorSpec([None, 4], name="z"), tf.TensorSpec([], "int64", "seed")
PSI = tf.TensorSpec([None], name="truncation")


@pytest.mark.parametrize(
    "word, text, default, expected",
    [
        ("n", "4", 16, 4),
        ("seed", "4294967295", None, 2**32 - 1),
        ("first", "-2", 1, -2),
        ("stretch", "1,2.5", (1.0, 1.0), (1.0, 2.5)),
        ("beta", "1", 0.9, 1.0),
    ],
)
def test_numbers_of_a_method(word, text, default, expected):
    assert use.value_of(None, word, text, default, []) == expected


@pytest.mark.parametrize(
    "word, text, default, message",
    [
        ("n", "0", 16, "n: wanted is a whole number from 1 to 2147483647, not '0'"),
        ("n", "yes", 16, "n: wanted is a whole number from 1 to 2147483647, not 'yes'"),
        ("n", "1.0", 16, "not '1.0'"),
        ("frames", "0", 100, "frames: wanted is a whole number from 1 to"),
        ("frames", "-3", 100, "not '-3'"),
        ("factor", "0", 4, "factor: wanted is a whole number from 2 to"),
        ("radius", "-1", 7, "radius: wanted is a whole number from 0 to"),
        ("seed", "-1", None, "seed: wanted is a whole number from 0 to 4294967295"),
        ("seed", "1099511627776", None, "from 0 to 4294967295"),
        ("first", "two", 1, "first is a whole number, not 'two'"),
        ("stretch", "0,1", (1.0, 1.0), "stretch is between 0.1 and 10.0, not '0,1'"),
        ("stretch", "1", (1.0, 1.0), "stretch is like "),
        ("stretch", "1,nan", (1.0, 1.0), "stretch is numbers with commas"),
        ("beta", "2", 0.9, "beta is between 0.0 and 1.0"),
        ("beta", "inf", 0.9, "beta is numbers with commas"),
        ("beta", "0.1,0.2", 0.9, "beta is like 0.9"),
    ],
)
def test_numbers_of_a_method_that_do_not_fit(word, text, default, message):
    with pytest.raises(BadInput) as error:
        use.value_of(None, word, text, default, [])
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


def test_tensors_of_an_endpoint(tmp_path):
    np.save(tmp_path / "z.npy", np.arange(8))
    z = use.tensor_of(None, "z", Z, str(tmp_path / "z.npy"), [])
    np.testing.assert_array_equal(z, np.arange(8).reshape(2, 4))
    np.testing.assert_array_equal(use.tensor_of(None, "z", Z, "1,2,3,4", []), [[1, 2, 3, 4]])
    np.testing.assert_allclose(use.tensor_of(None, "truncation", PSI, "0.5,1", []), [0.5, 1])
    assert int(use.tensor_of(None, "seed", SEED, None, [])) == 0
    label = use.tensor_of(None, "label", Z, str(tmp_path / "z.npy"), [])  # vectors
    np.testing.assert_array_equal(label, z)
    np.testing.assert_array_equal(use.tensor_of(None, "label", Z, "3,0", []), np.eye(4)[[3, 0]])
    numbers = tf.TensorSpec([None], "int32", name="source")
    found = use.tensor_of(None, "source", numbers, "2,0,1", [])
    assert found.dtype == "int32" and use.form(None, "source", numbers) == "NUMBER[,NUMBER...]"
    np.testing.assert_array_equal(found, [2, 0, 1])
    with pytest.raises(BadInput, match="source is a whole number, not 'two'"):
        use.tensor_of(None, "source", numbers, "0,two", [])


@pytest.mark.parametrize(
    "word, spec, text, message",
    [
        ("z", Z, "1,2,3", "z takes 4 finite numbers for each row"),
        ("z", Z, "1,2,3,x", "z is numbers with commas"),
        ("z", Z, "three.npy", "z takes 4 finite numbers for each row"),
        ("z", Z, "nan.npy", "z takes 4 finite numbers for each row"),
        ("z", Z, "none.npy", "z takes 4 finite numbers for each row"),
        ("z", Z, "text.npy", "no array of numbers in NumPy's format"),
        ("z", Z, "empty.npy", "no array of numbers in NumPy's format"),
        ("truncation", PSI, "nan", "truncation is numbers with commas"),
        ("seed", SEED, "-1", "seed: wanted is a whole number from 0 to 4294967295"),
    ],
)
def test_tensors_that_do_not_fit(word, spec, text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("three.npy", np.ones(3))
    np.save("nan.npy", np.full(4, np.nan))
    np.save("none.npy", np.ones([0, 4]))
    (tmp_path / "text.npy").write_text("1 2 3 4")
    (tmp_path / "empty.npy").write_bytes(b"")
    with pytest.raises(BadInput) as error:
        use.tensor_of(None, word, spec, text, [])
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


def test_label_maps_and_instances_from_files(tmp_path):
    """Numbers as they are, colors by the model's legend, a wrong class by name."""
    numbers = np.array([[0, 1], [2, 1]], "uint8")
    colors = [[9, 9, 9], [200, 0, 0], [0, 200, 0]]
    legend = [[str(k), color] for k, color in enumerate(colors)]
    model = types.SimpleNamespace(num_labels=3, unlabeled=False, legend=legend)
    spec = tf.TensorSpec([None, 4, 4], "int32", "map")
    Image.fromarray(numbers).save(tmp_path / "a.png")
    Image.fromarray(np.array(colors, "uint8")[numbers]).save(tmp_path / "b.png")
    stems = []
    maps = use.tensor_of(model, "map", spec, str(tmp_path), stems)
    large = numbers.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(maps, [large, large])
    assert maps.dtype == "int32" and stems == ["a", "b"]
    assert use.form(model, "map", spec) == "FILE|FOLDER"
    Image.fromarray(numbers.astype("uint16") * 7000).save(tmp_path / "a.png")
    found = use.tensor_of(model, "instances", spec, str(tmp_path / "a.png"), [])
    np.testing.assert_array_equal(found[0], large.astype("int32") * 7000)
    with pytest.raises(BadInput, match=r"a\.png holds the number 14000, but the classes"):
        use.tensor_of(model, "map", spec, str(tmp_path / "a.png"), [])


def test_a_code_of_maps_is_written_as_an_array(tmp_path):
    """It has as many channels as it wants, and values of any size."""
    code = np.random.RandomState(0).randn(2, 3, 3, 16).astype("float32")
    (file,) = use.write({"code": code}, use.Use(None, {}), str(tmp_path / "out"))
    assert file.name == "out-code.npy"
    np.testing.assert_array_equal(np.load(file), code)


def test_masks_are_the_images_of_a_folder_and_are_written_one_by_one(tmp_path):
    """[1, H, W, M] in the order of their names; written as a grid of M pictures."""
    (tmp_path / "masks").mkdir()
    for k in range(3):
        mask = np.zeros([4, 4], "uint8")
        mask[k] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"0001_{k}.png")
    spec, stems = tf.TensorSpec([None, 4, 4, None], name="masks"), []
    masks = use.tensor_of(None, "masks", spec, str(tmp_path / "masks"), stems).numpy()
    assert masks.shape == (1, 4, 4, 3) and not stems
    for k in range(3):
        assert (masks[0, :, :, k].argmax(axis=0) == k).all() and masks[0, k, 0, k] == 1
    (file,) = use.write({"masks": masks}, use.Use(None, {}), str(tmp_path / "out"))
    sheet = np.asarray(Image.open(file))
    assert file.name == "out-masks.png" and sheet.shape == (8, 8)
    assert (sheet[1, 4:] == 255).all() and (sheet[0, 4:] == 0).all()


def test_waves_are_read_and_written(tmp_path):
    model, spec = types.SimpleNamespace(rate=8000), tf.TensorSpec([None, None], name="wave")
    for name, length in (("a.wav", 40), ("b.wav", 80)):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(exist_ok=True)
        write_wave(path, [np.linspace(-1, 1, length)], 8000 if length == 40 else 16_000)
    stems = []
    waves = use.tensor_of(model, "wave", spec, str(tmp_path / "sounds"), stems).numpy()
    assert waves.shape == (2, 40) and stems == ["a", "b"]
    np.testing.assert_allclose(waves[0], np.linspace(-1, 1, 40), atol=1e-4)
    assert use.form(model, "wave", spec) == "FILE.wav|FOLDER"
    one = use.tensor_of(model, "wave", spec, str(tmp_path / "sounds" / "a.wav"), [])
    np.testing.assert_array_equal(one[0], waves[0])
    written = use.write({"wave": waves}, use.Use(None, {}, rate=8000), str(tmp_path / "out"))
    assert [file.name for file in written] == ["out-0.wav", "out-1.wav", "out.png"]
    again = WaveFile(written[1])
    assert again.own_rate == 8000
    np.testing.assert_allclose(again.read(0, 40), waves[1], atol=1e-4)
    write_wave(tmp_path / "sounds" / "c.wav", [np.zeros(9)], 8000)
    with pytest.raises(BadInput, match="different lengths: give them one by one"):
        use.tensor_of(model, "wave", spec, str(tmp_path / "sounds"), [])
    with pytest.raises(BadInput, match=r"out\.png is no WAV file"):
        use.tensor_of(model, "wave", spec, str(tmp_path / "out.png"), [])
    with pytest.raises(FileNotFoundError, match="There is no nothing.wav"):
        use.tensor_of(model, "wave", spec, "nothing.wav", [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="No WAV files in"):
        use.tensor_of(model, "wave", spec, str(tmp_path / "empty"), [])


def test_films_are_read_and_written(tmp_path):
    """Clips of one row each become one film; a film that is too short is refused."""
    clips = np.linspace(-1, 1, 5, dtype="float32")[None, :, None, None, None] * np.ones(
        [2, 1, 4, 6, 3]
    )
    written = use.write({"video": clips}, use.Use(None, {}), str(tmp_path / "out"), rate=10)
    assert [file.name for file in written] == ["out.gif", "out.png"]
    for dtype in ("uint8", "float32"):
        value = 255 if dtype == "uint8" else 1
        ones = np.full([1, 2, 4, 4, 3], value, dtype)
        (film, _) = use.write({"next": ones}, use.Use(None, {}), str(tmp_path / "more"))
        assert film.name == "more-next.gif"
        assert np.asarray(Image.open(film).convert("RGB")).min() == 255
    spec, stems = tf.TensorSpec([None, 3, 4, 12, 3], name="video"), []
    film = use.tensor_of(None, "video", spec, str(tmp_path / "out.gif"), stems).numpy()
    assert film.shape == (1, 3, 4, 12, 3) and stems == ["out"]
    np.testing.assert_allclose(film[0, :, 0, 0, 0], [-1, -0.5, 0], atol=0.03)
    assert use.form(None, "video", spec) == "FILM"
    spec = tf.TensorSpec([None, None, 4, 12, 3], name="video")
    assert use.tensor_of(None, "video", spec, str(tmp_path / "out.gif"), []).shape[1] == 5
    spec = tf.TensorSpec([None, 9, 4, 12, 3], name="video")
    with pytest.raises(BadInput, match="has 5 intact frames, and the model takes 9"):
        use.tensor_of(None, "video", spec, str(tmp_path / "out.gif"), [])
    with pytest.raises(BadInput, match="is one image"):
        use.tensor_of(None, "video", spec, str(tmp_path / "out.png"), [])


@pytest.mark.parametrize(
    "inputs, words",
    [
        ({"sample": ["n", "seed"], "serving_default": ["z"]}, "sample 'my cats'"),
        ({"serving_default": ["image"]}, "translate 'my cats' IMAGES"),
        ({"serving_default": ["wave"]}, "translate 'my cats' SOUNDS"),
        ({"serving_default": ["video"]}, "use 'my cats'"),
        (
            {"serving_default": ["map", "instances", "style"]},
            "translate 'my cats' MAPS --instances INSTANCES --style STYLE",
        ),
        ({"serving_default": ["image", "label"]}, "use 'my cats'"),
        ({"encode": ["image"]}, "use 'my cats'"),
        (
            {"serving_default": ["image", "source", "target"]},
            "translate 'my cats' IMAGES --from 0 --to 1",
        ),
    ],
)
def test_the_command_for_the_main_use(inputs, words):
    assert use.command(offering(inputs), "my cats") == f"tfgans {words}"


def offering(inputs, **more):
    """A model with endpoints alone, and their inputs."""
    found = {name: (None, [tf.TensorSpec([None], name=n) for n in i]) for name, i in inputs.items()}
    return types.SimpleNamespace(endpoints=lambda: found, **more)


def test_the_command_for_films():
    """A model that streams gets a film; one that makes films of images gets these."""
    streams = offering({"serving_default": ["video"]}, stream=lambda frames: frames)
    assert use.command(streams, "my cats") == "tfgans translate 'my cats' FILM"
    makes = offering({"serving_default": ["image"]}, makes="video")
    assert use.command(makes, "my cats") == "tfgans use 'my cats' serving_default image=IMAGES"
