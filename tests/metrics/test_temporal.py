"""The temporal error: 0 for what moves along, closed forms for what flickers."""

import numpy as np
import pytest

from tfgans.data.motion import SyntheticSquares
from tfgans.metrics.temporal import temporal_error

KEYS = np.random.RandomState(0)


def test_a_frozen_output_on_a_static_scene():
    given = np.repeat(KEYS.uniform(-1, 1, [1, 8, 10, 3]), 4, axis=0)
    made, flow = np.repeat(KEYS.uniform(-1, 1, [1, 8, 10, 2]), 4, axis=0), np.zeros([4, 8, 10, 2])
    assert temporal_error(made, given, flow) == 0.0
    sign = np.array([0, 1, 0, 1])[:, None, None, None]
    assert temporal_error(made + 0.2 * sign, given, flow) == pytest.approx(0.2, rel=1e-5)
    assert temporal_error(made[:3] + [[[[0.0]]], [[[0.2]]], [[[0.3]]]], given[:3], flow[:3]) == (
        pytest.approx(0.15, rel=1e-5)
    )


def test_pixels_that_changed_do_not_count():
    """Half of the pixels change in the given film: the mean is over all of them."""
    given = np.zeros([2, 4, 6, 3])
    given[1, :, :3] = 0.5
    made = np.stack([np.zeros([4, 6, 3]), np.ones([4, 6, 3])])
    assert temporal_error(made, given, np.zeros([2, 4, 6, 2])) == pytest.approx(0.5)


def test_an_output_that_follows_the_motion():
    """A film as its own output has no error along its flow, and one without it."""
    film = SyntheticSquares((32, 32), 6, first=3).read(0, np.arange(6))
    video = film["video"] / 127.5 - 1.0
    along = temporal_error(-video, video, film["flow"])
    assert along < 0.005
    flicker = video + 0.3 * KEYS.choice([-1, 1], [6, 1, 1, 1])
    assert temporal_error(flicker, video, film["flow"]) > 20 * along
    assert temporal_error(video, video, -film["flow"]) < 0.02  # errors are masked
