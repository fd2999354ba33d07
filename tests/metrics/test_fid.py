import numpy as np
import pytest
import tensorflow as tf
from scipy import linalg, stats

from tfgans.errors import BadInput
from tfgans.metrics import Moments, fid, fid_of_moments, frechet_distance
from tfgans.metrics.fid import diagonal_fid, mean_only_fid, trace_of_root


def test_two_gaussians_of_the_paper_by_hand():
    eye = np.eye(8)
    assert frechet_distance(np.zeros(8), eye, np.full(8, 0.5), 4 * eye) == pytest.approx(10)


@pytest.mark.parametrize("d", [64, pytest.param(2048, marks=pytest.mark.slow)])
def test_closed_form_of_covariances_with_common_axes(d, rng):
    """sum (sqrt a - sqrt b)^2 + |m1 - m2|^2, after one random reflection."""
    a, b = rng.uniform(0.01, 4, [2, d])
    axis = rng.normal(size=d)
    axis /= np.linalg.norm(axis)

    def turned(values):  # H diag(values) H, H = 1 - 2 axis axis^T
        half = np.diag(values) - 2 * np.outer(axis, axis * values)
        return half - 2 * np.outer(half @ axis, axis)

    m1, m2 = rng.normal(size=[2, d])
    expected = np.square(m1 - m2).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet_distance(m1, turned(a), m2, turned(b)) == pytest.approx(expected, rel=1e-9)


def test_root_of_singular_covariances_with_common_axes(rng):
    """Each covariance has other empty axes; the eigendecomposition is known exactly."""
    a, b = rng.uniform(0.1, 4, [2, 64])
    a[:32] = 0
    b[16:48] = 0
    rotation = stats.ortho_group.rvs(64, random_state=1)
    first, second = ((rotation * values) @ rotation.T for values in (a, b))
    assert trace_of_root(first, second) == pytest.approx(np.sqrt(a * b).sum(), rel=1e-7)
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    zero = np.zeros(64)
    assert frechet_distance(zero, first, zero, second) == pytest.approx(expected, rel=1e-7)


def test_root_of_any_two_covariances(rng):
    """Compares with the eigenvalues of the product, which is not symmetric, and SciPy's root."""
    first, second = (x.T @ x for x in rng.normal(size=[2, 40, 30]))
    eigenvalues = linalg.eigvals(first @ second)
    assert trace_of_root(first, second) == pytest.approx(np.sqrt(eigenvalues).sum().real, rel=1e-9)
    root = linalg.sqrtm(first @ second)
    assert trace_of_root(first, second) == pytest.approx(np.trace(root).real, rel=1e-9)


def test_tensorflow_gan(tfgan):
    evaluation = tfgan("evaluation")
    a, b = tf.constant(evaluation["a"]), tf.constant(evaluation["b"])
    assert fid(a, b) == pytest.approx(evaluation["frechet"], rel=1e-5)
    assert fid(a, b) == pytest.approx(2.0758731, rel=1e-6)
    assert fid(a, b, ddof=0) == pytest.approx(2.0301406, rel=1e-6)
    assert mean_only_fid(a, b) == pytest.approx(evaluation["frechet_mean_only"], rel=1e-5)
    assert diagonal_fid(a, b) == pytest.approx(evaluation["frechet_diagonal_only"], rel=1e-5)
    assert fid(a[:4], b[:4]) == pytest.approx(evaluation["frechet_few"], rel=1e-4)


def test_bias_of_equal_distributions(rng):
    """The bias is (d^2 + 5 d) / (2 N) = 0.168."""
    values = [fid(*rng.normal(size=[2, 1000, 16])) for _ in range(20)]
    assert np.mean(values) == pytest.approx(0.168, abs=0.02)


def test_rotating_both_sets_changes_nothing_and_identical_sets_have_no_distance(rng):
    real, fake = rng.normal(size=[2, 200, 16]) * rng.uniform(0.1, 3, 16)
    rotation = stats.ortho_group.rvs(16, random_state=0)
    assert fid(real @ rotation, fake @ rotation) == pytest.approx(fid(real, fake), abs=1e-9)
    assert abs(fid(real, real)) < 1e-9


def test_fewer_images_than_features(rng):
    few = rng.normal(size=[20, 64])
    assert abs(fid(few, few)) < 1e-9
    assert abs(fid(few, few + 0.5) - 64 * 0.25) < 1e-9
    constant = np.ones([20, 64])
    spread = np.var(few, axis=0, ddof=1).sum()
    expected = np.square(few.mean(axis=0) - 1).sum() + spread
    assert fid(few, constant) == pytest.approx(expected, rel=1e-12)


def test_moments_in_batches_are_those_of_all(rng):
    features = 1e6 + rng.normal(size=[40, 6])  # a mean that would cost digits
    moments = Moments()
    for begin in range(0, 40, 7):
        moments.add(features[begin : begin + 7])
    np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(moments.covariance(), np.cov(features.T), rtol=1e-8)
    other = rng.normal(size=[50, 6])
    in_batches = fid_of_moments(moments, Moments().add(other))
    assert in_batches == pytest.approx(fid(features, other), rel=1e-12)


def test_bad_features_are_refused(rng):
    with pytest.raises(BadInput, match="3 and 2 features"):
        fid(np.zeros([4, 3]), np.zeros([4, 2]))
    with pytest.raises(BadInput, match="NaN or infinite"):
        fid(np.full([4, 3], np.nan), np.zeros([4, 3]))
    with pytest.raises(BadInput, match=r"\(4, 3, 1\)"):
        fid(np.zeros([4, 3, 1]), np.zeros([4, 3, 1]))
    with pytest.raises(BadInput, match="1 images are too few"):
        Moments().add(np.zeros([1, 3])).covariance()
