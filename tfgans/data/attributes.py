"""Images with several binary attributes: CelebA's table of them, and synthetic shapes.

The label of an image is a vector with a 1 for each attribute that it has, and a 0 for the others.
"""

import numpy as np

from tfgans.data.source import DataError, Images
from tfgans.data.synthetic import WHITE, centered, rasterize, rim
from tfgans.errors import nearest

CELEBA = "list_attr_celeba.txt"
SYNTHETIC = ("red", "filled", "dark")  # a blue one, an outline, a light ground are their opposites
GROUNDS = (225, 45)  # gray values, light and dark
COLORS = ((50, 70, 210), (210, 60, 50))
HOLE = 0.62  # size of the hole of an outline, as a share of the shape


def read_celeba(text: str, name: str) -> tuple:
    """Reads a table in CelebA's form: a number of images, names, then a line for each image.

    Args:
        text: The table. A line has the name of a file and 1 or -1 for each attribute.
        name: Name of the file, for errors.

    Returns:
        The names of the attributes; file name -> vector of 0 and 1.

    Raises:
        DataError: The text has another form.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    names = lines[1] if len(lines) > 1 else []
    rows = {line[0]: line[1:] for line in lines[2:]}
    wrong = [key for key, row in rows.items() if len(row) != len(names) or {*row} - {"1", "-1"}]
    if not rows or wrong or len(lines[0]) != 1:
        where = f"the line of {wrong[0]} has not" if wrong else "it has not"
        raise DataError(
            f"{name} is no table of attributes: {where} this form.",
            "Wanted: a line with the number of images, one with the names of the attributes, then "
            "for each image its file name and 1 or -1 for each attribute.",
        )
    return names, {key: [int(word == "1") for word in row] for key, row in rows.items()}


def choose(source: Images, names: list) -> None:
    """Keeps only some attributes of the labels of a set, in the order of their names.

    Raises:
        DataError: The set has no attributes, or none of such a name.
    """
    known = source.attribute_names
    if not known:
        raise DataError(
            f"data.attributes is {names}, and {source.path} has no attributes.",
            f"They come from {CELEBA} in a folder of images, or from synthetic images.",
        )
    for name in names:
        if name not in known:
            raise DataError(nearest("attribute", str(name), known), "Set data.attributes.")
    source.labels = source.labels[:, [known.index(name) for name in names]]
    source.attribute_names = list(names)


class SyntheticAttributes(Images):
    """Shapes of three to six corners, each with three independent attributes, see `SYNTHETIC`.

    `read_attributes` finds the attributes in the pixels.

    Args:
        image_shape: (height, width, 3) of at least 16 x 16 pixels.
        count: Number of images. The first ones do not depend on it.
    """

    def __init__(self, image_shape, count=2**14):
        self.height, self.width, channels = image_shape
        self.side = min(self.height, self.width)
        if channels != 3 or self.side < 16:
            raise DataError(
                f"Synthetic attributes need RGB images of at least 16x16 pixels, not "
                f"{image_shape}.",
                "Set model.image_shape, for example to [32, 32, 3].",
            )
        draws = np.random.RandomState(0).random_sample([count, 12])
        self.labels = (draws[:, :3] < 0.5).astype("float32")
        self.drawn = self.labels  # all three, whichever of them the labels tell
        corners = 3 + np.floor(4 * draws[:, 3:4])  # [count, 1]
        # A shape of fewer corners repeats its last one.
        numbers = np.minimum(np.arange(6), corners - 1)
        turns = (
            numbers + 0.2 * np.take_along_axis(draws[:, 5:11], numbers.astype(int), axis=1)
        ) / corners
        angles = 2 * np.pi * (turns + draws[:, 4:5])
        radius = self.side * (0.3 + 0.12 * draws[:, 11:12])
        points = radius[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        self.vertices = points + self.side / 2  # [count, 6, 2]
        self.attribute_names = [*SYNTHETIC]
        self.survey("synthetic", None)

    def __len__(self):
        return len(self.labels)

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def read(self, i):
        red, filled, dark = self.drawn[i].astype(int)
        shape = self.vertices[i]
        both = np.stack([shape, self.side / 2 + HOLE * (shape - self.side / 2)])
        cover, hole = 1 - rasterize(both, self.side, faithful=False) / WHITE  # [side, side] each
        cover = cover - (0 if filled else 1) * hole
        cover = centered(cover, self.height, self.width)[..., None]
        image = GROUNDS[dark] + cover * (np.array(COLORS[red]) - GROUNDS[dark])
        return np.rint(image).astype("uint8")

    def describe(self, i):
        return f"synthetic shape {i}"


def read_attributes(images) -> np.ndarray:
    """The attributes that pictures like those of `SyntheticAttributes` show.

    Args:
        images: [n, H, W, 3] in [-1, 1].

    Returns:
        float32 [n, 3], 1 for each attribute of `SYNTHETIC` that an image has. They are those of the
        labels for all synthetic images; for generated ones they measure an edit.
    """
    images = np.asarray(images, "float32")
    height, width = images.shape[1:3]
    tint = images[..., 0] - images[..., 2]  # 0 on the ground
    red = tint.mean(axis=(1, 2)) > 0
    middle = np.abs(tint[:, height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1])
    strongest = np.abs(tint).max(axis=(1, 2))
    filled = middle.mean(axis=(1, 2)) > 0.5 * strongest
    dark = rim(images).mean(axis=(1, 2)) < 0
    return np.stack([red, filled, dark], axis=1).astype("float32")
