"""examples/serving/app.py by real HTTP requests: under load, equal to Keras, mistakes answered."""

import base64
import concurrent.futures
import http.client
import importlib.util
import json
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tfgans import models

ROOT = pathlib.Path(__file__).parents[1]
APP = ROOT / "examples" / "serving" / "app.py"
NAME = "stylegan2-fashion"


@pytest.fixture(scope="module")
def port():
    """A server of the release that comes with the package, in a process of its own."""
    pytest.importorskip("fastapi")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, APP, ROOT / "saved_models" / NAME, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, server.stdout.read().decode()
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def ask(connection, body, path=f"/v1/models/{NAME}:predict"):
    """Status and answer of a request."""
    connection.request("POST", path, body if isinstance(body, str) else json.dumps(body))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def instance(z, label):
    return {"z": z.tolist(), "label": np.eye(10)[label].tolist(), "truncation": 0.7}


def load(port, count, clients):
    """Sends `count` requests of one row from many clients; rows, answers and seconds of each."""
    z = np.random.RandomState(0).randn(count, 64).astype("float32")

    def client(own):
        connection, found = http.client.HTTPConnection("127.0.0.1", port, timeout=120), []
        for k in own:
            began = time.perf_counter()
            status, answer = ask(connection, {"instances": [instance(z[k], k % 10)]})
            assert status == 200, answer
            found.append((k, answer["predictions"], time.perf_counter() - began))
        return found

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        parts = pool.map(client, [range(k, count, clients) for k in range(clients)])
        return z, sorted(row for part in parts for row in part)


def check_load(port, count, clients):
    z, found = load(port, count, clients)
    assert [k for k, _, _ in found] == list(range(count))  # none is lost, none comes twice
    images = np.array([image for _, (image,), _ in found], "float32")
    model, label = models.load(NAME), tf.one_hot(np.arange(count) % 10, 10)
    for k in range(0, count, 50):
        part = slice(k, k + 50)
        wanted = model(z[part], label=label[part], truncation=tf.fill([len(z[part])], 0.7))
        np.testing.assert_allclose(images[part], wanted, atol=2e-5)
    seconds = [1000 * s for _, _, s in found]
    p50, p99 = np.percentile(seconds, [50, 99])
    print(f"{count} requests of {clients} clients: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def test_many_clients_get_the_images_of_keras(port):
    check_load(port, 64, 16)


@pytest.mark.thorough
def test_a_thousand_requests(port):
    check_load(port, 1000, 16)


@pytest.mark.thorough
def test_a_connection_may_rest(port):
    """A client that has nothing to ask for a while is not cut off (uvicorn: after 5 s)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for rest in (6, 0):
        assert ask(connection, {"instances": [GOOD]})[0] == 200
        time.sleep(rest)


def test_other_signatures_and_the_status(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = {"signature_name": "sample", "instances": [{"seed": 3, "n": 2}]}
    status, answer = ask(connection, body)
    image = np.array(answer["predictions"][0]["image"])
    image = np.clip(image, -1.0, 1.0)  # the generator has no bound
    np.testing.assert_allclose(image, models.load(NAME).sample(2, seed=3), atol=2e-5)
    z = np.random.RandomState(1).randn(3, 64)
    body = {"signature_name": "uint8", "instances": [instance(row, 5) for row in z]}
    status, answer = ask(connection, body)
    images = np.array(answer["predictions"])
    assert status == 200 and images.shape == (3, 32, 32, 1)
    assert images.dtype.kind == "i" and images.max() > 200
    connection.request("GET", f"/v1/models/{NAME}")
    state = json.loads(connection.getresponse().read())["model_version_status"]
    assert state[0]["version"] == "1" and state[0]["state"] == "AVAILABLE"


GOOD = instance(np.zeros(64), 0)


@pytest.mark.parametrize(
    "body, status, said",
    [
        ("not JSON", 400, "not JSON"),
        ({"rows": []}, 400, '"instances"'),
        ({"instances": []}, 400, "one instance or more"),
        ({"instances": [GOOD], "signature_name": "nope"}, 400, "no signature 'nope': mapping, "),
        ({"instances": [[1.0]]}, 400, "names its inputs"),
        ({"instances": [{"z": [0.0]}]}, 400, "this one has z"),
        ({"instances": [GOOD | {"z": [1.0, 2.0]}]}, 400, "z has the shape (64,), not (2,)"),
        ({"instances": [GOOD | {"z": "x"}]}, 400, "z is float32 (64,)"),
        ({"instances": [GOOD, GOOD | {"label": None}]}, 400, "label"),
    ],
)
def test_a_request_that_does_not_fit_gets_a_sentence(body, status, said, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    found, answer = ask(connection, body)
    assert found == status and said in answer["error"]
    assert ask(connection, {"instances": [GOOD]})[0] == 200  # the server goes on


def test_another_model_is_not_found(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    status, answer = ask(connection, {"instances": [GOOD]}, "/v1/models/other:predict")
    assert status == 404 and NAME in answer["detail"]


def test_bytes_are_in_base64(tmp_path):
    """A SavedModel that takes and gives bytes: {"b64": ...} both ways, as in TensorFlow Serving."""
    pytest.importorskip("fastapi")
    spec = importlib.util.spec_from_file_location("serving_app", APP)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)

    class Reverse(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text):
            return {"bytes": tf.strings.join([text, text])}

    module = Reverse()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    loaded = tf.saved_model.load(str(tmp_path))  # signatures hold it weakly
    signature = app.Signature(loaded.signatures["serving_default"], 4, 0)
    data = bytes(range(250, 256))
    row = signature.row({"b64": base64.b64encode(data).decode()})
    ((answer),) = signature.compute([row])
    assert base64.b64decode(answer["b64"]) == data + data
    for wrong in ({"b64": "!"}, "text", {"text": {"bytes": 1}}):
        with pytest.raises(app.Refused, match="text"):
            signature.row(wrong)
