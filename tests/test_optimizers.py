"""The optimizer and the schedule that papers share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans.optimizers import Adam, HoldThenDecay, InTurn, InverseDecay, RisingMomentumSGD

STEPS = (0, 100, 150, 200, 1000)


@pytest.mark.parametrize(
    "settings, rates",
    [
        ({"hold_steps": 100, "decay_steps": 100}, [1, 1, 0.5, 0, 0]),
        ({"hold_steps": 0, "decay_steps": 200}, [1, 0.5, 0.25, 0, 0]),
        ({"hold_steps": 100, "decay_steps": 100, "final": 0.2}, [1, 1, 0.6, 0.2, 0.2]),
        (
            {"hold_steps": 100, "decay_steps": 100, "final": 0.01, "exponential": True},
            [1, 1, 0.1, 0.01, 0.01],
        ),
    ],
)
def test_hold_then_decay(settings, rates):
    schedule = HoldThenDecay(3.0, **settings)
    again = HoldThenDecay.from_config(schedule.get_config())
    for one in (schedule, again):
        np.testing.assert_allclose([one(t) / 3 for t in STEPS], rates, rtol=1e-6, atol=1e-12)


def test_epsilon_is_the_papers_and_a_saved_one_stays():
    assert Adam(1e-3).epsilon == 1e-8
    assert Adam.from_config(Adam(1e-3, epsilon=1e-4).get_config()).epsilon == 1e-4


def test_inverse_decay():
    """0.01 / (1 + 10 p)^0.75: 0.0026085 half way, 0.0016556 at the end."""
    schedule = InverseDecay(0.01, 8600, factor=10.0, power=0.75)
    again = InverseDecay.from_config(schedule.get_config())
    for step, rate in ((0, 0.01), (4300, 0.0026085), (8600, 0.0016556)):
        assert float(schedule(step)) == pytest.approx(rate, abs=1e-7)
        assert float(again(step)) == float(schedule(step))


def test_schedules_in_turn():
    """The second one begins at its own step 0, after 10 updates of the first."""
    schedule = InTurn(HoldThenDecay(1.0, 5, 5), 10, HoldThenDecay(2.0, 2, 2))
    for found in (schedule, InTurn.from_config(schedule.get_config())):
        rates = [float(found(step)) for step in (0, 5, 9, 10, 12, 13, 14, 30)]
        np.testing.assert_allclose(rates, [1, 1, 0.2, 2, 2, 1, 0, 0], atol=1e-6)


def test_momentum_rises_from_nothing():
    """0, 0.35, 0.7: velocities -0.2, -0.27, -0.389."""
    w, optimizer = keras.Variable([1.0]), RisingMomentumSGD(0.1, 0.0, 0.7, rise_steps=2)
    for wanted in (0.8, 0.53, 0.141):
        optimizer.apply([tf.constant([2.0])], [w])
        assert float(w.numpy()[0]) == pytest.approx(wanted, abs=1e-6)
    assert len(optimizer.momentums) == 1
