"""Label maps as networks take them: class numbers that exist."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.ops.checking import reason
from tfgans.ops.label_maps import semantics


@pytest.mark.parametrize("number", [-1, 4, 255])
def test_a_class_number_that_no_class_has_is_refused(number):
    """One-hot vectors of it would be 0, silently."""
    labels = np.zeros([2, 4, 4], "int32")
    assert semantics(tf.constant(labels), None, 4).shape == (2, 4, 4, 4)
    labels[1, 2, 3] = number
    span = f"{min(number, 0)} {max(number, 0)}"
    wanted = f"Label maps hold class numbers from 0 to 3; the least and greatest are {span}."
    with pytest.raises(BadInput) as error:
        semantics(tf.constant(labels), None, 4)
    assert str(error.value) == wanted
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.function(lambda x: semantics(x, None, 4))(tf.constant(labels))
    assert reason(error.value) == wanted
