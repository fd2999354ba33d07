"""Recomputation: less memory for more time (Chen et al., 2016, arXiv:1604.06174).

A recomputed function keeps its inputs for the gradient and nothing else; the backward pass calls
the function again. `tf.recompute_grad` refuses gradients of gradients, which R1 and the path length
penalty need. Here the gradient is a recomputed function too, so derivatives of any order keep the
inputs alone.
"""

import functools

import tensorflow as tf

from tfgans.ops.exporting import is_exporting, own_gradient, replaced


class Recomputing:
    """A network that can recompute its parts with large images.

    StyleGAN2's parts are single convolutions in the generator and blocks in the discriminator. With
    penalties on gradients, this choice needs the least memory.

    Attributes:
        recompute_from: Least size of images in pixels, shorter side, at which a part is recomputed;
            None for no recomputation. A part with two resolutions counts with the larger one.
    """

    def run(self, part, side, layers, *tensors):
        """Calls one part of the network, and recomputes it for gradients if it is large.

        Equals: part(*tensors).

        Args:
            part: Tensors -> a tensor.
            side: Shorter side of its images, in pixels.
            layers: Keras layers whose weights the part uses.
            tensors: Its inputs.
        """
        if self.recompute_from is None or side < self.recompute_from or is_exporting():
            return part(*tensors)
        return recomputed(part, tensors, layers)


def recomputed(function, tensors, layers):
    """Calls a function, and keeps its inputs alone for the gradient.

    Equals: function(*tensors).

    Args:
        function: Tensors -> a tensor. It runs several times, so it must not draw random numbers and
            must not assign variables.
        tensors: Its inputs. Other tensors that it uses get no gradient.
        layers: Keras layers whose weights it uses; they get their gradients.
    """
    variables = [variable for layer in layers for variable in layer.weights]
    weights = [tf.convert_to_tensor(variable.value) for variable in variables]

    def with_weights(*inputs):
        with replaced(list(zip(variables, inputs[len(tensors) :], strict=True))):
            return function(*inputs[: len(tensors)])

    return _recomputed(with_weights, len(tensors))(*tensors, *weights)


def _recomputed(function, split):
    """A function of floating-point tensors whose gradient calls it again.

    Equals: function. For y = f(a, b), upstream gradient u and Jacobians J_a, J_b of f, the gradient
    is (J_a^T u, J_b^T u). Each of the two products is a function of (a, b, u) that computes f anew;
    it is recomputed in its turn, and so are its own gradients, to any order.

    Args:
        function: Tensors -> a tensor or a tuple of tensors.
        split: Number of inputs in a; the others are b. A penalty asks for J_a^T u alone. Because
            the products are two functions, its own gradient does not go back through J_b^T u.
    """

    @own_gradient
    def call(*inputs):
        def gradient(*upstream):
            found = []
            # The second computation waits for u. Without this, TensorFlow would see twice the same
            # operations on the same inputs, merge them, and keep every result from the first.
            with tf.control_dependencies(upstream):
                for wanted in (slice(0, split), slice(split, len(inputs))):
                    products = functools.partial(_products, function, len(inputs), wanted)
                    if inputs[wanted]:
                        found += _recomputed(products, split)(*inputs, *upstream)
            return tuple(found)

        return function(*inputs), gradient

    return call


def _products(function, count, wanted, *inputs_and_upstream):
    """J^T u: the gradients of `function` to some of its inputs.

    Args:
        function: Tensors -> a tensor or a tuple of tensors.
        count: Number of its inputs.
        wanted: Slice of the inputs that get a gradient.
        inputs_and_upstream: The inputs, then the upstream gradients.

    Returns:
        A tuple of tensors, one for each wanted input; zeros where `function` does not depend on it.
    """
    inputs, upstream = inputs_and_upstream[:count], inputs_and_upstream[count:]
    with tf.GradientTape() as tape:
        tape.watch(inputs[wanted])
        y = function(*inputs)
    return tuple(tape.gradient(y, inputs[wanted], upstream, unconnected_gradients="zero"))
