import numpy as np
import pytest

from tfgans.errors import BadInput
from tfgans.metrics import intra_fid, prd, prd_summary
from tfgans.metrics.fid import fid
from tfgans.metrics.prd import f_score, prd_of_histograms


def test_histograms_by_hand():
    p = np.full(4, 0.25)
    precision, recall = prd_of_histograms(p, p)
    assert precision[500] == pytest.approx(1) and recall[500] == pytest.approx(1)  # slope 1
    precision, recall = prd_of_histograms(np.array([1.0, 0]), np.array([0, 1.0]))
    assert precision.max() == 0 and recall.max() == 0
    precision, recall = prd_of_histograms(p, np.array([0.5, 0.5, 0, 0]))  # half is missing
    assert precision.max() == pytest.approx(1) and recall.max() == pytest.approx(0.5)


def test_a_generator_that_makes_one_of_two_modes(rng):
    modes = np.array([[-20.0, 0, 0], [20.0, 0, 0]])
    real = modes[np.arange(400) % 2] + rng.normal(size=[400, 3])
    fake = modes[0] + rng.normal(size=[300, 3])
    precision, recall = prd(real, fake, clusters=2, runs=2)
    assert precision.max() == pytest.approx(1) and recall.max() == pytest.approx(0.5)
    f8, f1_8 = prd_summary(precision, recall)
    assert f8 == pytest.approx(65 * 0.5 / (64 + 0.5), abs=1e-3)
    assert f1_8 == pytest.approx(0.9848, abs=1e-3)


def test_f_scores():
    for beta, expected in ((1, 0.6667), (8, 0.5039), (1 / 8, 0.9848)):
        assert f_score(1, 0.5, beta) == pytest.approx(expected, abs=5e-5)
    assert f_score(0, 0) == 0


def with_moments(rng, mean, deviation, n=50, d=8):
    """n rows whose mean and covariance are exactly mean and deviation^2 times the identity."""
    x = rng.normal(size=[n, d])
    x -= x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    return mean + deviation * (x @ vectors / np.sqrt(values))


def test_intra_fid_sees_exchanged_labels_and_fid_does_not(rng):
    labels = np.repeat([0, 1], 50)
    real = np.concatenate([with_moments(rng, 0, 1), with_moments(rng, 20, 1)])
    fake = np.concatenate([with_moments(rng, 0.5, 2), with_moments(rng, 20, 1)])
    assert intra_fid(real, labels, fake, labels) == pytest.approx(5, rel=1e-9)  # 10 and 0
    assert intra_fid(real, labels, fake, 1 - labels) > 1000
    assert abs(fid(real, fake) - 5) > 1


def test_fewer_images_than_clusters_are_refused(rng):
    real, fake = rng.normal(size=[2, 6, 3])
    with pytest.raises(BadInput, match="6 real and 6 generated images cannot fill 20 clusters"):
        prd(real, fake)
    prd(real, fake, clusters=12, runs=1)
