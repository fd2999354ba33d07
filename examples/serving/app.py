"""A small server for a release, with batching: `python examples/serving/app.py RELEASE`.

It needs TensorFlow, FastAPI and uvicorn (`pip install fastapi uvicorn`), and not tfgans: a release
is a SavedModel. Its addresses and bodies are those of TensorFlow Serving's REST interface, so a
client works with either:

    curl localhost:8080/v1/models/faces:predict -d '{"instances": [{"z": [0.3, -1.2, ...]}]}'

Requests that arrive together run together: the rows of all of them are one batch, of `--most` rows
at most, for which the first one waits `--wait` milliseconds at most. Bytes are {"b64": "..."}.
"""

import argparse
import asyncio
import base64
import binascii
import contextlib
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off without AVX-512 otherwise

import fastapi  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import uvicorn  # noqa: E402

DEFAULT = "serving_default"
LARGEST = 16 * 2**20  # bytes of a request
# Seconds for which a connection may rest. More than the minute of the usual proxies: the side that
# closes first should be the client, or a request that is just under way is lost.
REST = 75


class Refused(ValueError):
    """A request that does not fit the model: its sentence is the answer, with the status 400."""


class Signature:
    """One signature of a model: checks rows, and runs those of several requests as one batch.

    Args:
        function: A signature of a SavedModel.
        most: Rows of a batch, at most.
        wait: Seconds for which the first row of a batch waits for others.
    """

    def __init__(self, function, most, wait):
        self.function, self.most, self.wait = function, most, wait
        self.inputs = function.structured_input_signature[1]  # name -> TensorSpec
        # A seed or a number has no rows: such requests run one by one.
        self.has_rows = all(spec.shape.rank for spec in self.inputs.values())
        self.queue = asyncio.Queue()

    def row(self, given) -> dict:
        """One instance of a request as arrays, name -> array. Raises `Refused`."""
        if not isinstance(given, dict) or given.keys() == {"b64"}:  # the value of the only input
            if len(self.inputs) > 1:
                raise Refused(f"An instance names its inputs: {', '.join(self.inputs)}.")
            given = {next(iter(self.inputs)): given}
        if given.keys() != self.inputs.keys():
            came = ", ".join(map(str, given)) or "nothing"
            raise Refused(f"An instance has {', '.join(self.inputs)}; this one has {came}.")
        return {name: self.value(name, spec, given[name]) for name, spec in self.inputs.items()}

    def value(self, name, spec, value):
        """A value of a request as an array of its input's type and shape."""
        wanted = spec.shape[1:] if self.has_rows else spec.shape
        try:
            if spec.dtype == tf.string:
                value = np.array(base64.b64decode(value["b64"], validate=True), object)
            else:
                value = np.array(value, spec.dtype.as_numpy_dtype)
        except (TypeError, ValueError, KeyError, OverflowError, binascii.Error) as error:
            raise Refused(f"{name} is {spec.dtype.name} {wanted}: {error}.") from None
        if not wanted.is_compatible_with(value.shape):
            raise Refused(f"{name} has the shape {wanted}, not {value.shape}.")
        return value

    async def answer(self, instances) -> list:
        """The predictions for the instances of a request, in their order."""
        rows = [self.row(given) for given in instances]
        futures = [asyncio.get_running_loop().create_future() for _ in rows]
        for pair in zip(rows, futures, strict=True):
            await self.queue.put(pair)
        return await asyncio.gather(*futures)

    async def run(self):
        """Takes rows from the queue for as long as the server lives."""
        while True:
            batch = [await self.queue.get()]
            end = time.monotonic() + self.wait
            while self.has_rows and len(batch) < self.most:
                left = end - time.monotonic()
                with contextlib.suppress(asyncio.TimeoutError):
                    batch.append(await asyncio.wait_for(self.queue.get(), max(left, 0)))
                    continue
                break
            rows, futures = zip(*batch, strict=True)
            try:
                found = await asyncio.to_thread(self.compute, rows)
            except Exception as error:  # of one batch: the server goes on
                for future in futures:
                    future.set_exception(Refused(f"The model cannot compute this: {error}"))
            else:
                for future, prediction in zip(futures, found, strict=True):
                    future.set_result(prediction)

    def compute(self, rows) -> list:
        """The predictions of a batch: one JSON value for each row."""
        if not self.has_rows:
            made = self.function(**{name: tf.constant(v) for name, v in rows[0].items()})
            return [{name: plain(value.numpy()) for name, value in made.items()}]
        batch = {name: tf.constant(np.stack([row[name] for row in rows])) for name in self.inputs}
        made = {name: value.numpy() for name, value in self.function(**batch).items()}
        only = len(made) == 1  # its name is left out, as TensorFlow Serving does
        return [
            plain(next(iter(made.values()))[k])
            if only
            else {name: plain(value[k]) for name, value in made.items()}
            for k in range(len(rows))
        ]


def plain(value):
    """An array as JSON has it: lists of numbers, and bytes as {"b64": ...}."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [plain(part) for part in value]
    return value.tolist()


def newest(release) -> pathlib.Path:
    """The folder of the newest version of a release: saved_models/NAME/<number>."""
    path = pathlib.Path(release)
    path = path if path.is_dir() else pathlib.Path("saved_models") / release
    versions = [p for p in path.glob("*") if p.name.isdigit() and (p / "saved_model.pb").exists()]
    if not versions:
        raise SystemExit(
            f"There is no release at {path}: wanted is a folder with 1/saved_model.pb."
        )
    return max(versions, key=lambda p: int(p.name))


def build(release, most=32, wait=0.005) -> fastapi.FastAPI:
    """The application that serves the newest version of a release."""
    folder = newest(release)
    loaded = tf.saved_model.load(str(folder))
    signatures = {
        name: Signature(function, most, wait) for name, function in loaded.signatures.items()
    }

    @contextlib.asynccontextmanager
    async def lifespan(app):
        workers = [asyncio.create_task(signature.run()) for signature in signatures.values()]
        yield
        for worker in workers:
            worker.cancel()

    app = fastapi.FastAPI(title=folder.parent.name, lifespan=lifespan)
    app.state.model = loaded  # signatures hold it weakly

    @app.exception_handler(Refused)
    async def refuse(request, error):
        return fastapi.responses.JSONResponse({"error": str(error)}, status_code=400)

    @app.get("/v1/models/{name}")
    async def status(name: str):
        known(name)
        version = {"version": folder.name, "state": "AVAILABLE", "status": {"error_code": "OK"}}
        return {"model_version_status": [version]}

    @app.post("/v1/models/{name}:predict")
    async def predict(name: str, request: fastapi.Request):
        known(name)
        if int(request.headers.get("content-length") or 0) > LARGEST:
            raise Refused(f"A request has {LARGEST} bytes at most.")
        try:
            body = await request.json()
        except ValueError as error:
            raise Refused(f"The body is not JSON: {error}.") from None
        instances = body.get("instances") if isinstance(body, dict) else None
        if not isinstance(instances, list) or not instances:
            raise Refused('Wanted is {"instances": [...]}, with one instance or more.')
        word = body.get("signature_name", DEFAULT)
        if word not in signatures:
            raise Refused(f"There is no signature {word!r}: {', '.join(sorted(signatures))}.")
        return {"predictions": await signatures[word].answer(instances)}

    def known(name):
        if name != folder.parent.name:
            raise fastapi.HTTPException(404, f"This server has the model {folder.parent.name!r}.")

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("release", help="a folder with numbered versions, or its name")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines too")
    parser.add_argument("--most", type=int, default=32, help="rows of a batch")
    parser.add_argument("--wait", type=float, default=5.0, help="milliseconds for others")
    args = parser.parse_args()
    app = build(args.release, args.most, args.wait / 1000)
    uvicorn.run(app, host=args.host, port=args.port, log_level="warning", timeout_keep_alive=REST)


if __name__ == "__main__":
    main()
