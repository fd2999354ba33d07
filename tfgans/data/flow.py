"""The flow of films in files: Middlebury's .flo, and the folder `flow` of a set of films.

    PATH/flow/FILM/00001.flo   the flow from frame 1 to frame 0, for all frames but the first

FILM is the name of the film in PATH: that of its folder, of its strip or of its file, with the
ending. A file has four bytes of mark, width and height as int32, and float32 [height, width, 2] in
pixels, the horizontal part first; all little-endian (Baker et al., IJCV 2011).
"""

import pathlib
import struct

import numpy as np
from scipy import ndimage

from tfgans.data.source import DataError
from tfgans.errors import command

FOLDER = "flow"
MARK = b"PIEH"  # 202021.25 as float32
HEADER = struct.Struct("<4sii")
LARGEST = 2**15  # side of a flow
UNKNOWN = 1e9  # larger numbers mark pixels without flow


def read_flo(path) -> np.ndarray:
    """The flow in a file, float32 [h, w, 2]. Raises DataError where the file is broken."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise wrong(path, f"cannot be read ({error.strerror})") from error
    if len(data) < HEADER.size or data[:4] != MARK:
        raise wrong(path, f"is no flow: a .flo file begins with {MARK.decode()}")
    _, width, height = HEADER.unpack_from(data)
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise wrong(path, f"says that its flow has {height}x{width} pixels")
    wanted = HEADER.size + 8 * width * height
    if len(data) != wanted:
        raise wrong(path, f"has {len(data):,} bytes, and {height}x{width} pixels need {wanted:,}")
    flow = np.frombuffer(data, "<f4", offset=HEADER.size).reshape(height, width, 2)
    if not np.all(np.abs(flow) < UNKNOWN):  # False for NaN too
        raise wrong(path, "has pixels without a flow, or numbers that are not finite")
    return flow.astype("float32")


def wrong(path, problem):
    return DataError(
        f"{path} {problem}.",
        f"Replace it with an intact copy; or move the folder {FOLDER} away, and make it anew: "
        f"{command('data')} flow PATH",
    )


def write_flo(path, flow):
    """Writes a flow, [h, w, 2] in pixels."""
    height, width, _ = flow.shape
    data = HEADER.pack(MARK, width, height) + np.ascontiguousarray(flow, "<f4").tobytes()
    pathlib.Path(path).write_bytes(data)


def followed(image, flow) -> np.ndarray:
    """`ops.warp.warp` of one image without TensorFlow, for threads that read data.

    Args:
        image: [h, w, C].
        flow: [h, w, 2] in pixels.

    Returns:
        float32 [h, w, C].
    """
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    places = [y + flow[..., 1], x + flow[..., 0]]
    planes = [
        ndimage.map_coordinates(plane, places, order=1, mode="nearest")
        for plane in np.moveaxis(np.asarray(image, "float32"), -1, 0)
    ]
    return np.stack(planes, axis=-1)


def find_flow(path, names, lengths):
    """The `Flow` of a set of films, or None where it has no folder with .flo files.

    Args:
        path: Folder of the films.
        names: Names of the films in it.
        lengths: Their frames.

    Raises:
        DataError: Files are missing.
    """
    root = pathlib.Path(path) / FOLDER
    if not any(root.rglob("*.flo")):
        return None
    found = Flow(root, names)
    for i, length in enumerate(lengths):
        for frame in range(1, length):
            if not found.file(i, frame).is_file():
                raise DataError(
                    f"There is no {found.file(i, frame)}, and {root} has the flow of other frames.",
                    f"Move {root} away, and make the flow of all films: {command('data')} flow "
                    f"{path}",
                )
    return found


class Flow:
    """The files of the flow of films.

    Args:
        root: Folder.
        names: Names of the films.
    """

    def __init__(self, root, names):
        self.root, self.names = root, names

    def file(self, i, frame):
        return self.root / self.names[i] / f"{frame:05d}.flo"

    def read(self, i, frames, size) -> np.ndarray:
        """The flow from each chosen frame of film i to the chosen one before it.

        Args:
            i: Index of the film.
            frames: Numbers of the frames, ascending.
            size: (height, width) of the frames.

        Returns:
            float32 [T, height, width, 2]; the first is 0.

        Raises:
            DataError: A file is broken, or of another size.
        """
        found = [np.zeros([*size, 2], "float32")]
        for first, last in zip(frames[:-1], frames[1:], strict=True):
            way = found[0]
            for frame in range(last, first, -1):  # on from where the way has led so far
                flow = read_flo(self.file(i, frame))
                if flow.shape[:2] != tuple(size):
                    sizes = "{}x{} pixels, and its frame {}x{}".format(*flow.shape[:2], *size)
                    raise wrong(self.file(i, frame), f"has {sizes}")
                way = way + followed(flow, way)
            found.append(way)
        return np.stack(found)
