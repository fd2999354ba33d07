"""The page of tools/app.py by HTTP: what it offers, what it makes, what it refuses."""

import csv
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.io import wavfile

gr = pytest.importorskip("gradio", reason="the page needs Gradio: make test-app")

from gradio_client import Client, handle_file  # noqa: E402
from gradio_client.exceptions import AppError  # noqa: E402

from tfgans import images, latents, models, storage, use  # noqa: E402
from tfgans.app import controls, drawings, runs  # noqa: E402
from tfgans.app.page import LARGEST, Served, build  # noqa: E402
from tfgans.data.label_maps import read_maps  # noqa: E402
from tfgans.data.single import read  # noqa: E402
from tfgans.latents import edits  # noqa: E402
from tfgans.models.latent import LatentModel  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
FASHION = "stylegan2-fashion"


@pytest.fixture(scope="module")
def client(opened, release):
    """Name of a release or architecture -> a client of its page."""
    clients = {}

    def client(name):
        if name not in clients:
            address = opened(name if name == FASHION else release(name))
            clients[name] = Client(address, verbose=False)
        return clients[name]

    return client


def tabs(served):
    """Tab -> labels of its controls."""
    page, found = build(served), {}
    for block in page.blocks.values():
        label, tab = getattr(block, "label", None), block
        while tab is not None and not isinstance(tab, gr.Tab):
            tab = tab.parent
        if tab is not None and label and tab is not block:
            found.setdefault(tab.label, []).append(label)
    return {tab: [x for x in labels if x not in RESULTS] for tab, labels in found.items()}


RESULTS = ("Result", "Sound", "Text", "Files")


def pictures(answer) -> list:
    """The pictures of an answer, as PIL images."""
    return [Image.open(entry["image"]) for entry in answer[0]["value"]]


def grid(made) -> np.ndarray:
    """The pixels of the one picture that `save_grid` writes."""
    return np.asarray(images.picture(images.grid(made)))


def assert_shows(answer, made):
    (picture,) = pictures(answer)
    np.testing.assert_array_equal(np.asarray(picture), grid(made))


CLASS, PSI, WALK = ["Class"], ["Variety (truncation)"], ["Way", "Seeds of the stops"]


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("cyclegan", {"A to B": ["Picture"], "B to A": ["Picture"]}),
        ("pix2pix", {"Translate": ["Picture", "Seed"]}),
        ("gaugan", {"Translate": ["Drawing", "Picture that gives the style"],
                    "Generate": ["Drawing", "Seed", "Number"]}),
        ("fashion_gan", {"Redress": ["Picture", "Drawing", "Sentence", "Seed"]}),
        ("segan", {"Enhance": ["Sound (WAV)", "Seed"]}),
        ("vgan", {"Generate": ["Seed", "Number"], "Layers": ["Seed", "Number"]}),
        ("videopred", {"Predict": ["Film (GIF or MP4)", "Frames"]}),
        ("seqgan", {"Generate": ["Seed", "Number"],
                    "Complete": ["Sequences, one in a line", "Kept", "Seed", "Number"],
                    "Nll": ["Sequences, one in a line"]}),
        ("combogan", {"Translate": ["Picture", "Source", "Target"]}),
        ("stargan", {"Edit": ["Picture", "Attributes or classes of the result"]}),
        ("context_encoder",
         {"Inpaint": ["Picture, with paint over the part that shall be made anew"]}),
        ("instagan", {way: ["Picture", "Masks, a file each"] for way in ("A to B", "B to A")}),
    ],
)  # fmt: skip
def test_endpoints_decide_the_controls(name, wanted, release, tmp_path):
    assert tabs(Served(str(release(name)), tmp_path)) == wanted


def test_the_controls_of_a_generator(tmp_path):
    found = tabs(Served(FASHION, tmp_path))
    assert list(found) == ["Generate", "Walk", "Mix styles", "Edit", "Project"]
    assert found["Generate"] == ["Seed", "Number", *CLASS, *PSI]
    assert found["Walk"] == [*WALK, "Frames between two stops", *CLASS, *PSI]
    assert found["Edit"] == ["Seeds", *(f"Direction {k}" for k in range(1, 7)), *CLASS, *PSI]
    assert found["Project"] == ["Picture", "Method", "Steps", *CLASS]


@keras.saving.register_keras_serializable("tests_of_the_app")
class Mirror(LatentModel):
    """A model that no page knows: it draws gray, and mirrors pictures."""

    def __init__(self, image_shape=(8, 8, 1), latent_dim=3, **kwargs):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim = image_shape, latent_dim

    def call(self, z):
        return tf.tile(tf.tanh(z[:, :1, None, None]), [1, *self.image_shape])

    def endpoints(self):
        def mirror(image, seed):
            return {"image": image[:, :, ::-1], "score": tf.reduce_mean(image, [1, 2])}

        image = tf.TensorSpec([None, *self.image_shape], name="image")
        seed = tf.TensorSpec([], "int64", name="seed")
        return super().endpoints() | {"mirror": (mirror, [image, seed])}


def test_a_new_model_needs_no_line(tmp_path, files, monkeypatch):
    monkeypatch.setattr(models, "load", lambda name: Mirror())
    monkeypatch.setattr("tfgans.app.page.catalog.paper_of", lambda model: ("M", "None", None))
    monkeypatch.setattr("tfgans.app.spaces.fits", lambda model: False)
    served = Served("mirror", tmp_path)
    assert tabs(served) == {"Generate": ["Seed", "Number"], "Mirror": ["Picture", "Seed"]}
    page = build(served)
    mirror = next(fn.fn for fn in page.fns.values() if fn.api_name == "mirror")
    gallery, *_, note = mirror(str(files / "photo.png"), 0)
    picture = np.asarray(Image.open(gallery.value[0]["image"]["path"]))
    wanted = read(files / "photo.png", (8, 8, 1))
    np.testing.assert_array_equal(picture, grid(wanted[None, :, ::-1]))
    assert f"**score** {wanted.mean():.3g}" in note and "resized to 8x8" in note


@pytest.mark.parametrize("seed, n, label, psi", [(0, 4, -1, 1.0), (3, 5, 7, 0.5)])
def test_pictures_are_those_of_sample(seed, n, label, psi, client):
    answer = client(FASHION).predict(seed, n, label, psi, api_name="/generate")
    classes = np.arange(n) % 10 if label == -1 else [label] * n
    wanted = models.load(FASHION).sample(n, seed=seed, labels=classes, truncation=psi)
    assert_shows(answer, wanted)


def test_a_walk_a_table_of_styles_and_edits(client):
    page, space = client(FASHION), latents.Space(models.load(FASHION))
    (film,) = pictures(page.predict("z", "0, 1, 2", 4, 3, 0.7, api_name="/walk"))
    assert film.format == "GIF" and film.n_frames == 12 and film.size == (32, 32)
    answer = page.predict("0, 1", "2,3,4", "middle", -1, 0.8, api_name="/mix_styles")
    layers = latents.layers_of("middle", space.num_ws)
    assert_shows(answer, latents.mixing_table(space, [0, 1], [2, 3, 4], layers, 0.8))
    none, some = ([4.0 * (k == 1) * on for k in range(6)] for on in (0, 1))
    (same,), (moved,) = (
        pictures(page.predict("0 5", *values, -1, 1.0, api_name="/edit")) for values in (none, some)
    )
    same, moved = np.asarray(same), np.asarray(moved)
    np.testing.assert_array_equal(same[:32], same[32:])
    np.testing.assert_array_equal(same[:32], moved[:32])
    assert np.abs(moved[:32].astype(int) - moved[32:]).mean() > 3


def test_edits_of_a_file_are_sliders(tmp_path):
    space = latents.Space(models.load(FASHION))
    vector = np.eye(64, dtype="float32")[0]
    edits.save([latents.Edit("longer", vector, "w", [0, 1], 2.0)], tmp_path / "own")
    page = build(Served(FASHION, tmp_path), tmp_path / "own.yaml")
    sliders = [block for block in page.blocks.values() if isinstance(block, gr.Slider)]
    (slider,) = [slider for slider in sliders if slider.label == "longer"]
    assert (slider.minimum, slider.maximum) == (-6.0, 6.0)
    edit = next(fn.fn for fn in page.fns.values() if fn.api_name == "edit")
    gallery, *_ = edit("4", 3.0, 2, 1.0)
    space, moves = latents.Space(space.model, 2), edits.load(tmp_path / "own.yaml", space)
    rows = [edits.apply(space, moves, space.z([4]), space.labels([4]), 1.0, [[s]]) for s in (0, 3)]
    wanted = np.stack([space.images(ws) for ws in rows])
    picture = np.asarray(Image.open(gallery.value[0]["image"]["path"]))
    np.testing.assert_array_equal(picture, grid(wanted))


def test_edits_are_for_generators(release, tmp_path):
    with pytest.raises(use.BadInput, match="leave --edits out"):
        build(Served(str(release("cyclegan")), tmp_path), tmp_path / "own.yaml")


def test_a_projection_tells_its_progress(client, files):
    job = client(FASHION).submit(
        handle_file(files / "photo.png"), "projector", 60, 9, api_name="/project"
    )
    answer = job.result(timeout=120)
    notes = [state[-1] for state in job.outputs()]
    distances = [float(note.split("Distance: ")[1].split(",")[0]) for note in notes]
    assert len(notes) == 30 and "step 2 of 60" in notes[0] and "step 60 of 60" in notes[-1]
    assert distances[-1] < 0.7 * distances[0]
    target, found = np.split(np.asarray(pictures(answer)[0]), 2, axis=1)
    np.testing.assert_array_equal(target, grid(read(files / "photo.png", (32, 32, 1))[None]))
    (file,) = answer[3]["value"]
    space = latents.Space(models.load(FASHION))
    with np.load(file) as state:
        near = space.images(state["ws"])  # without the noise images of the search
    assert np.abs(grid(near).astype(int) - found).mean() < 40


@pytest.mark.parametrize("way", ["a_to_b", "b_to_a"])
def test_a_translator_goes_both_ways(way, client, release, files):
    answer = client("cyclegan").predict(handle_file(files / "photo.png"), api_name=f"/{way}")
    model = models.load(release("cyclegan"))
    image = read(files / "photo.png", model.image_shape)[None]
    assert_shows(answer, model.translate(image, direction=way))
    assert answer[-1].startswith("The images of photo.png are 40x50x3")


def test_a_sentence_becomes_pictures(client, release):
    page, model = client("stackgan"), models.load(release("stackgan"))
    text = " ".join(sorted(model.words)[:3])
    answer = page.predict(1, 2, text, api_name="/generate")
    vectors = np.repeat(model.condition_vectors([text]), 2, axis=0)
    assert_shows(answer, model.sample(2, seed=1, condition=vectors))
    with pytest.raises(AppError, match="xylophone"):
        page.predict(1, 2, "a xylophone", api_name="/generate")


def test_sound_comes_back(client, release, files):
    answer = client("segan").predict(handle_file(files / "speech.wav"), 3, api_name="/enhance")
    rate, wave = wavfile.read(answer[1]["value"])
    model = models.load(release("segan"))
    given = use.read_waves(files / "speech.wav", model.rate, [])
    wanted = np.asarray(model.enhance(given, 3))[0]
    assert rate == model.rate
    np.testing.assert_allclose(wave / 32767, np.clip(wanted, -1, 1), atol=1e-4)
    (spectrogram,) = pictures(answer)
    assert spectrogram.mode == "L"


def test_films_move(client):
    answer = client("vgan").predict(0, 2, api_name="/generate")
    (film,) = pictures(answer)
    assert film.format == "GIF" and film.n_frames == 4 and film.size == (32, 16)
    layers = pictures(client("vgan").predict(0, 2, api_name="/layers"))
    assert sorted(layer.format for layer in layers) == ["GIF"] * 4


def test_strokes_snap_to_the_classes():
    colors = np.array([[230, 230, 230], [220, 60, 50], [50, 70, 200]], "uint8")
    classes = np.zeros([8, 8], int)
    classes[2:5, 1:7], classes[5:, 4:] = 2, 1
    drawing = colors[classes].repeat(16, axis=0).repeat(16, axis=1)
    noisy = np.clip(drawing + np.random.RandomState(0).randint(-20, 21, drawing.shape), 0, 255)
    found = drawings.class_map(noisy.astype("uint8"), colors, (8, 8))
    np.testing.assert_array_equal(found, classes)
    soft = np.asarray(Image.fromarray(drawing).resize((100, 90), Image.BICUBIC))
    assert np.mean(drawings.class_map(soft, colors, (8, 8)) == classes) > 0.95
    between = ((colors[0].astype(int) + colors[2]) // 2).astype("uint8")  # nearest to no stroke
    edged = drawing.copy()
    edged[::16] = between
    np.testing.assert_array_equal(drawings.class_map(edged, colors, (8, 8)), classes)


def test_objects_are_connected_areas():
    classes = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [2, 2, 0, 0]])
    objects = drawings.objects_of(classes)
    assert len(np.unique(objects)) == 4  # the ground, two of class 1, one of class 2
    assert objects[0, 0] == objects[0, 1] != objects[0, 3] == objects[1, 3]


def test_a_drawing_is_read_as_a_label_map(release, tmp_path):
    model = models.load(release("gaugan"))
    height, width = model.image_shape[:2]
    classes = np.arange(height * width).reshape(height, width) // 97 % model.num_labels
    file = tmp_path / "drawing.png"
    Image.fromarray(drawings.colors_of(model)[classes]).resize((512, 512), 0).save(file)
    board = {"background": None, "layers": [], "composite": file.read_bytes()}
    words = drawings.drawn_maps(board, model, (height, width), tmp_path)
    _, (found,) = read_maps(words["map"], (height, width), model)
    np.testing.assert_array_equal(found, classes)
    assert drawings.names_of(model) == [name for name, _ in model.legend]


def test_paint_is_the_mask(release, tmp_path, files):
    model, photo = models.load(release("context_encoder")), Image.open(files / "photo.png")
    layer = Image.new("RGBA", photo.size)
    layer.paste((255, 0, 100, 255), (20, 15, 30, 25))
    layer.save(file := tmp_path / "layer.png")
    board = {"background": (files / "photo.png").read_bytes(), "composite": None}
    words = drawings.image_and_mask(board | {"layers": [file.read_bytes()]}, tmp_path)
    mask = np.asarray(Image.open(words["mask"]))
    assert mask[20, 25] == 255 and mask.sum() == 255 * 100
    assert read(words["image"], model.image_shape).shape == tuple(model.image_shape)
    layer = Image.new("RGBA", photo.size)
    layer.save(file)
    with pytest.raises(use.BadInput, match="Paint over"):
        drawings.image_and_mask(board | {"layers": [file.read_bytes()]}, tmp_path)


@pytest.mark.parametrize(
    "name, said",
    [
        ("broken.png", "broken.png"),
        ("script.eps", "script.eps"),  # Pillow would start Ghostscript for it
        ("speech.wav", "speech.wav"),
    ],
)
def test_a_broken_upload_gets_a_sentence(name, said, client, files, capfd):
    with pytest.raises(AppError, match=said) as raised:
        client("cyclegan").predict(handle_file(files / name), api_name="/a_to_b")
    assert "/tmp" not in str(raised.value) and "Traceback" not in capfd.readouterr().err


def test_other_mistakes_get_a_sentence(client, files):
    page = client(FASHION)
    for arguments, way, said in (
        ((0, 1000, -1, 1.0), "/generate", "1000"),
        (("0, x", "1", "coarse", -1, 1.0), "/mix_styles", "Seeds are whole numbers"),
        (("0", "1", "50", -1, 1.0), "/mix_styles", "layers 0-7"),
        ((None, "projector", 60, -1), "/project", "picture first"),
        ((" ".join("1" * 20), *[0.0] * 6, -1, 1.0), "/edit", "At most 12"),
    ):
        with pytest.raises(AppError, match=said):
            page.predict(*arguments, api_name=way)
    with pytest.raises(AppError, match="WAV"):
        client("segan").predict(handle_file(files / "photo.png"), 0, api_name="/enhance")


def test_uploads_are_bounded(opened):
    request = urllib.request.Request(f"{opened(FASHION)}gradio_api/upload", data=b"x")
    request.add_unredirected_header("Content-Length", str(LARGEST + 1))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413 and b"32 MB" in refused.value.read()


def test_files_of_the_machine_are_not_given_out(client, opened, release):
    secret = release("cyclegan")
    with pytest.raises(AppError):
        client("cyclegan").predict(
            {"path": str(secret), "meta": {"_type": "gradio.FileData"}}, api_name="/a_to_b"
        )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{opened(secret)}gradio_api/file={secret}")
    assert refused.value.code == 403


def test_the_command_listens_to_this_machine_alone(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, ROOT / "tools" / "app.py", ROOT / "saved_models" / FASHION]
    server = subprocess.Popen(
        [*command, "--port", str(port)], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
    )  # fmt: skip
    try:
        assert server.stdout.readline() == (
            f"Open http://127.0.0.1:{port}/ in a browser. Ctrl-C ends it.\n"
        )
        settings = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/config"))
        assert settings["title"] == f"{FASHION} – tfgans"
        assert not settings.get("analytics_enabled") and not settings.get("is_colab")
        with socket.socket() as other:  # also of this machine, and not of 127.0.0.1 alone
            assert other.connect_ex(("127.0.0.2", port)) != 0
        again = subprocess.run(
            [*command, "--port", str(port)], cwd=tmp_path, capture_output=True, text=True
        )
        assert again.returncode == 1 and str(port) in again.stderr
        assert len(again.stderr.splitlines()) == 1
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
    assert not [*tmp_path.iterdir()]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tool):
    folder = tmp_path_factory.mktemp("runs")
    done = tool(folder, "train", "cgan", "--tiny", "--run", "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_a_run_has_curves_and_samples(run, tmp_path):
    served = Served(str(run), tmp_path)
    found = runs.curves(run)
    table = [*csv.DictReader((run / "log.csv").open())]
    assert {*found} == {name for name in table[0] if "/" in name}
    for name, points in found.items():
        assert points == [(int(row["step"]), float(row[name])) for row in table]
    chosen = runs.first_shown(found)
    assert {name.partition("/")[2] for name in chosen} == {"real", "fake"}
    points = runs.drawn(found, chosen)
    assert len(points) == len(chosen) * len(table) and {*points["curve"]} == {*chosen}
    (path, name), *_ = runs.samples(run)
    assert name == "step 20" and path.endswith("00000020.png")
    line = runs.state(served)
    assert line.startswith("**Step 20 of 20**") and "The other tabs use step 20." in line
    assert list(tabs(served))[:2] == ["Training", "Generate"]


def test_curves_are_read_again(run, tmp_path):
    """A choice of curves stays; the menu is left alone until there is a new curve."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    page = build(Served(str(copy), tmp_path))
    look = next(fn.fn for fn in page.fns.values() if fn.name == "look")
    _, menu, names, plot, *_ = look([], [])
    first = menu.value
    assert {*names} == {*runs.curves(run)} and {*first} == {*runs.first_shown(names)}
    one = first[:1]
    _, menu, _, plot, *_ = look(one, names)
    assert not isinstance(menu, gr.Dropdown)
    assert {row[2] for row in plot.value["data"]} == {*one} and plot.visible
    (copy / "metrics.csv").write_text("step,images,metrics/fid\n10,80,9.5\n20,160,nan\n")
    _, menu, names, plot, *_ = look(one, names)
    assert menu.value == one and names[-1] == "metrics/fid"
    _, _, _, plot, *_ = look(["metrics/fid"], names)
    rows = [list(row) for row in plot.value["data"]]  # without the value that is not finite
    assert rows == [[10, 9.5, "metrics/fid"]]


def test_a_long_run_has_some_of_its_points(tmp_path):
    rows = [f"{k},{8 * k},{k / 10}" for k in range(1, 2001)]
    (tmp_path / "log.csv").write_text("\n".join(["step,images,generator/fake", *rows]))
    points = runs.curves(tmp_path)["generator/fake"]
    assert len(points) == runs.POINTS and points[1] == (5, 0.5)


def test_a_run_uses_its_newest_snapshot_on_demand(run, tmp_path):
    served = Served(str(run), tmp_path)
    page, before = build(served), served.model
    load = next(fn.fn for fn in page.fns.values() if fn.name == "load")
    load([], [])
    assert served.model is not before and int(served.model.step.numpy()) == 20


def test_a_run_names_its_classes(run, tmp_path):
    facts = run / "data.json"
    before = facts.read_text()
    facts.write_text(json.dumps(json.loads(before) | {"classes": ["cat", "dog", "fox"]}))
    try:
        page = build(Served(str(run), tmp_path))
    finally:
        facts.write_text(before)
    assert classes_of(page) == [controls.IN_TURN, "cat", "dog", "fox"]


def classes_of(page):
    """The words in the list of classes."""
    lists = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown)]
    return [name for block in lists if block.label == "Class" for name, _ in block.choices][:4]


def test_a_release_names_its_classes(run, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    shutil.copy(storage.snapshots(run)[-1], folder / "model.keras")
    numbered = classes_of(build(Served(str(folder), tmp_path)))
    assert numbered == [controls.IN_TURN, "0", "1", "2"]
    (folder / "labels.json").write_text('{"classes": ["cat", "dog", "fox"]}')
    named = classes_of(build(Served(str(folder), tmp_path)))
    assert named == [controls.IN_TURN, "cat", "dog", "fox"]
    (folder / "labels.json").write_text('{"attributes": ["cat", "dog", "fox"]}')
    page = build(Served(str(folder), tmp_path))
    boxes = [block for block in page.blocks.values() if isinstance(block, gr.CheckboxGroup)]
    assert [name for name, _ in boxes[0].choices] == ["cat", "dog", "fox"]


def test_a_run_without_a_snapshot_shows_its_curves(run, tmp_path):
    young = tmp_path / "young"
    young.mkdir()
    (young / "config.yaml").write_text((run / "config.yaml").read_text())
    served = Served(str(young), tmp_path)
    assert served.model is None and list(tabs(served)) == ["Training"]
    assert runs.state(served) == "No tick yet, of 20 steps."
    with pytest.raises(FileNotFoundError, match="not saved anything"):
        (young / "snapshots").mkdir()
        storage.find(young)
