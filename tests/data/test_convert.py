import numpy as np
import pytest

from tfgans.data.convert import crop_resize, to_float
from tfgans.data.source import DataError


def ramp(height, width, channels=3, dtype="uint8", step=8):
    """Rows count up in channel 0, columns in channel 1."""
    image = np.zeros([height, width, channels])
    image[..., 0] = np.arange(height)[:, None] * step
    if channels > 1:
        image[..., 1] = np.arange(width) * step
    return image.astype(dtype)


def test_crops_the_middle():
    image = ramp(12, 20)
    np.testing.assert_array_equal(crop_resize(image, 12, 12), image[:, 4:16])
    np.testing.assert_array_equal(crop_resize(image, 12, 20), image)
    np.testing.assert_array_equal(crop_resize(ramp(9, 6), 6, 6), ramp(9, 6)[1:7])
    wide = crop_resize(ramp(12, 20), 3, 10)  # 6 x 20 of it, halved: means of 2 x 2
    assert wide.shape == (3, 10, 3)
    np.testing.assert_allclose(
        wide[1, 1:-1, 1], ramp(12, 20)[0, 2:-2, 1].reshape(-1, 2).mean(1), atol=1
    )
    np.testing.assert_allclose(wide[1, :, 0], 5.5 * 8, atol=1)  # rows 3 .. 8, the middle two


@pytest.mark.parametrize(
    ("dtype", "channels", "step"),
    [
        ("uint8", 1, 8),
        ("uint8", 2, 8),
        ("uint8", 3, 8),
        ("uint8", 4, 8),
        ("uint8", 6, 8),
        ("uint16", 3, 2000),
        ("float32", 1, 0.03),
        ("float32", 5, 0.03),
    ],
)
def test_resizes_every_type_alike(dtype, channels, step):
    image = ramp(16, 16, channels, dtype, step)
    image[..., -1:] = image[..., :1] if channels not in (2, 4) else 255  # the last is not alpha
    small = crop_resize(image, 8, 8)
    assert small.dtype == dtype and small.shape == (8, 8, channels)
    rows = small[1:-1, 4, 0].astype("float64") / step
    np.testing.assert_allclose(rows, np.arange(1, 7) * 2 + 0.5, atol=0.51 / min(step, 8))


def test_enlarging_stays_in_range():
    image = np.zeros([8, 8, 1], "float32")
    image[4:] = 0.25
    large = crop_resize(image, 33, 33)
    assert large.min() == 0 and large.max() == np.float32(0.25)  # Lanczos alone overshoots


def test_shrinking_does_not_alias():
    stripes = np.zeros([64, 64, 1], "uint8")
    stripes[::2] = 255
    assert np.ptp(crop_resize(stripes, 8, 8)[1:-1].astype(int)) <= 4


def test_sixteen_bits_keep_their_precision():
    image = np.full([8, 8, 1], 30001, "uint16")
    assert (crop_resize(image, 4, 4) == 30001).all()
    values = to_float(np.array([[[0], [30001], [65535]]], "uint16"), (0, 65535), 1)
    np.testing.assert_allclose(values.ravel(), [-1, 30001 / 32767.5 - 1, 1], atol=1e-7)


def test_values_reach_both_ends():
    every = np.arange(256, dtype="uint8").reshape(16, 16, 1)
    values = to_float(every, (0, 255), 1)
    assert values.dtype == np.float32 and values.min() == -1 and values.max() == 1
    assert (np.rint((values + 1) * 127.5) == every).all()
    np.testing.assert_allclose(to_float(np.array([[[2.0], [6.0]]]), (2, 6), 1).ravel(), [-1, 1])


RED = [255, 0, 0]
LUMA_OF_RED = 2 * 0.299 - 1


@pytest.mark.parametrize(
    ("pixel", "wanted"),
    [
        ([51], [-0.6, -0.6, -0.6]),
        ([51], [-0.6, 1]),
        ([51], [-0.6, -0.6, -0.6, 1]),
        (RED, [LUMA_OF_RED]),
        (RED, [1, -1, -1, 1]),
        (RED, [LUMA_OF_RED, 1]),
        ([0, 0], [1]),  # wholly transparent: the white behind it
        ([0, 255], [-1, -1, -1]),
        ([0, 51], [-1, -1, -1, -0.6]),
        ([255, 0, 0, 255], [1, -1, -1]),
        ([255, 0, 0, 51], [1, 0.6, 0.6]),  # a fifth red, four fifths white
        ([255, 0, 0, 51], [LUMA_OF_RED, -0.6]),
        ([255, 255, 255], [1]),
    ],
)
def test_channels(pixel, wanted):
    image = np.tile(np.array(pixel, "uint8"), [2, 3, 4, 1])  # [batch, h, w, c]
    values = to_float(image, (0, 255), len(wanted))
    assert values.shape == (2, 3, 4, len(wanted)) and np.abs(values).max() <= 1
    np.testing.assert_allclose(values[1, 2, 3], wanted, atol=1e-6)


def test_channels_that_cannot_be_converted():
    with pytest.raises(DataError, match="5 channels and the model wants 3.*model.image_shape to 5"):
        to_float(np.zeros([4, 4, 5], "uint8"), (0, 255), 3)
    assert to_float(np.zeros([4, 4, 5], "uint8"), (0, 255), 5).shape == (4, 4, 5)
