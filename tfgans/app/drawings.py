"""Pictures that a person uploads or draws, given on as files that nothing has opened yet.

Gradio would open an upload with all of Pillow's formats, some of which start other programs. Here
it passes only the path on, and `tfgans.data` reads the file as it reads all images.
"""

import io

import gradio as gr
import numpy as np
import scipy.ndimage
from PIL import Image

from tfgans.data.files import open_file, opened
from tfgans.data.label_maps import in_colors
from tfgans.data.source import BrokenImage
from tfgans.errors import BadInput
from tfgans.images import to_uint8

BOARD = 512  # the longer side of a drawing board, in pixels


def upload(label):
    """An upload of a picture; its value is the path of the file, or None."""
    made = gr.Image(label=label, sources=["upload", "clipboard"], height=260)
    made.preprocess = path_of
    return made


def board(**settings):
    """A drawing; its value is the bytes of its parts: "background", "layers", "composite".

    Args:
        settings: Further arguments of `gr.ImageEditor`.
    """
    made = gr.ImageEditor(sources=["upload"], transforms=(), layers=False, format="png", **settings)

    def preprocess(payload):
        if payload is not None and payload.id is not None:  # the browser sent the parts before
            payload = made.blob_storage.pop(payload.id, None)
        return payload and {
            "background": content(payload.background),
            "layers": [content(layer) for layer in payload.layers or ()],
            "composite": content(payload.composite),
        }

    made.preprocess = preprocess
    return made


def path_of(file):
    return file.path if file else None


def content(part):
    """The bytes of a part of a drawing, or None."""
    if part is None or isinstance(part, bytes):
        return part
    with open_file(part.path) as file:
        return file.read()


def pixels(data, mode) -> np.ndarray:
    """The pixels of a picture in bytes, uint8 [h, w, channels of the mode]. Raises BrokenImage."""
    try:
        return np.asarray(opened(io.BytesIO(data)).convert(mode))
    except (OSError, ValueError, SyntaxError) as error:
        raise BrokenImage("The drawing", str(error)) from error


def enlarged(height, width) -> tuple:
    """(height, width) of a drawing board: a multiple of the model's size, or that size itself."""
    factor = max(BOARD // max(height, width), 1)
    return factor * height, factor * width


def colors_of(model) -> np.ndarray:
    """Colors of the classes of a model of label maps, uint8 [num_labels, 3]."""
    count = model.num_labels
    return to_uint8(in_colors(np.arange(count), count, model.legend))


def names_of(model) -> list:
    """Names of the classes of a model of label maps."""
    names = [name for name, _ in model.legend or ()]
    return names + [f"class {k}" for k in range(len(names), model.num_labels)]


def class_map(drawing, colors, size) -> np.ndarray:
    """Class numbers of a drawing, [height, width]: each pixel is of the class of nearest color.

    A cell of the result has the class of most of its pixels, so the soft edges of strokes, whose
    mixed color may be that of a third class, do not count.

    Args:
        drawing: uint8 [h, w, 3].
        colors: uint8 [classes, 3].
        size: (height, width).
    """
    found, place = np.unique(drawing.reshape(-1, 3), axis=0, return_inverse=True)
    distance = np.square(found[:, None].astype("int64") - colors).sum(axis=2)
    classes = distance.argmin(axis=1)[place.reshape(drawing.shape[:2])]
    rows, columns = (
        np.arange(own) * side // own for own, side in zip(classes.shape, size, strict=True)
    )
    cells = rows[:, None] * size[1] + columns
    count = len(colors)
    votes = np.bincount((cells * count + classes).ravel(), minlength=size[0] * size[1] * count)
    return votes.reshape(*size, count).argmax(axis=2)


def objects_of(classes) -> np.ndarray:
    """Numbers of objects [height, width]: each connected area of a class is one."""
    numbers, count = np.zeros(classes.shape, "int32"), 0
    for k in np.unique(classes):
        found, own = scipy.ndimage.label(classes == k)
        numbers[found > 0] = found[found > 0] + count
        count += own
    return numbers


def write_numbers(numbers, path):
    """Writes whole numbers as a picture of one channel with 16 bits."""
    Image.fromarray(np.asarray(numbers, "uint16")).save(path)


def drawn_maps(board, model, size, folder) -> dict:
    """The files of a drawing for a model of label maps: "map" and "instances"."""
    if board is None or board["composite"] is None:
        raise BadInput("Draw something first.")
    classes = class_map(pixels(board["composite"], "RGB"), colors_of(model), size)
    files = {"map": folder / "map.png", "instances": folder / "instances.png"}
    write_numbers(classes, files["map"])
    write_numbers(objects_of(classes), files["instances"])
    return {word: str(path) for word, path in files.items()}


def image_and_mask(board, folder) -> dict:
    """The files of a picture and of what is painted on it: "image" and "mask"."""
    if board is None or board["background"] is None:
        raise BadInput("Give a picture first, then paint over the part that shall be made anew.")
    strokes = [pixels(layer, "RGBA")[..., 3] > 127 for layer in board["layers"] if layer]
    if not any(layer.any() for layer in strokes):
        raise BadInput("Paint over the part of the picture that shall be made anew.")
    mask = np.logical_or.reduce(strokes)
    Image.fromarray(255 * mask.astype("uint8")).save(folder / "mask.png")
    (folder / "image.png").write_bytes(board["background"])
    return {word: str(folder / f"{word}.png") for word in ("image", "mask")}
