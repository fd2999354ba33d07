"""Random numbers as functions of (seed, step, replica, draw number)."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random


def draws(seed=0, step=0, replica=0, count=2):
    with random.scope(seed, step, replica):
        return np.array([random.normal([1000]) for _ in range(count)])


def test_each_of_the_four_numbers_matters_and_nothing_else():
    first = draws()
    np.testing.assert_array_equal(first, draws())
    for other in (draws(seed=1), draws(step=1), draws(replica=1), first[::-1]):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.1
    assert abs(first.mean()) < 0.1 and first.std() == pytest.approx(1, abs=0.1)


def test_neighboring_scopes_share_no_key():
    keys = set()
    for seed in (0, 1, 2**39):
        for step in (0, 1, 2, 2**31):
            for replica in (0, 1, 7):
                with random.scope(seed, step, replica):
                    keys |= {tuple(random._next_key().numpy()) for _ in range(3)}
    assert len(keys) == 3 * 4 * 3 * 3


def test_a_graph_draws_what_eager_code_draws():
    @tf.function
    def graph(step):
        with random.scope(3, step):
            return random.uniform([5], 2, 9, "int32"), random.normal([2, 3])

    for step in (0, 5):
        with random.scope(3, step):
            eager = random.uniform([5], 2, 9, "int32"), random.normal([2, 3])
        for a, b in zip(graph(tf.constant(step, "int64")), eager, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_first_rows_do_not_depend_on_the_number_of_rows():
    with random.scope(0):
        many = random.normal([64, 5]).numpy()
    with random.scope(0):
        few = random.normal([3, 5]).numpy()
    np.testing.assert_array_equal(many[:3], few)


def test_scopes_nest_and_end():
    with random.scope(0):
        random.normal([1])
        inner = draws(seed=5)
        with random.scope(5):
            np.testing.assert_array_equal(random.normal([1000]), inner[0])
        second = random.normal([1000])
    np.testing.assert_array_equal(second, draws()[1])
    with pytest.raises(RuntimeError, match="with tfgans.random.scope"):
        random.normal([1])


def test_parts_draw_the_parts_of_the_whole():
    with random.scope(5, 2):
        random.normal([1])
        whole = random.normal([6, 3]), random.uniform([]), random.uniform([6], 0, 9, "int32")
        after = random.normal([2])
    with random.scope(5, 2):
        random.normal([1])
        parts = []
        for k in random.parts(3):
            assert len(parts) == k
            integers = {"minval": 0, "maxval": 9, "dtype": "int32"}
            drawn = random.normal([2, 3]), random.uniform([]), random.uniform([2], **integers)
            parts.append(drawn)
        np.testing.assert_array_equal(random.normal([2]), after)
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    assert {float(part[1]) for part in parts} == {float(whole[1])}  # not of the batch: one for all
    np.testing.assert_array_equal(np.concatenate([part[2] for part in parts]), whole[2])
