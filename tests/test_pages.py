"""README, docs, cards and configurations: each command has words that its tool takes, and the
Python of the pages runs, at small size."""

import functools
import gzip
import pathlib
import re
import runpy
import shlex

import keras
import numpy as np
import pytest
import tensorflow as tf
from pages import python_of, run

import tfgans

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "saved_models/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
FENCED = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:python tools/(\w+)\.py|tfgans (\w+))(.*)")
TOOLS = {path.stem for path in ROOT.glob("tools/[a-z]*.py")}


def commands_of(text):
    """(tool, words) of each command in code, or in a line of a configuration's head."""
    blocks, rest = FENCED.findall(text), FENCED.sub("", text)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    lines += [" ".join(code.split()) for code in INLINE.findall(rest)]
    for line in lines:
        for part in re.split(r" && | \| | &(?: |$)|; ", line):
            found = COMMAND.match(part.strip())
            if found and found[3] and (found[1] or found[2]) in TOOLS:  # not a tool's name alone
                # Words end before a comment.
                yield found[1] or found[2], re.split(r"\s#| {3,}", found[3])[0]


@functools.cache
def parser(tool):
    return runpy.run_path(str(ROOT / "tools" / f"{tool}.py"))["arguments"]()


def is_taken(tool, words, capsys):
    try:
        parser(tool).parse_args(shlex.split(words))
    except SystemExit as error:
        return error.code == 0, capsys.readouterr().err  # --help and --list end so
    return True, ""


def test_each_command_of_the_pages_has_words_that_its_tool_takes(capsys):
    seen = set()
    for page in PAGES:
        for tool, words in commands_of(page.read_text(encoding="utf-8")):
            taken, said = is_taken(tool, words, capsys)
            assert taken, f"{page.name}: {tool}{words}\n{said}"
            seen.add(tool)
    assert seen >= TOOLS - {"train_own_small"}  # no tool is without an example


def test_each_command_of_the_configurations_has_words_that_its_tool_takes(capsys):
    count = 0
    for file in sorted((ROOT / "configs").glob("*.yaml")):
        head = "\n".join(line[2:] for line in file.read_text().splitlines() if line[:2] == "# ")
        found = [*commands_of(f"```\n{head}\n```")]
        for tool, words in found:
            taken, said = is_taken(tool, words, capsys)
            assert taken, f"{file.name}: {tool}{words}\n{said}"
        count += bool(found)
    assert count > 90


def test_a_wrong_word_is_noticed(capsys):
    ((tool, words),) = commands_of("`python tools/sample.py stylegan2 --sed 3`")
    assert not is_taken(tool, words, capsys)[0]


@pytest.mark.thorough
def test_python_of_the_page_on_keras(monkeypatch):
    first, loop = python_of("keras")
    images = np.random.RandomState(0).randint(0, 256, [40, 32, 32, 3], "uint8")
    labels = np.arange(40)[:, None] % 10
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: ((images, labels), None))
    names = {"tfgans": tfgans, "keras": keras}
    small = "generator_channels=(4,) * 4, discriminator_channels=(4,) * 4, n_critic=5)"
    changes = {"num_classes=10)": f"num_classes=10, {small}"}
    run(first, names, **changes | {"batch_size=64": "batch_size=4", "epochs=100": "epochs=1"})
    assert names["model"].step == 2
    model = tfgans.models.get("gan")(image_shape=(8, 8, 1))
    names = {"model": model, "dataset": [np.zeros([4, 8, 8, 1], "float32")] * 3}
    run(loop, names)
    assert model.step == 3 and np.isfinite([*names["terms"].values()]).all()


def test_python_of_the_page_on_metrics(tmp_path, monkeypatch):
    """The third block is that of VGG16's weights, see tests/features/test_vgg.py."""
    monkeypatch.chdir(tmp_path)
    numbers, forms, _, network = python_of("metrics")
    run(numbers, {}, **{"1000, 16": "500, 8"})
    run(forms, {})
    run(network, {})
    found = tf.saved_model.load("classifier").signatures["serving_default"](
        tf.zeros([2, 32, 32, 3])
    )
    assert {name: value.shape[0] for name, value in found.items()} == {
        "features": 2,
        "probabilities": 2,
    }


@pytest.mark.thorough
def test_python_of_the_page_on_latents(tmp_path, monkeypatch):
    """The last block is that of the exported edit, see tests/latents/test_edits.py."""
    monkeypatch.chdir(tmp_path)
    search, pictures, scores, _ = python_of("latents")
    raw = np.arange(5 * 28 * 28, dtype="uint8").tobytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + raw))
    run(pictures, {})
    assert sorted(path.name for path in tmp_path.glob("fashion*.png"))[4] == "fashion4.png"
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    run(scores, {}, **{"2000": "20"})
    rows = (tmp_path / "bags.csv").read_text().splitlines()
    assert rows[0] == "seed,bright,tall" and len(rows) == 21
    names = {
        "tfgans": tfgans,
        "images": np.zeros([1, 32, 32, 1], "float32"),
        "features": lambda images: [images],
    }
    run(search, names, **{"images, features)": "images, features, steps=1)"})
    assert names["search"].ws.shape[0] == 1 and (tmp_path / "latents.npz").exists()


def test_python_of_the_page_on_scale(two_replicas):
    """On two devices, of which this machine's other tests have the strategy already."""
    (code,) = python_of("scale")
    dataset = tf.data.Dataset.from_tensors({"image": np.zeros([4, 8, 8, 1], "float32")}).repeat()
    names = {"tf": tf, "tfgans": tfgans, "dataset": dataset, "two_replicas": two_replicas}
    changes = {
        "tf.distribute.MirroredStrategy()": "two_replicas",
        '"stylegan2")(image_shape=(256, 256, 3))': '"gan")(image_shape=(8, 8, 1))',
        "10_000": "2",
    }
    run(code, names, **changes)
    assert names["model"].step == 2


def test_python_of_the_page_on_serving():
    """The request goes through gRPC to a server that answers with the release's SavedModel.

    TensorFlow Serving's own binary is not to be had as a package; it takes the same messages.
    """
    import concurrent.futures

    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    release = tf.saved_model.load(str(ROOT / "saved_models" / "stylegan2-fashion" / "1"))

    class Server(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            given = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            assert request.model_spec.name == "stylegan2-fashion"
            function = release.signatures[request.model_spec.signature_name]
            reply = predict_pb2.PredictResponse()
            made = function(**{name: tf.constant(value) for name, value in given.items()})
            for name, value in made.items():
                reply.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return reply

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Server(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        names = {}
        code, alone = python_of("serving")
        run(code, names, **{"localhost:8500": f"127.0.0.1:{port}", "timeout=10": "timeout=120"})
        names["channel"].close()
        server.stop(0)
    given = {name: value.astype("float32") for name, value in names["inputs"].items()}
    wanted = tfgans.models.load("stylegan2-fashion")(given.pop("z"), **given)
    np.testing.assert_allclose(names["images"], wanted, atol=1e-5)
    run(alone, names, **{"saved_models/": f"{ROOT}/saved_models/"})
    (images,) = names["made"].values()
    assert images.shape == (4, 32, 32, 1)
