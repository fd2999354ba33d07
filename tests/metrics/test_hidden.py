"""Hidden details: a generator that writes its input into the lowest digits is found out."""

import numpy as np
import pytest

from tfgans.errors import BadInput
from tfgans.metrics import hidden


def pictures(n=4, channels=3):
    keys = np.random.RandomState(0)
    low = keys.uniform(-0.8, 0.8, [n, 4, 4, channels])
    return low.repeat(4, axis=1).repeat(4, axis=2).astype("float32")


STEP = 0.01


class Steganographer:
    """A gray picture for all inputs; their values are in its lowest digits, for the way back."""

    def directions(self):
        return {"a_to_b": ({"a": None}, self.there), "b_to_a": ({"b": None}, self.back)}

    def there(self, x):
        return 0.5 + STEP * x

    def back(self, x):
        return (x - 0.5) / STEP

    def translate(self, x, direction, seed):
        return self.directions()[direction][1](x)


class Honest(Steganographer):
    def there(self, x):
        return -x

    back = there


@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_details_do_not_survive_a_disturbance(channels):
    source = pictures(channels=channels)
    found, table = hidden.of_model(Steganographer(), source)
    assert found["nothing"] < 1e-4 < 0.5 < found["noise"] and found["jpeg"] > 0.1
    assert table.shape == (4, 5, 16, 16, channels)
    open_book, _ = hidden.of_model(Honest(), source)
    assert open_book["nothing"] < 1e-6
    assert open_book["noise"] == pytest.approx(np.sqrt(2 / np.pi) * 5 / 255, rel=0.1)
    assert open_book["jpeg"] < 0.1


def test_the_direction_is_the_one_that_is_asked_for():
    class OneWay(Honest):
        def there(self, x):
            return 0.5 * x

    found, table = hidden.of_model(OneWay(), pictures(), "b_to_a")
    np.testing.assert_array_equal(table[:, 1], -table[:, 0])
    np.testing.assert_array_equal(table[:, 2], -0.5 * table[:, 0])
    assert found["nothing"] == pytest.approx(0.75 * np.mean(np.abs(pictures())), rel=1e-5)


def test_models_without_a_way_back_are_refused():
    class Enlarging(Honest):
        def directions(self):
            return {name: ({"input": None}, self.there) for name in ("enlarge", "other")}

    class Masked(Honest):
        def directions(self):
            return {
                f"{a}_to_{b}": ({a: None, f"{a}_masks": None}, self.there) for a, b in ("ab", "ba")
            }

    for model in (Enlarging(), Masked(), object()):
        with pytest.raises(BadInput, match="has no way back: .*, in two directions"):
            hidden.of_model(model, pictures())
    with pytest.raises(BadInput, match="gray or RGB images, not 4 channels"):
        hidden.of_model(Honest(), pictures(channels=4))
