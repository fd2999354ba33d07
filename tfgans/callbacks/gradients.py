"""How long the gradients of the players are, without a look into the training step."""

import keras
import tensorflow as tf


def gradient_norms(model):
    """Player -> the norm of the mean of its recent gradients, as its Adam remembers it.

    That is its first moment, corrected for its start at 0: a mean of about 1 / (1 - beta_1) steps,
    and for beta_1 = 0 the gradient of the last one. A step takes no longer for it. Players with
    other optimizers are left out, and those that have not moved yet.
    """
    norms = {}
    for player, optimizer in model.optimizers.items():
        adam = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
        if isinstance(adam, keras.optimizers.Adam) and (steps := int(adam.iterations.numpy())):
            norm = tf.linalg.global_norm([moment.numpy() for moment in adam._momentums])
            norms[player] = float(norm) / (1 - adam.beta_1**steps)
    return norms
