"""Finding, stacking, writing and serving edits; the tools."""

import pathlib
import re
import signal
import subprocess
import sys
import time

import imageio_ffmpeg
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import images, latents, models
from tfgans.data.single import read
from tfgans.errors import BadInput
from tfgans.latents import attributes, edits, find
from tfgans.models import GAN, StyleGAN2


@pytest.fixture
def moves():
    rng = np.random.RandomState(0)
    return [
        latents.Edit("early", rng.randn(12), "z", [0], 0.5),
        latents.Edit("middle", rng.randn(10), "w", [3, 4], -1.0),
        latents.Edit("whole", rng.randn(10), "w", list(range(6)), 2.0),
    ]


def test_edits_add_up(space, moves):
    z = space.z([0, 1])
    ws = edits.apply(space, moves, z, truncation=0.7).numpy()
    expected = space.ws(z + 0.5 * moves[0].vector.astype("float32"), truncation=0.7).numpy()
    expected[:, 3:5] -= moves[1].vector
    expected += 2 * moves[2].vector
    np.testing.assert_allclose(ws, expected, atol=1e-5)
    each = np.array([[0, 0, 0], [0, 1, 0]], "float32")  # strengths of each image
    ws = edits.apply(space, moves, z, strengths=each).numpy()
    plain = space.ws(z).numpy()
    np.testing.assert_array_equal(ws[0], plain[0])
    np.testing.assert_array_equal(ws[1, [0, 1, 2, 5]], plain[1, [0, 1, 2, 5]])
    np.testing.assert_allclose(ws[1, 3:5], plain[1, 3:5] + moves[1].vector, atol=1e-6)


def test_an_edit_is_a_line(space, moves, tmp_path):
    moves[0].name = "a: b, {c}"  # YAML quotes the name
    edits.save(moves, tmp_path / "all")
    lines = (tmp_path / "all.yaml").read_text().splitlines()
    assert len(lines) == 3 and lines[1].startswith("- {name: middle, file: all.npz")
    again = edits.load(tmp_path / "all.yaml", space)
    for a, b in zip(moves, again, strict=True):
        np.testing.assert_array_equal(a.vector, b.vector)
        assert (a.name, a.space, a.layers, a.strength) == (b.name, b.space, b.layers, b.strength)
    (tmp_path / "mine.yaml").write_text(
        "- {file: all.npz, direction: whole}\n"
        "- {name: up, file: all.npz, direction: middle, layers: coarse, strength: -2}\n"
    )
    whole, up = edits.load(tmp_path / "mine.yaml", space)
    assert (whole.name, whole.strength, whole.layers) == ("whole", 1.0, [0, 1, 2, 3, 4, 5])
    assert (up.name, up.strength, up.layers) == ("up", -2.0, [0, 1, 2, 3])


@pytest.mark.parametrize(
    "text, message",
    [
        ("- {file: all.npz, direction: hole}", "Did you mean 'whole'"),
        ("- {file: all.npz, direktion: whole}", "Did you mean 'direction'"),
        ("- {file: all.npz}", "has no direction"),
        ("whole", "must be a list of lines"),
        ("- {file: all.npz, direction: whole, layers: fine}", "layers 0-5, not fine"),
        ("- {file: 256, direction: whole}", "256 cannot be read"),
        ("- {file: all.npz, direction: whole, strength: strong}", "a number, not 'strong'"),
        ("- {file: all.npz, direction: whole, strength: .nan}", "a number, not nan"),
    ],
)
def test_bad_lines(space, moves, tmp_path, text, message):
    edits.save(moves, tmp_path / "all")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput, match=message):
        edits.load(tmp_path / "mine.yaml", space)


def test_edits_of_another_generator_are_refused(moves, tmp_path):
    edits.save(moves, tmp_path / "all")
    gan = GAN(image_shape=(4, 4, 1), latent_dim=5, generator_width=4, discriminator_width=4)
    with pytest.raises(BadInput, match="z of length 12; this model's is 5"):
        edits.load(tmp_path / "all.yaml", latents.Space(gan))


def test_scores_of_a_file(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("seed,long,dark\n3,1,0.5\n8,0,-2\n")
    seeds, names, scores = attributes.read_scores(path)
    assert (seeds, names) == ([3, 8], ["long", "dark"])
    np.testing.assert_array_equal(scores, [[1, 0.5], [0, -2]])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffseed,long,dark\n3,1,0.5\n8,0,-2\n",  # Excel's "CSV UTF-8"
        "seed,long,dark\r\n3,1,0.5\r\n8,0,-2\r\n\r\n\r\n",
        "\ufeffseed;long;dark\r\n3;1;0,5\r\n8;0;-2\r\n;;\r\n",  # the same in Germany
        "Seed, long, dark\n\n3, 1, 0.5\n 8 ,0 , -2",
        '"seed","long","dark"\n"3","1","0.5"\n"8","0","-2"\n',
    ],
)
def test_scores_of_a_spreadsheet(text, tmp_path):
    (tmp_path / "scores.csv").write_bytes(text.encode())
    seeds, names, scores = attributes.read_scores(tmp_path / "scores.csv")
    assert (seeds, names) == ([3, 8], ["long", "dark"])
    np.testing.assert_array_equal(scores, [[1, 0.5], [0, -2]])


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "must begin with the line seed,NAME"),
        ("long,dark\n1,2\n1,2\n", "must begin with the line seed,NAME"),
        ("seed,long\n1,2\n\n", "at least two lines"),
        ("seed,long,\n1,2,3\n2,3,4\n", "a name of its own"),
        ("seed,a,a\n1,2,3\n2,3,4\n", "a name of its own"),
        ("seed,a\n1,2\n\n-1,0.5\n", "line 4: .* 0 to 4294967295, not '-1'"),
        ("seed,a\n1,2\n4294967296,1\n", "line 3: .*4294967296"),
        ("seed,a\n1.5,1\n2,1\n", "line 2: .*'1.5'"),
        ("seed,a\n1,nan\n2,1\n", "line 2: wanted is a finite number, not 'nan'"),
        ("seed,a\n1,\n2,1\n", "line 2: wanted is a finite number, not ''"),
        ("seed,a\n1,yes\n2,1\n", "line 2: .*'yes'.* Write a seed and one number"),
        ("seed,a\n1,2\n2,1,7\n", "line 3: there are 3 cells, and 2 names"),
        (b"seed,a\n1,2\n2,\xff\n", "no text in UTF-8"),
        ("seed,a\n1,2\n2,1\n".encode("utf-16"), "no text in UTF-8"),
    ],
)
def test_scores_that_are_none_are_refused_in_one_line(text, message, tmp_path):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "scores.csv").write_bytes(data)
    with pytest.raises(BadInput, match=message) as error:
        attributes.read_scores(tmp_path / "scores.csv")
    assert "scores.csv" in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_classifier_that_is_none(space, tmp_path):
    (tmp_path / "bad.keras").write_bytes(b"no archive")
    with pytest.raises(BadInput, match="is no classifier of Keras"):
        attributes.scored(space, tmp_path / "bad.keras", 2)
    pixels = keras.Input([8, 8, 3])
    keras.Model(pixels, keras.layers.Flatten()(pixels)).save(tmp_path / "small.keras")
    with pytest.raises(BadInput, match=r"\(8, 8, 3\), and the images have \(16, 16, 3\)"):
        attributes.scored(space, tmp_path / "small.keras", 2)
    with pytest.raises(FileNotFoundError, match="no classifier"):
        attributes.scored(space, tmp_path / "none.keras", 2)


@pytest.mark.parametrize("method", find.SUPERVISED)
@pytest.mark.parametrize("kind", ["z", "w"])
def test_methods_find_a_planted_attribute(space, method, kind):
    """Scores are linear in the codes; `base` keeps the first attribute out of the second."""
    seeds = list(range(3000))
    codes = space.z(seeds) if kind == "z" else space.w(space.z(seeds)).numpy()
    white = np.linalg.inv(
        np.linalg.cholesky(np.cov(codes.T))
    ).T  # standard deviation 1 along each axis
    plans = np.array([white[:, 0], white[:, 0] + white[:, 1]])
    scored = seeds, ["first", "both"], codes @ plans.T
    first, both = find.from_scores(method, space, scored, kind, [2, 3], base=["first"])
    assert (first.name, first.space, first.layers) == ("first", kind, [2, 3])
    change = np.array([plans @ edit.vector for edit in (first, both)])
    assert change[0, 0] > 0.2 and change[1, 1] > 0.2
    # The means match the presence of the base attribute, not its amount.
    tolerance = {"tlgan": 1e-6, "difference": 0.3, "interfacegan": 0.15}[method]
    if kind == "z":  # z is white, so the base stays the same
        assert abs(change[1, 0]) < tolerance * change[1, 1]
    with pytest.raises(BadInput, match="Did you mean 'first'"):
        find.from_scores(method, space, scored, kind, [0], base=["frst"])


def test_unsupervised_methods(space):
    found = find.from_weights(space, [0, 1], 3)
    assert [e.name for e in found] == ["sefa0", "sefa1", "sefa2"] and found[0].layers == [0, 1]
    gan = latents.Space(GAN(image_shape=(4, 4, 1), generator_width=4, discriminator_width=4))
    assert find.from_weights(gan, [0], 1)[0].space == "z"
    assert find.from_components(gan, [0], 1)[0].space == "z"


STRANGER = """
import sys
sys.modules["tfgans"] = sys.modules["keras"] = None  # neither may be imported
import numpy as np, tensorflow as tf
edit = tf.saved_model.load(sys.argv[1]).signatures["edit"]
inputs = {k: tf.constant(v) for k, v in np.load(sys.argv[2]).items()}
np.savez(sys.argv[3], image=edit(**inputs)["image"])
"""


@pytest.mark.thorough
def test_a_stranger_edits(run, tmp_path, capsys):
    """An edit with labels is found, exported, and run in a new process without tfgans."""
    model = StyleGAN2(
        image_shape=(8, 8, 3),
        latent_dim=12,
        style_dim=10,
        mapping_layers=1,
        channel_base=64,
        channel_max=8,
        num_classes=3,
    )
    model.save(tmp_path / "small.keras")
    run("edit", "small.keras", "sefa", "--layers", "1-2", "-n", "2")
    assert Image.open("samples/small-sefa.png").size == (7 * 8, 2 * 8)
    run("edit", "small.keras", "apply", "samples/small-sefa.yaml", "--export", "edited")
    assert "Columns: unedited, + sefa0, + sefa1" in capsys.readouterr().out
    assert Image.open("samples/small-apply.png").size == (3 * 8, 4 * 8)
    rng = np.random.RandomState(0)
    inputs = {
        "z": rng.randn(4, 12),
        "label": np.eye(3)[[0, 1, 2, 0]],
        "truncation": [1, 0.5, 0, 0.7],
        "strengths": [[0, 0], [1, 0], [0, -2], [3, 1]],
    }
    inputs = {name: np.array(value, "float32") for name, value in inputs.items()}
    np.savez("inputs.npz", **inputs)
    command = [sys.executable, "-c", STRANGER, "saved_models/edited/1", "inputs.npz", "out.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    space = latents.Space(models.load("edited"))
    found = np.load("out.npz")["image"]
    moves = edits.load("samples/small-sefa.yaml", space)
    ws = edits.apply(space, moves, *inputs.values())
    np.testing.assert_allclose(found, space.images(ws), atol=1e-5)
    plain = model(inputs["z"][:1], label=inputs["label"][:1], truncation=1.0)
    np.testing.assert_allclose(found[:1], plain, atol=1e-5)  # strength 0: no edit
    assert np.abs(found[1:] - space.images(space.ws(*list(inputs.values())[:3]))[1:]).max() > 0.01


def test_an_endpoint_with_a_class_of_its_own():
    model = StyleGAN2(
        image_shape=(4, 4, 1),
        latent_dim=4,
        style_dim=4,
        mapping_layers=1,
        channel_base=16,
        channel_max=4,
        num_classes=3,
    )
    space = latents.Space(model, label=2)
    move = latents.Edit("none", np.zeros(4), "w", [0])
    function, signature = edits.endpoint(space, [move])
    assert [spec.name for spec in signature] == ["z", "truncation", "strengths"]
    z = space.z([0, 1])
    found = function(tf.constant(z), tf.ones([2]), tf.ones([2, 1]))["image"]
    np.testing.assert_allclose(found, model(z, label=[2, 2]), atol=1e-6)


def test_edit_with_a_classifier(run, model, tmp_path):
    model.save(tmp_path / "small.keras")
    pixels = keras.Input([16, 16, 3])
    brightness = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    out = brightness(keras.layers.GlobalAveragePooling2D()(pixels))
    keras.Model(pixels, out).save(tmp_path / "bright.keras")
    args = ["--scores", "bright.keras", "--samples", 300, "--strengths", -2, 0, 2]
    run("edit", "small.keras", "interfacegan", *args)
    sheet = np.asarray(Image.open("samples/small-interfacegan.png"), float)
    dark, middle, bright = (part.mean() for part in np.split(sheet, 3, axis=1))
    assert dark < middle < bright
    with pytest.raises(BadInput, match="give --scores FILE"):
        run("edit", "small.keras", "tlgan")


@pytest.mark.parametrize(
    "words, message",
    [
        (["edit", "small.keras", "sefa", "-n", 999], "-n: there are"),
        (["walk", "nowhere", "training"], "is no run with pictures"),
    ],
)
def test_wrong_input_leaves_no_folder(words, message, run, model, tmp_path):
    model.save(tmp_path / "small.keras")
    with pytest.raises(BadInput, match=message):
        run(*words)
    assert not (tmp_path / "samples").exists()


def test_tables_and_walks_of_tools(run, model, tmp_path):
    model.save(tmp_path / "small.keras")
    run("mix", "small.keras", "--rows", 1, 2, "--columns", 3, 4, 5, "--layers", "coarse")
    assert Image.open("samples/small-mix-coarse.png").size == (4 * 16, 3 * 16)
    run("walk", "small.keras", "truncation", "--seeds", 0, 1)
    assert Image.open("samples/small-truncation.png").size == (9 * 16, 2 * 16)


def test_walks_become_animations(run, model, tmp_path):
    model.save(tmp_path / "small.keras")
    run("walk", "small.keras", "w", "--seeds", 0, 1, "--frames", 6, "--columns", 2)
    with Image.open("samples/small-w.gif") as file:
        assert file.n_frames == 12 and file.size == (32, 16)
    run("walk", "small.keras", "w", "--seeds", 0, 1, "--frames", 6, "--columns", 2, "--mp4")
    assert imageio_ffmpeg.count_frames_and_secs("samples/small-w.mp4")[0] == 12
    assert next(imageio_ffmpeg.read_frames("samples/small-w.mp4"))["size"] == (32, 16)


def test_a_training_becomes_an_animation(run, tmp_path):
    (tmp_path / "a" / "samples").mkdir(parents=True)
    for step, level in ((0, 50), (10, 100), (20, 200)):
        Image.new("L", (64, 32), level).save(tmp_path / "a" / "samples" / f"{step:08}.png")
    Image.new("L", (64, 32)).save(tmp_path / "a" / "samples" / "real.png")
    run("walk", tmp_path / "a", "training", "--mp4", "--rate", 2)
    facts, *frames = imageio_ffmpeg.read_frames("samples/a-training.mp4")
    assert facts["size"] == (64, 32) and facts["fps"] == 2
    means = [np.frombuffer(frame, "uint8").mean() for frame in frames]
    np.testing.assert_allclose(means, [50, 100, 200], atol=4)
    with pytest.raises(BadInput, match="no run with pictures"):
        run("walk", tmp_path, "training")


@pytest.mark.thorough
def test_project_writes_everything_and_goes_on(run, small, tmp_path, capsys):
    small.model.save(tmp_path / "small.keras")
    pictures = (small.images(small.of_seeds([0, 1])) * 127.5 + 127.5).clip(0, 255).astype("uint8")
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{k}.png")
    args = ["small.keras", "0.png", "1.png", "--steps", 20, "--method", "image2stylegan"]
    run("project", *args, "--use", "morph")
    out = capsys.readouterr().out
    assert "pixel_pyramid_l2, the stand-in" in out and "step 20 of 20" in out
    folder = pathlib.Path("samples/small-image2stylegan")
    assert Image.open(folder / "result.png").size == (3 * 8, 2 * 8)
    assert Image.open(folder / "morph.png").size == (9 * 8, 8)
    with Image.open(folder / "path.gif") as file:
        assert file.size == (16, 16)
    run("project", *args, "--mp4")  # the search is finished and does not run again
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(folder / "path.mp4"))
    assert count == 21 + 10  # one frame per step, and the last for another second
    assert "step 19" not in capsys.readouterr().out
    with np.load(folder / "latents.npz") as file:
        assert file["ws"].shape == (2, 4, 10) and int(file["step"]) == 20
    with pytest.raises(BadInput, match="takes 3 images, not 2"):
        run("project", *args, "--use", "expression")


def test_weights_of_lpips_alone_are_not_left_out_in_silence(run, monkeypatch):
    monkeypatch.delenv("TFGANS_VGG16", raising=False)
    with pytest.raises(BadInput, match="vgg16-397923af.pth"):
        run("project", "small.keras", "0.png", "--lpips", "vgg.pth")


@pytest.mark.thorough
def test_ctrl_c_loses_no_step_of_a_projection(small, tmp_path):
    """A real process is interrupted between two regular saves; the same command then resumes."""
    small.model.save(tmp_path / "small.keras")
    target = small.images(small.of_seeds([3]))
    images.save_grid(target, tmp_path / "0.png")
    args = ["small.keras", "0.png", "--steps", "400000", "--method", "image2stylegan"]
    tool = pathlib.Path(__file__).parents[2] / "tools" / "project.py"
    command = [sys.executable, "-u", str(tool), *args]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("step 0 of"):
            break
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    step = int(re.search(r"Stopped at step (\d+); saved. To go on: python .*project.py", rest)[1])
    assert 0 < step < 10_000  # the first regular save after step 0 comes at 10,000
    path = tmp_path / "samples" / "small-image2stylegan" / "latents.npz"
    with np.load(path) as file:
        assert int(file["step"]) == step and len(file["history"]) == 1
    search = latents.Image2StyleGAN(small, images_of(tmp_path / "0.png"), steps=400_000)
    search.run(path, every=10_000, stop=lambda: search.step == step + 3)  # resumes there
    whole = latents.Image2StyleGAN(small, images_of(tmp_path / "0.png"), steps=400_000)
    whole.run(every=10_000, stop=lambda: whole.step == step + 3)
    np.testing.assert_allclose(search.ws, whole.ws, atol=1e-4)


def images_of(path):
    return read(path, [8, 8, 3])[None]
