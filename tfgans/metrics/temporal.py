"""The temporal error of a film that follows another: it flickers where the given one stands still.

Shared by systems of films (Chen et al., ICCV 2017; Wang et al., NeurIPS 2018). It follows the
motion of the given film, so it needs a flow; `films.TemporalError` is the measure without one.
"""

import numpy as np
import tensorflow as tf

from tfgans.ops.warp import confidence, masked_l1, warp


def temporal_error(made, given, flow) -> float:
    """Mean over frames of the masked distance of a frame to the one before it, warped.

    The mask is 1 where the warped frame before is like the frame in the given film. The error of an
    output that stands still where the given film does is 0.

    Args:
        made: Frames [T, H, W, C] in [-1, 1], T at least 2.
        given: Frames [T, H, W, C] in [-1, 1] that they follow.
        flow: [T, H, W, 2], from each given frame to the one before it; that of the first is not
            used.
    """
    made, given, flow = (tf.convert_to_tensor(x, "float32") for x in (made, given, flow))
    errors = []
    for t in range(1, len(made)):
        now, before = slice(t, t + 1), slice(t - 1, t)
        mask = confidence(given[now], given[before], flow[now])
        errors.append(masked_l1(mask, made[now], warp(made[before], flow[now])))
    return float(np.mean(errors))
