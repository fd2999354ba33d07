import numpy as np
import pytest
import tensorflow as tf

from tfgans.metrics import kernel_distance, kid
from tfgans.metrics.kid import kid_of_blocks


def test_two_gaussians_in_closed_form(rng):
    """3M/d + 3M^2/d^2 + (M^3 + 6M^2 + 3Md + 6M)/d^3 = 0.373 for d = 10, M = |mu|^2 = 1."""
    d, shift = 10, np.eye(10)[0]
    values = [
        kernel_distance(rng.normal(size=[500, d]), rng.normal(size=[500, d]) + shift)
        for _ in range(60)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert error < 0.01
    assert abs(np.mean(values) - 0.373) < 3 * error


def test_no_bias_whatever_the_number_of_images(rng):
    """Equal distributions have mean 0; with the diagonal it would be 0.319 for 50 images."""
    values = np.array([kernel_distance(*rng.normal(size=[2, 50, 10])) for _ in range(2000)])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 3 * error and error < 0.005
    assert 0.45 < (values < 0).mean() < 0.62


def test_tensorflow_gan(tfgan):
    evaluation = tfgan("evaluation")
    a, b = tf.constant(evaluation["a"]), tf.constant(evaluation["b"])
    assert kernel_distance(a, b) == pytest.approx(evaluation["kernel"], rel=1e-5)
    value, error = kid_of_blocks(a, b)
    assert value == pytest.approx(0.5525166, rel=1e-5) and np.isnan(error)
    value, error = kid_of_blocks(a, b, max_block_size=16)
    assert value == pytest.approx(evaluation["kernel_blocks_16"], rel=1e-5)
    assert error == pytest.approx(evaluation["kernel_blocks_16_std"], rel=1e-5)


def test_subsets_agree_with_all_pairs(rng):
    real, fake = rng.normal(size=[300, 8]), 1.5 * rng.normal(size=[400, 8])
    mean, deviation = kid(real, fake, subsets=200, subset_size=100, seed=3)
    assert mean == pytest.approx(kernel_distance(real, fake), abs=3 * deviation / np.sqrt(200))
    assert (mean, deviation) == kid(real, fake, subsets=200, subset_size=100, seed=3)
    same, _ = kid(real, fake[:300], subsets=3)  # subsets as large as the sets
    assert same == pytest.approx(kernel_distance(real, fake[:300]), rel=1e-12)
