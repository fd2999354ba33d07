"""Gradient norms of the players, read from the state of their optimizers."""

import keras
import tensorflow as tf


def gradient_norms(model):
    """Player -> norm of the mean of its recent gradients, from the first moment of its Adam.

    The moment is corrected for its start at 0. It is a mean over about 1 / (1 - beta_1) steps; for
    beta_1 = 0 it is the last gradient. Reading it does not slow a step down. Players with other
    optimizers, and players that have not moved yet, are left out.
    """
    norms = {}
    for player, optimizer in model.optimizers.items():
        adam = getattr(optimizer, "inner_optimizer", optimizer)  # inside a LossScaleOptimizer
        if isinstance(adam, keras.optimizers.Adam) and (steps := int(adam.iterations.numpy())):
            norm = tf.linalg.global_norm([moment.numpy() for moment in adam._momentums])
            norms[player] = float(norm) / (1 - adam.beta_1**steps)
    return norms
