"""Small real files for the tests of the data part."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures():
    """Eight different 6x10 RGB images of random pixels."""
    return np.random.RandomState(0).randint(0, 256, [8, 6, 10, 3], "uint8")


@pytest.fixture
def folder(tmp_path, pictures):
    """A folder of those images: cat/0.png .. cat/3.png, dog/4.png .. dog/7.png."""
    root = tmp_path / "animals"
    for i, picture in enumerate(pictures):
        path = root / ("cat" if i < 4 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return root
