"""Endpoints as files for other run times than TensorFlow: ONNX, TFLite.

Each file holds one endpoint with its weights, takes any number of rows, and is proved: its own run
time and Keras get the same random inputs. Random numbers in it are those of TensorFlow, in plain
arithmetic (`ops/philox.py`).
"""

import importlib.util
import logging
import re
import tempfile
import warnings

import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.models import serving

OPSET = 18  # of ONNX, the first with operations on bits
ROWS = 3, 1  # of the random inputs
ROUNDING, RELATIVE = 1e-5, 1e-3  # limits of differences from Keras: a + b * largest value


class Unconvertible(Exception):
    """An endpoint has no form for a run time; the message says why."""


def check(words):
    """Raises BadInput where packages are missing that a run time of `words` needs."""
    needed = ("tf2onnx", "onnxruntime") if "onnx" in words else ()
    if missing := [name for name in needed if not importlib.util.find_spec(name)]:
        raise BadInput(
            f"ONNX needs {' and '.join(missing)}, and this environment lacks them: "
            'pip install "tfgans[onnx]"'
        )


def write(model, folder, words):
    """Writes <folder>/<word>/<endpoint>.<word> for each endpoint that a run time can have.

    It prints the difference from Keras of each, or the reason why there is none.

    Args:
        model: Half precision is converted as float32, which all run times have.
        folder: Path.
        words: Keys of RUN_TIMES.

    Raises:
        BadInput: A run time can have no endpoint.
    """
    written, reason = set(), {}
    for word, name, content, found in converted(model, words):
        if content is None:
            reason[word] = f"{name}: {found}"
            print(f"{word}, {name}: not written, {found}", flush=True)
        else:
            (folder / word).mkdir(exist_ok=True)
            (folder / word / f"{name}.{word}").write_bytes(content)
            written.add(word)
            print(f"{word}, {name}: as Keras, but for {found:.1e}", flush=True)
    for word in words:
        if word not in written:
            raise BadInput(
                f"Nothing of {type(model).__name__} converts to {word}, such as {reason[word]}. "
                f"Leave {word} out of --to."
            )


def converted(model, words, without=()):
    """Yields (word, endpoint, content, difference), or (word, endpoint, None, reason).

    Args:
        without: Names of endpoints that are left out.
    """
    plain = type(model).from_config(model.get_config() | {"dtype": "float32"})
    plain.set_weights(model.get_weights())
    endpoints = {k: v for k, v in plain.endpoints().items() if k not in without}
    with tempfile.TemporaryDirectory() as folder:
        serving.export(endpoints, folder, plain=True)
        again = plain.endpoints()  # not those that were traced for the export
        for name, (_, signature) in endpoints.items():
            for word in words:
                try:
                    yield word, name, *proved(word, folder, name, again[name][0], signature)
                except Unconvertible as error:
                    yield word, name, None, str(error)


def proved(word, folder, name, function, signature):
    """(content, difference) of a signature of a SavedModel. Raises Unconvertible."""
    convert, run = RUN_TIMES[word]
    content = convert(folder, name, signature)
    inputs = [serving.random_inputs(signature, n) for n in ROWS]
    return content, max(difference(function, run, content, given) for given in inputs)


def difference(function, run, content, given) -> float:
    """The largest difference between the outputs of Keras and those of a file.

    Raises:
        Unconvertible: The file does not run, or its outputs are others.
    """
    wanted = function(*map(tf.constant, given.values()))
    try:
        made = run(content, given)
    except Exception as error:  # run times have their own errors for each of many faults
        raise Unconvertible(f"its file does not run: {brief(error)}") from error
    largest = 0.0
    for name, value in wanted.items():
        ours, theirs = value.numpy().astype("float64"), made[name].astype("float64")
        if ours.shape != theirs.shape or value.dtype != made[name].dtype:
            raise Unconvertible(f"{name} is {made[name].dtype}{list(theirs.shape)} in its file")
        gap = np.abs(ours - theirs).max()
        if value.dtype.is_floating:
            limit = ROUNDING + RELATIVE * np.abs(ours).max()
        else:
            limit = 1 if value.dtype == tf.uint8 else 0  # bytes of pictures are rounded
        if not gap <= limit:
            raise Unconvertible(f"{name} differs from that of Keras by {gap:.1e}")
        largest = max(largest, float(gap))
    return largest


def brief(error) -> str:
    """The first line of an error of another package."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def to_onnx(folder, name, signature) -> bytes:
    """A signature of a SavedModel as an ONNX model.

    An output with the name of an input is called NAME_out: a name denotes one thing in a file.
    """
    import onnx
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    loaded = tf.saved_model.load(str(folder))  # its variables live as long as it
    endpoint, inputs = loaded.signatures[name], [spec.name for spec in signature]

    def renamed(*given):
        made = endpoint(**dict(zip(inputs, given, strict=True)))
        return {f"{key}_out" if key in inputs else key: value for key, value in made.items()}

    graph = tf.function(renamed, input_signature=signature, autograph=False)
    try:
        made, _ = tf2onnx.convert.from_function(graph, signature, opset=OPSET)
    except Exception as error:  # it has no error of its own
        raise Unconvertible(f"tf2onnx fails: {brief(error)}") from error
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    if unknown := {node.op_type for node in nodes(made.graph)} - known:
        raise Unconvertible(f"ONNX has no {', '.join(sorted(unknown))}")
    return made.SerializeToString()


def nodes(graph):
    """All nodes of an ONNX graph, also those of loops and branches in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def run_onnx(content, given) -> dict:
    """The outputs of an ONNX model, under the names of the endpoint's.

    Args:
        content: The model, bytes.
        given: Name of an input -> array; inputs that the model lacks are left out.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    read = {entry.name for entry in session.get_inputs()}  # an input that nothing reads is gone
    names = [entry.name for entry in session.get_outputs()]
    made = session.run(names, {name: value for name, value in given.items() if name in read})
    return {name.removesuffix("_out"): value for name, value in zip(names, made, strict=True)}


def to_tflite(folder, name, signature) -> bytes:
    """A signature of a SavedModel as a TFLite model, of TFLite's own operations alone."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[name])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return converter.convert()
    except Exception as error:  # it has one error for all faults
        if found := re.search(r"(?:TF Select|Custom) ops: (.*)", str(error)):
            raise Unconvertible(f"TFLite has no {found[1]}") from error
        raise Unconvertible(f"the converter of TFLite fails: {brief(error)}") from error


def run_tflite(content, given) -> dict:
    """The outputs of a TFLite model.

    Args:
        content: The model, bytes.
        given: Name of an input -> array of its type.
    """
    with warnings.catch_warnings(action="ignore"):  # that the interpreter moves to a package
        interpreter = tf.lite.Interpreter(model_content=content)
    return interpreter.get_signature_runner()(**given)


RUN_TIMES = {"onnx": (to_onnx, run_onnx), "tflite": (to_tflite, run_tflite)}
