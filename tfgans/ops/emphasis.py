"""Pre-emphasis of waves, a filter that raises high tones, and its inverse.

    y[0] = x[0],  y[n] = x[n] - a x[n - 1]          pre-emphasis
    x[0] = y[0],  x[n] = y[n] + a x[n - 1]          de-emphasis

Both work along axis 1 of [N, T, ...], and take the sample before the first one where a wave comes
in parts.
"""

import math

import tensorflow as tf


def preemphasis(wave, a, before=None):
    """Subtracts a times the sample before.

    Args:
        wave: [N, T, ...].
        a: Number, 0.95 for speech.
        before: The sample before each wave, [N, ...]; without it there is none.
    """
    if before is None:
        before = tf.zeros_like(wave[:, 0])
    return wave - a * tf.concat([before[:, tf.newaxis], wave[:, :-1]], axis=1)


def deemphasis(wave, a, before=None):
    """The inverse of `preemphasis`: the recursion x[n] = y[n] + a x[n - 1], in float64.

    The recursion is a filter with the answer 1, a, a^2, ... to a pulse, and that is a product of
    short ones: 1 / (1 - a B) = (1 + a B) (1 + a^2 B^2) (1 + a^4 B^4) ..., with B for a delay of one
    sample. So the samples need not wait for each other.

    Args:
        wave: [N, T, ...].
        a: Number in (-1, 1).
        before: The result's sample before each wave, [N, ...]; without it there is none.

    Returns:
        As `wave`.
    """
    x = tf.cast(wave, "float64")
    if before is not None:
        first = x[:, :1] + a * tf.cast(before, "float64")[:, tf.newaxis]
        x = tf.concat([first, x[:, 1:]], axis=1)
    length, delay = tf.shape(x)[1], 1
    while abs(a) ** delay > 1e-17:  # else it changes no digit
        pad = [[0, 0], [tf.minimum(delay, length), 0]] + [[0, 0]] * (x.shape.rank - 2)
        x += math.pow(a, delay) * tf.pad(x, pad)[:, :length]
        delay *= 2
    return tf.cast(x, wave.dtype)
