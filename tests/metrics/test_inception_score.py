import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.metrics import inception_score


def one_hot_logits(smoothing, repeat=10):
    """Ten balanced classes, each label mixed with the uniform one."""
    p = (1 - smoothing) * np.eye(10) + smoothing / 10
    with np.errstate(divide="ignore"):
        return np.log(np.tile(p, [repeat, 1]))


@pytest.mark.parametrize("smoothing, expected", [(1e-12, 10.0), (0.1, 6.0636), (0.5, 1.8695)])
def test_closed_form_of_smoothed_labels(smoothing, expected):
    score, deviation = inception_score(one_hot_logits(smoothing), splits=1)
    assert score == pytest.approx(expected, abs=5e-5) and deviation == 0


def test_certain_labels_give_the_number_of_classes():
    assert inception_score(one_hot_logits(0.0), splits=1)[0] == pytest.approx(10, abs=1e-9)
    far = 1000.0 * np.eye(10)  # probabilities that underflow
    assert inception_score(far, splits=1)[0] == pytest.approx(10, abs=1e-9)


def test_equal_images_give_1():
    assert inception_score(np.tile([[3.0, 1.0, 2.0]], [40, 1]))[0] == pytest.approx(1, abs=1e-12)


def test_tensorflow_gan(tfgan):
    evaluation = tfgan("evaluation")
    score, _ = inception_score(tf.constant(3 * evaluation["a"]), splits=1)
    assert score == pytest.approx(evaluation["classifier_score"], rel=1e-5)
    assert score == pytest.approx(2.0322597, rel=1e-6)


def test_splits_are_consecutive_and_lower_the_score(rng):
    logits = 3 * rng.normal(size=[1000, 10])
    whole, split, fine = (inception_score(logits, splits=n)[0] for n in (1, 10, 100))
    assert whole > split > fine
    scores = [inception_score(part, splits=1)[0] for part in np.split(logits, 10)]
    mean, deviation = inception_score(logits, splits=10)
    assert mean == pytest.approx(np.mean(scores))
    assert deviation == pytest.approx(np.std(scores))  # population deviation, ddof 0


def test_fewer_images_than_splits_are_refused():
    with pytest.raises(BadInput, match=r"at least 10, not \(4, 3\)"):
        inception_score(np.zeros([4, 3]))


@pytest.mark.parametrize("bad", [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_logits_of_no_distribution_are_refused(bad):
    with pytest.raises(BadInput, match="logits hold NaN or infinite values"):
        inception_score(np.array([[1.0, 0.0], bad]), splits=1)
