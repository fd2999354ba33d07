"""The parts that gradient penalties share, with errors for known mistakes that would be silent.

The penalty itself, a formula, stands in the file of its paper. `spectral_energy` is here because no
model of ours has it: it is for those of others.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.ops.checking import ensure
from tfgans.ops.singular_value import singular_value


def between(real, fake, weight):
    """A point on the line from each real to its fake image (WGAN-GP, arXiv:1704.00028, sec. 4).

    Args:
        real: [N, H, W, C].
        fake: [N, H, W, C].
        weight: [N, 1, 1, 1] from U(0, 1): 0 gives the real image, 1 the fake one.

    Raises:
        BadInput: One weight serves several images; or one lies outside [0, 1], as a normal draw
            does.
    """
    if tuple(weight.shape) != (real.shape[0], 1, 1, 1):
        raise BadInput(
            f"The penalty takes a random point between each real image and its fake: weights of "
            f"shape {(real.shape[0], 1, 1, 1)}, not {tuple(weight.shape)}. Draw "
            "random.uniform([real.shape[0], 1, 1, 1])."
        )
    inside = tf.reduce_all((weight >= 0.0) & (weight <= 1.0))
    rule = "Points between real and fake have weights in [0, 1]: "
    rule += "draw them with random.uniform, not random.normal; the least and the greatest are"
    ensure(inside, rule, tf.stack([tf.reduce_min(weight), tf.reduce_max(weight)]))
    return real + weight * (fake - real)


def input_gradient(score, image, networks):
    """The gradient of each image's score with respect to that image, shaped like `image`.

    Args:
        score: Images -> scores, one per image.
        image: [N, H, W, C].
        networks: The networks that compute the score.

    Raises:
        BadInput: A network has batch normalization: there the score of one image depends on the
            others, and its gradient is not the critic's (arXiv:1704.00028, sec. 4).
    """
    for network in networks:
        for layer in network._flatten_layers() if isinstance(network, keras.Layer) else ():
            if isinstance(layer, keras.layers.BatchNormalization):
                raise BadInput(
                    f"{network.name} has batch normalization ({layer.name}), and its loss a "
                    "gradient penalty, which needs scores that do not depend on the rest of the "
                    "batch. Use keras.layers.LayerNormalization, or no normalization."
                )
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = tf.reduce_sum(score(image))
    return tape.gradient(total, image)


def gradient_norm(gradient, axis=(1, 2, 3)):
    """The Euclidean norm over `axis`, which is differentiable also where the gradient is 0.

    Args:
        gradient: [N, H, W, C], as `input_gradient` gives it.
        axis: The axes that form one vector; by default all but the batch.

    Returns:
        sqrt(sum of squares + 1e-12), [N] by default.
    """
    return tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=axis) + 1e-12)


def spectral_energy(kernels, vectors, weight=0.01):
    """Half the sum of the squared largest singular values (Yoshida & Miyato, arXiv:1705.10941).

    A term of a loss, which makes these values small, where `SpectralNorm` divides by them.

    Args:
        kernels: The kernels of some layers, each [..., outputs].
        vectors: A saved vector of power iteration for each of them, [outputs, 1], not 0, as
            `model.add_state(name, 1.0, [outputs, 1], aggregation="only_first_replica")` makes it.
            They move by one step.
        weight: Factor of the sum, the paper's lambda.

    Returns:
        weight / 2 * sum of sigma(W)^2, a scalar. Its slope in a kernel is weight * sigma * v u^T.
    """
    energies = []
    for kernel, vector in zip(kernels, vectors, strict=True):
        sigma, u = singular_value(tf.convert_to_tensor(kernel), vector)
        vector.assign(u)
        energies.append(tf.square(sigma))
    return 0.5 * weight * tf.add_n(energies)
