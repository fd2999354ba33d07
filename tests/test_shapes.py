"""How often networks halve images, and what the refusal of other sizes says."""

import re

import pytest

from tfgans.errors import BadInput
from tfgans.shapes import halved, halvings


@pytest.mark.parametrize(
    "image_shape, least, times, grid",
    [
        ((1024, 1024, 3), 4, 8, (4, 4)),
        ((28, 28, 1), 4, 2, (7, 7)),
        ((256, 384, 4), 4, 6, (4, 6)),
        ((96, 64, 3), 4, 4, (6, 4)),
        ((8, 40, 2), 4, 1, (4, 20)),
        ((7, 5, 1), 4, 0, (7, 5)),
        ((64, 64, 3), 8, 3, (8, 8)),
        ((60, 120, 3), 8, 2, (15, 30)),
    ],
)
def test_the_shorter_side_ends_between_least_and_twice_that(image_shape, least, times, grid):
    assert halvings(image_shape, least) == times
    assert halved(image_shape, times) == grid


@pytest.mark.parametrize(
    "image_shape, least, wanted, nearest",
    [
        ((250, 250, 3), 4, "multiples of 32, not 250x250", "256x256.*=[256, 256, 3]"),
        ((218, 178, 3), 4, "multiples of 32, not 218x178", "224x192"),
        ((127, 210, 3), 4, "multiples of 16, not 127x210", "128x224"),  # 128 is halved once more
        ((3, 8, 1), 4, "at least 4 pixels, not 3x8", "4x8"),
        ((33, 33, 1), 8, "multiples of 4, not 33x33", "32x32"),
    ],
)
def test_a_refusal_says_what_was_wanted_and_the_nearest_size(image_shape, least, wanted, nearest):
    with pytest.raises(BadInput, match=wanted) as error:
        halvings(image_shape, least)
    assert re.search(f"nearest size is {nearest}".replace("[", r"\["), str(error.value))


def test_a_given_number_of_halvings():
    assert halved((48, 24, 3), 3) == (6, 3)
    with pytest.raises(BadInput, match="multiples of 16, not 48x24.* is 48x32:"):
        halved((48, 24, 3), 4)
    with pytest.raises(BadInput, match="at least 32 pixels, not 48x24.* is 48x32:"):
        halved((48, 24, 3), 2, least=8)
    with pytest.raises(BadInput, match="at least 8 pixels, not 4x4.* 1 times.* is 8x8:"):
        halvings((4, 4, 1), fewest=1)


@pytest.mark.parametrize("least, fewest", [(4, 0), (4, 1), (8, 0)])
def test_every_size_that_a_refusal_names_is_possible(least, fewest):
    refused = 0
    for rows in range(1, 70):
        for columns in range(1, 140, 3):
            try:
                times = halvings((rows, columns, 3), least, fewest)
                assert least <= min(rows, columns) >> times
            except BadInput as error:
                near = re.search(r"image_shape=\[(\d+), (\d+), 3\]", str(error)).groups()
                halvings((*map(int, near), 3), least, fewest)
                refused += 1
    assert refused > 1000
