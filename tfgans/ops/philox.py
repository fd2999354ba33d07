"""TensorFlow's stateless random numbers in arithmetic that each run time has.

Equals: `tf.random.stateless_normal` and `tf.random.stateless_uniform` on a CPU, for the same seed;
uniform ones bit for bit. ONNX and TFLite have no such operations, so files for them hold this form
(`random.py`). XLA has the generator, but makes other numbers of its words, so what it compiles as a
whole takes the words alone from it.

The generator is Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011). A word of 32 bits is two halves here, upper and lower, each an int64 in [0, 2^16): run times
differ in their rests of negative numbers, and TFLite has no quotients of int64.
"""

import math

import tensorflow as tf

from tfgans.ops.machine import is_whole

ROUNDS = 10
HALF = 2**16
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # the key grows by it in each round
MIXING = 0x3EC8F720, 0x02461E29  # the key by which TensorFlow makes key and counter of a seed
LEAST = 1e-7  # of the number whose logarithm is taken


def stateless_normal(shape, seed, dtype="float32"):
    """Normal numbers, as `tf.random.stateless_normal`: Box and Muller's two of two uniform ones."""
    pairs = tf.reshape(_fractions(seed, shape), [-1, 2])
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(pairs[:, 0], LEAST)))
    angle = 2.0 * math.pi * pairs[:, 1]
    made = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=1)
    return tf.cast(_cut(made, shape), dtype)


def stateless_uniform(shape, seed, minval, maxval, dtype="float32"):
    """Uniform numbers, as `tf.random.stateless_uniform`; int32 in a range of at most 2^15."""
    if tf.as_dtype(dtype).is_integer:
        size = tf.cast(maxval - minval, "int64")
        upper, lower = _words(seed, shape)
        rest = (upper % size * (HALF % size) + lower) % size
        return _cut(tf.cast(rest, "int32") + minval, shape)
    minval, maxval = tf.cast(minval, "float32"), tf.cast(maxval, "float32")
    return tf.cast(_cut(_fractions(seed, shape) * (maxval - minval) + minval, shape), dtype)


def _cut(numbers, shape):
    return tf.reshape(tf.reshape(numbers, [-1])[: tf.reduce_prod(shape)], shape)


def _fractions(seed, shape):
    """Float32 in [0, 1), of the lower 23 bits of words."""
    upper, lower = _words(seed, shape)
    return tf.cast(upper % 2**7 * HALF + lower, "float32") * 2.0**-23


def _words(seed, shape):
    """Words for all numbers of a shape and up to three more, as halves; `seed` is [2] int64."""
    if is_whole():
        count = (tf.reduce_prod(shape) + 3) // 4 * 4
        words = tf.random.stateless_uniform([count], seed, None, None, "uint32", alg="philox")
        return _carry(tf.cast(words, "int64"))
    seed = tf.cast(seed, "int64")[:, None]
    low, high = _split(_modulo(seed, HALF**2)), _split(_upper_word(seed))
    even, odd = _philox(low, high, tf.constant(MIXING, "int64")[:, None])
    key = HALF * tf.stack([even[0, 0], odd[0, 0]]) + tf.stack([even[1, 0], odd[1, 0]])
    blocks = tf.range((tf.reduce_prod(shape) + 3) // 4)
    block = _split(tf.cast(blocks, "int64")[None])
    even = tf.concat([block, tf.zeros_like(block) + even[:, 1:]], axis=1)
    odd = tf.concat([tf.zeros_like(block), tf.zeros_like(block) + odd[:, 1:]], axis=1)
    made = tf.stack(_philox(even, odd, key), axis=2)  # [2 halves, 2, even or odd, blocks]
    made = tf.transpose(tf.reshape(made, [2, 4, -1]), [0, 2, 1])
    return made[0], made[1]


def _philox(even, odd, key):
    """Random words for words of a counter: the first and third of four, the second and fourth.

    Args:
        even, odd: [2 halves, 2 words, n] int64.
        key: Two words, [2, 1] int64.
    """
    factor_upper = tf.constant([[factor // HALF] for factor in MULTIPLIERS], "int64")
    factor_lower = tf.constant([[factor % HALF] for factor in MULTIPLIERS], "int64")
    steps = tf.range(ROUNDS, dtype="int64")[:, None, None] * tf.constant(WEYL, "int64")[:, None]
    keys = _split((key + steps) % HALF**2)  # [2 halves, rounds, 2 words, 1]

    def one_round(i, even, odd):
        upper, lower = even[0], even[1]
        first, rest = _carry(lower * factor_lower)
        second, rest_2 = _carry(upper * factor_lower + lower * factor_upper + first)
        fourth, third = _carry(upper * factor_upper + second)
        high, low = tf.stack([fourth, third]), tf.stack([rest_2, rest])  # words of the product
        mixed = _xor(_xor(tf.gather(high, [1, 0], axis=1), odd), keys[:, i])
        return i + 1, mixed, tf.gather(low, [1, 0], axis=1)

    _, even, odd = tf.while_loop(lambda i, *_: i < ROUNDS, one_round, (0, even, odd))
    return even, odd


def _xor(a, b):
    """Exclusive or of halves, by way of int32: TFLite has no other."""
    return tf.cast(tf.bitwise.bitwise_xor(tf.cast(a, "int32"), tf.cast(b, "int32")), "int64")


def _split(word):
    return tf.stack(_carry(word))


def _carry(number):
    """(number // 2^16, number % 2^16) of numbers in [0, 2^40): float32 holds the quotient."""
    rest = number % HALF
    return tf.cast(tf.cast(number - rest, "float32") * 2.0**-16, "int64"), rest


def _upper_word(number):
    """The upper word of an int64, from its upper halves, each of which float32 holds."""
    rest = _modulo(number, 2**48)
    parts = number - rest, rest - _modulo(number, 2**32)
    upper, lower = (tf.cast(tf.cast(part, "float32") * 2.0**-32, "int64") for part in parts)
    return _modulo(upper + lower, 2**32)


def _modulo(number, n):
    """The rest in [0, n), also of negative numbers."""
    return (number % n + n) % n
