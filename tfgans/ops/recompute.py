"""Recomputation: less memory for more time (Chen et al. 2016, arXiv:1604.06174).

TensorFlow's own `tf.recompute_grad` refuses gradients of gradients, which R1 and the path length
penalty need. Here what recomputes is itself recomputed, so derivatives of any order keep only what
went into the function.
"""

import functools

import tensorflow as tf

from tfgans.ops.exporting import is_exporting, own_gradient, replaced


class Recomputing:
    """A network of which large parts keep only what goes into them, if asked to.

    StyleGAN2's parts are single convolutions in the generator and blocks in the discriminator: of
    the penalties on gradients that leaves least in memory.

    Attributes:
        recompute_from: A part whose images have, at its finer end, a shorter side of this many
            pixels or more is computed again for its gradients; None for no part.
    """

    def run(self, part, side, layers, *tensors):
        """`part(*tensors)`, which uses the weights of these layers on images of this side."""
        if self.recompute_from is None or side < self.recompute_from or is_exporting():
            return part(*tensors)
        return recomputed(part, tensors, layers)


def recomputed(function, tensors, layers):
    """`function(*tensors)`, of which only the inputs are kept for its gradient.

    Args:
        function: Tensors -> a tensor. Draws nothing random and assigns nothing: it runs again.
        tensors: What it depends on. It may use other tensors, but no gradient goes to those.
        layers: The Keras layers whose weights it uses.
    """
    variables = [variable for layer in layers for variable in layer.weights]
    weights = [tf.convert_to_tensor(variable.value) for variable in variables]

    def with_weights(*inputs):
        with replaced(list(zip(variables, inputs[len(tensors) :], strict=True))):
            return function(*inputs[: len(tensors)])

    return _recomputed(with_weights, len(tensors))(*tensors, *weights)


def _recomputed(function, split):
    """A function of floating-point tensors, with a gradient that calls it again.

    The gradients to the first `split` inputs and to the others are two functions. A penalty asks
    for one of them only, and should not have to go back through the other.
    """

    @own_gradient
    def call(*inputs):
        def gradient(*upstream):
            found = []
            # Not before the gradient has come here: else nothing would be saved, and TensorFlow
            # would find that this was computed already.
            with tf.control_dependencies(upstream):
                for wanted in (slice(0, split), slice(split, len(inputs))):
                    products = functools.partial(_products, function, len(inputs), wanted)
                    if inputs[wanted]:
                        found += _recomputed(products, split)(*inputs, *upstream)
            return tuple(found)

        return function(*inputs), gradient

    return call


def _products(function, count, wanted, *inputs_and_upstream):
    """Of the upstream gradients and the Jacobian of `function` to the wanted of its inputs."""
    inputs, upstream = inputs_and_upstream[:count], inputs_and_upstream[count:]
    with tf.GradientTape() as tape:
        tape.watch(inputs[wanted])
        y = function(*inputs)
    return tuple(tape.gradient(y, inputs[wanted], upstream, unconnected_gradients="zero"))
