"""Any use of a model, by its name, with files and numbers for its inputs: `tools/use.py`.

A use is an endpoint of the exported model, or a method that the model lists in `uses` because its
sizes are known only when it is called (SinGAN's enlarging, InfoGAN's traversal). Both are called
the same way: each input is read from a word, by its name and form.
"""

import argparse
import dataclasses
import inspect
import math
import pathlib
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfgans import errors, images, labels, random
from tfgans.data.audio import sounds
from tfgans.data.files import FolderImages, names_to_write
from tfgans.data.films import by_numbers, open_film
from tfgans.data.images import prepared
from tfgans.data.label_maps import open_maps, read_maps, save_maps
from tfgans.data.tokens import open_tokens, to_text
from tfgans.data.waves import WaveFile
from tfgans.errors import BadInput, finite, nearest, seed, whole
from tfgans.previews import Sound, Video

NUMBERS = {"seed": 0, "n": 16, "frames": 4}  # inputs of endpoints that need not be given
WHOLE = {"seed": seed, "n": whole(1), "frames": whole(1), "factor": whole(2), "radius": whole(0)}
REAL = {"stretch": (0.1, 10.0), "beta": (0.0, 1.0)}  # least and greatest value
IMAGES = ("image", "composite", "mask")  # parameters of methods that are read from image files
MAPS = ("map", "instances")  # inputs of endpoints that are read from files of whole numbers
WAVE = "wave"  # input and output of endpoints that is a WAV file
CHANGED = 0.0  # a mask is true where the mean of its channels is above this gray


@dataclasses.dataclass
class Use:
    """One use of a model.

    Args:
        function: The endpoint's function, or the method.
        inputs: Name -> a TensorSpec, or the default value of a method's parameter.
        kind: "image", "video" or "text" of a method; "" for an endpoint, whose outputs tell.
        rate: Samples per second of its waves.
    """

    function: Callable
    inputs: dict
    kind: str = ""
    rate: int = 16_000


def uses_of(model) -> dict:
    """Name -> `Use` of all that a model offers."""
    rate = getattr(model, "rate", Use.rate)
    found = {
        name: Use(function, {spec.name: spec for spec in signature}, rate=rate)
        for name, (function, signature) in model.endpoints().items()
    }
    for name, kind in model.uses.items():
        parameters = inspect.signature(getattr(model, name)).parameters.values()
        inputs = {
            p.name: NUMBERS.get(p.name) if p.default is p.empty else p.default for p in parameters
        }
        found[name] = Use(getattr(model, name), inputs, kind)
    return found


def describe(model) -> str:
    """One line for each use: its name and its inputs."""
    lines = []
    for name, use in uses_of(model).items():
        words = [f"{word}={form(model, word, given)}" for word, given in use.inputs.items()]
        lines.append(" ".join([f"{name}:", *words]))
    return "\n".join(lines)


def form(model, word, given) -> str:
    """The form in which an input is written on the command line."""
    if not isinstance(given, tf.TensorSpec):
        return "FILE" if word in IMAGES else str(given).replace(" ", "")
    if given.shape.rank == 0:
        return str(NUMBERS[word])
    if word in MAPS and given.shape.rank == 4:
        return "FOLDER"
    if given.shape.rank == 4 or word in MAPS:
        return "FILE|FOLDER"
    if given.shape.rank == 5:
        return "FILM"
    if word == WAVE:
        return "FILE.wav|FOLDER"
    if given.dtype.is_integer:
        return "NUMBER[,NUMBER...]" if given.shape.rank == 1 else "TEXTFILE"
    if word == "condition" and getattr(model, "words", None):
        return "SENTENCE|FILE.npy"
    return "CLASS[,CLASS...]|FILE.npy" if word == "label" else "NUMBERS|FILE.npy"


def command(model, name) -> str:
    """The command for the main use of a model; words in capitals stand for files or folders.

    Args:
        model: The model.
        name: Name or path of its release.
    """
    endpoints = model.endpoints()
    _, signature = endpoints.get("serving_default", (None, ()))
    inputs = {spec.name for spec in signature} - {"seed"}
    if "sample" in endpoints:
        words = ["sample", name]
    elif inputs == {"image"} and getattr(model, "makes", "image") == "video":
        words = ["use", name, "serving_default", "image=IMAGES"]
    elif inputs == {"image"}:
        words = ["translate", name, "IMAGES"]
    elif inputs == {"video"} and hasattr(model, "stream"):
        words = ["translate", name, "FILM"]
    elif inputs == {WAVE}:
        words = ["translate", name, "SOUNDS"]
    elif inputs == {"image", "source", "target"}:
        words = ["translate", name, "IMAGES", "--from", "0", "--to", "1"]
    elif "map" in inputs and "image" not in inputs:
        words = ["translate", name, "MAPS"]
        for word in ("instances", "style", "first"):
            words += [f"--{word}", word.upper()] if word in inputs else []
    else:
        words = ["use", name]  # lists all uses
    tool, *words = words
    return f"{errors.command(tool)} {errors.quoted(*words)}"


def call(model, name, words: dict):
    """Calls a use of a model with inputs that are read from words.

    Args:
        model: The model.
        name: A name of `uses_of(model)`.
        words: Input -> its text, as `form` describes it.

    Returns:
        Output -> array; the `Use`; the names of the files that were read, without endings.

    Raises:
        BadInput: There is no such use or input, or a text does not fit it.
    """
    uses = uses_of(model)
    if name not in uses:
        raise BadInput(
            model.absent.get(name) or nearest(f"use of {type(model).__name__}", name, uses)
        )
    use = uses[name]
    for word in words:
        if word not in use.inputs:
            raise BadInput(nearest(f"input of {name}", word, use.inputs))
    given, stems = {}, []
    for word, wanted in use.inputs.items():
        if isinstance(wanted, tf.TensorSpec):
            given[word] = tensor_of(model, word, wanted, words.get(word), stems)
        elif word in words:
            given[word] = value_of(model, word, words[word], wanted, stems)
        elif word in IMAGES:
            raise BadInput(f"{name} needs {word}=FILE.")
        else:
            given[word] = wanted
    with random.scope(int(given.get("seed") or 0)):
        if use.kind:
            made = {use.kind: use.function(**given)}
        else:
            made = use.function(*same_rows(given, use.inputs).values())
    return (
        {
            key: value if isinstance(value, str) else np.asarray(value)
            for key, value in made.items()
        },
        use,
        stems,
    )


def tensor_of(model, word, spec, text, stems):
    """The tensor for an input of an endpoint."""
    if spec.shape.rank == 0:
        return tf.constant(number(word, str(NUMBERS[word]) if text is None else text), spec.dtype)
    if text is None and word == "label":
        return tf.eye(spec.shape[1])  # each class once
    if text is None and word == "truncation":
        return tf.ones([1])
    if text is None:
        raise BadInput(f"The input {word} is missing: {word}={form(model, word, spec)}")
    if word in MAPS and spec.shape.rank == 4:  # those of a film
        _, maps = open_maps(text, spec.shape[2:], model, by_numbers)
        stems.append(pathlib.Path(text).stem)
        return tf.constant(np.stack(list(maps))[np.newaxis])
    if word in MAPS:
        names, maps = read_maps(text, spec.shape[1:], model if word == "map" else None)
        stems.extend(name.replace("/", "-") for name in names_to_write(names))
        return tf.constant(maps)
    if word == WAVE:
        return tf.constant(read_waves(text, model.rate, stems))
    if spec.shape.rank == 5:
        return tf.constant(read_film(text, spec.shape[1:], stems))
    if spec.dtype.is_integer and spec.shape.rank == 1:  # such as the numbers of domains
        return tf.constant([number(word, part) for part in text.split(",")], spec.dtype)
    if spec.dtype.is_integer:
        return tf.constant(open_tokens(text, spec.shape[1]).sequences)
    if word == "masks":
        planes = read_images(text, (*spec.shape[1:3], 1), [])
        return tf.constant(planes.transpose(3, 1, 2, 0))  # [1, H, W, M], those of one image
    if spec.shape.rank == 4:
        return tf.constant(read_images(text, spec.shape[1:], stems))
    if word == "label" and not text.endswith(".npy"):  # else vectors, such as attributes
        parts = [text] if text in getattr(model, "label_names", ()) else text.split(",")
        words = [int(part) if re.fullmatch(r"[+-]?\d+", part) else part for part in parts]
        classes = [labels.number(model, part) for part in words]
        if not all(0 <= k < spec.shape[1] for k in classes):
            raise BadInput(f"Labels are numbers below {spec.shape[1]}, not {text}.")
        return tf.one_hot(classes, spec.shape[1])
    if word == "condition" and getattr(model, "words", None) and not text.endswith(".npy"):
        return tf.constant(model.condition_vectors([text]))
    size = math.prod(spec.shape[1:])
    rows = load(text) if text.endswith(".npy") else np.array(numbers(word, text), "float32")
    if not rows.size or rows.size % size or not np.isfinite(rows).all():
        raise BadInput(
            f"{word} takes {size} finite numbers for each row, and {text:.80} has the shape "
            f"{rows.shape}, or a number that is not finite."
        )
    return tf.constant(rows.reshape(-1, *spec.shape[1:]))


def load(path) -> np.ndarray:
    """The numbers in a .npy file, float32. Raises BadInput where it holds none."""
    try:
        return np.asarray(np.load(path), "float32")
    except (ValueError, TypeError, EOFError) as error:
        raise BadInput(f"{path} is no array of numbers in NumPy's format: {error}") from None


def value_of(model, word, text, default, stems):
    """The value for a parameter of a method."""
    if word not in IMAGES:
        if isinstance(default, (tuple, float)):
            values = numbers(word, text)
            if len(values) != (len(default) if isinstance(default, tuple) else 1):
                raise BadInput(f"{word} is like {form(model, word, default)}, not {text!r:.80}.")
            return tuple(values) if isinstance(default, tuple) else values[0]
        return number(word, text)
    found = read_images(text, model.stage_shape(len(model.stage_steps)), stems)
    return found[0].mean(axis=2) > CHANGED if word == "mask" else found


def read_images(path, shape, stems) -> np.ndarray:
    """Reads an image file or all of a folder as training does, and prints how they are converted.

    Broken images are reported and left out.

    Args:
        path: Path of the file or folder.
        shape: (height, width, channels) of each image.
        stems: Gets the names of the images, without endings.

    Returns:
        float32 [n, height, width, channels] in [-1, 1].

    Raises:
        BadInput: There is no intact image.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    source = FolderImages(path, every=True)
    names, found = names_to_write(source.names), []
    for i, image in prepared(source, shape):
        stems.append(names[i].replace("/", "-"))
        found.append(image)
    if len({image.shape for image in found}) > 1:
        raise BadInput(f"The images of {path} have different sizes: give them one by one.")
    return np.stack(found)


def read_waves(path, rate, stems) -> np.ndarray:
    """Reads a WAV file or all of a folder, which have one length: float32 [n, T] in [-1, 1].

    Args:
        path: Path of the file or folder.
        rate: Samples per second of the result; `WaveFile` resamples.
        stems: Gets the names of the files, without endings.

    Raises:
        BadInput: A file is broken, or they differ in length.
    """
    root, names = sounds(path)
    found = [WaveFile(root / name, rate) for name in names]
    if len({sound.length for sound in found}) > 1:
        raise BadInput(f"The sounds of {path} have different lengths: give them one by one.")
    stems.extend(name.replace("/", "-") for name in names_to_write(names))
    return np.stack([sound.read(0, sound.length) for sound in found])


def read_film(path, shape, stems) -> np.ndarray:
    """Reads the first frames of a film as training does: float32 [1, T, H, W, C] in [-1, 1].

    Args:
        path: A GIF, an MP4, or a folder of frames.
        shape: (frames, height, width, channels); None for all frames, or for their own size.
        stems: Gets the name of the film.

    Raises:
        BadInput: It is no film, or has less frames.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    film = open_film(path)
    count = shape[0] or len(film)
    frames = [image for _, (_, image) in zip(range(count), prepared(film, shape[1:]), strict=False)]
    if len(frames) < count:
        raise BadInput(f"{path} has {len(frames)} intact frames, and the model takes {count}.")
    stems.append(path.stem)
    return np.stack(frames)[np.newaxis]


def number(word, text) -> int:
    try:
        return WHOLE[word](text) if word in WHOLE else int(text)
    except argparse.ArgumentTypeError as error:
        raise BadInput(f"{word}: {error}") from None
    except ValueError:
        raise BadInput(f"{word} is a whole number, not {text!r:.80}.") from None


def numbers(word, text) -> list:
    try:
        values = [finite(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        raise BadInput(
            f"{word} is numbers with commas between them, not nan or inf, and not {text!r:.80}."
        ) from None
    least, most = REAL.get(word, (-math.inf, math.inf))
    if not all(least <= value <= most for value in values):
        raise BadInput(f"{word} is between {least} and {most}, not {text!r:.80}.")
    return values


def same_rows(given, inputs) -> dict:
    """Repeats inputs of one row to as many rows as the others have."""
    batched = {word for word, spec in inputs.items() if spec.shape.rank > 0}
    n = max([len(given[word]) for word in batched], default=1)
    for word in batched:
        if len(given[word]) not in (1, n):
            raise BadInput(f"{word} has {len(given[word])} rows, another input has {n}.")
    return {
        word: tf.repeat(value, n, axis=0) if word in batched and len(value) < n else value
        for word, value in given.items()
    }


def write(made, use, path, rate=10) -> list:
    """Writes outputs beside each other: pictures, maps, animations, sounds, texts, or arrays.

    Args:
        made: Output -> array or text.
        use: The `Use` that made it.
        path: Folder and beginning of the names.
        rate: Frames per second of an animation.

    Returns:
        The files.
    """
    written = []
    for name, value in made.items():
        stem = path if name in ("image", "video", "text", WAVE) else f"{path}-{name}"
        if isinstance(value, str) or name == "tokens":
            file = pathlib.Path(f"{stem}.txt")
            text = value if isinstance(value, str) else to_text(value)
            file.write_text(text, encoding="utf-8")
        elif name == WAVE:
            written += Sound(value, use.rate).save(stem)
            continue
        elif value.ndim == 5:
            value = value / 127.5 - 1.0 if value.dtype == np.uint8 else value
            written += Video(value, rate).save(stem)
            continue
        elif name in MAPS:
            written += save_maps(value, stem)
            continue
        elif use.kind == "video":
            images.save_video(value, file := pathlib.Path(f"{stem}.gif"), rate)
        elif value.ndim == 4 and name != "code":  # a code of maps is no picture
            if name == "masks":  # each a picture of its own
                value = np.moveaxis(value, 3, 1).reshape(-1, *value.shape[1:3], 1)
            value = value / 127.5 - 1.0 if value.dtype == np.uint8 else value
            images.save_grid(value, file := pathlib.Path(f"{stem}.png"))
        else:
            np.save(file := pathlib.Path(f"{stem}.npy"), value)
        written.append(file)
    return written
