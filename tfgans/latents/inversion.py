"""Inversion with an encoder that begins as the discriminator, and editing a photograph by strokes.

Generative Visual Manipulation on the Natural Image Manifold, Zhu et al., ECCV 2016,
arXiv:1609.03552, and its use in lectures: G stays as it is. An encoder learns from images of G to
name their z; its trunk starts with the weights of D, which has seen such images. `Inversion` goes
on from the encoder's z by gradient descent. `Repaint` looks for an image of G that has the painted
colors where something is painted, and stays near the inverted image in z:

    U(G(z)) + keep |z - z0|^2 - realism D(G(z)),

where U is the mean squared difference over the painted pixels.

Differs from the paper: the encoder there is an AlexNet. Distances are those of `Search`. The step
size from an encoder, 0.015, and the 200 steps are those of quolc/neural-collage. No paper states
the weights of the last two terms.

Reference: quolc/neural-collage (optimization.py).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, command
from tfgans.latents.search import Search, variable
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.optimizers import Adam


def trunk_of(model):
    """A copy of a model's D, from the image up to the features [N, F] that its score is linear in.

    Raises:
        BadInput: D is no functional network that ends so.
    """
    discriminator = getattr(model, "discriminator", None)
    for layer in getattr(discriminator, "layers", ()):
        linear = layer.layer if isinstance(layer, SpectralNorm) else layer
        if isinstance(linear, keras.layers.Dense) and linear.units == 1:
            copy = model.ema_of(discriminator)
            copy.trainable = True
            return keras.Model(copy.inputs[0], copy.get_layer(layer.name).input)
    raise BadInput(
        "The encoder begins as a discriminator whose score is linear in features of the image. "
        f"This model has none: `{command('project')}` finds the latents of style generators."
    )


class Encoder:
    """Images -> z, learned from images that the generator makes.

    Args:
        space: A `Space` whose model has a discriminator of images. Neither network changes.
        steps: Steps of `train`.
        batch_size: Images in each.
        image_weight: Weight of the mean absolute difference of an image and the image of its code.
        seed: Seed of the head and of all z.

    Attributes:
        network: Images [N, H, W, C] in [-1, 1] -> z [N, latent_dim].
    """

    def __init__(self, space, steps=2000, batch_size=32, image_weight=1.0, seed=0):
        self.space, self.steps, self.batch_size = space, steps, batch_size
        self.image_weight, self.seed = image_weight, seed
        trunk = trunk_of(space.model)
        head = keras.layers.Dense(
            space.model.latent_dim, kernel_initializer=keras.initializers.GlorotUniform(seed)
        )
        self.network = keras.Model(trunk.input, head(trunk.output), name="encoder")
        self.optimizer = Adam(1e-3, beta_1=0.9, beta_2=0.999)
        self.optimizer.build(self.network.trainable_variables)

    def __call__(self, image):
        return self.network(image, training=False)

    def loss(self, z):
        """|E(G(z)) - z|^2 and the image's difference, means, with normalization as in inference."""
        image = self.space.synthesize(self.space.ws(z))
        code = self(image)
        again = self.space.synthesize(self.space.ws(code))
        return {
            "z": tf.reduce_mean(tf.square(code - z)),
            "image": self.image_weight * tf.reduce_mean(tf.abs(again - image)),
        }

    def train(self, show=None, every=100):
        """Trains the encoder.

        Args:
            show: Called with (step, terms of the loss).
            every: Steps between two calls.
        """
        weights = self.network.trainable_variables

        @tf.function
        def move(step):
            with random.scope(self.seed, step), tf.GradientTape() as tape:
                terms = self.loss(self.space.model.latents(self.batch_size))
                total = tf.add_n(list(terms.values()))
            self.optimizer.apply(tape.gradient(total, weights), weights)
            return terms

        for step in range(self.steps):
            terms = move(tf.constant(step))
            if show is not None and (step + 1) % every == 0:
                show(step + 1, {name: float(value) for name, value in terms.items()})
        return self


class Inversion(Search):
    """Finds z of images, from the codes of an encoder on. See `Search` for the other arguments.

    Args:
        encoder: Images -> z, such as an `Encoder`; without it z starts at 0.
        space, target: As `Search`.
    """

    steps = 200
    noise = "const"
    reduce = staticmethod(tf.reduce_mean)

    def __init__(self, space, target, encoder=None, **kwargs):
        self.encoder = encoder
        super().__init__(space, target, **kwargs)

    def start(self):
        shape = [self.target.shape[0], self.space.model.latent_dim]
        z = np.zeros(shape, "float32") if self.encoder is None else self.encoder(self.target)
        self.z = variable(z)
        return [self.z], 0.075 if self.encoder is None else 0.015

    @property
    def ws(self):
        return self.space.ws(self.z.value)

    def loss(self, image):
        """The distance of images [n, H, W, C] from the target, [n]."""
        return self.distance(image) + tf.reduce_mean((image - self.target) ** 2, [1, 2, 3])

    def move(self, step):
        self.descend(lambda: tf.reduce_sum(self.loss(self.space.synthesize(self.ws))))


class Repaint(Inversion):
    """Finds images of the generator that have painted colors. See `Search` for the others.

    Args:
        space: A `Space`.
        painted: Images [n, H, W, C] in [-1, 1].
        mask: [n, H, W, 1], 1 where something is painted, 0 elsewhere.
        z: Codes of the images before, [n, latent_dim], where the search begins.
        keep: Weight of the mean squared difference from `z`.
        realism: Weight of D's score.
    """

    def __init__(self, space, painted, mask, z, keep=0.01, realism=0.0, **kwargs):
        self.mask, self.z0 = tf.cast(mask, "float32"), tf.convert_to_tensor(z)
        self.keep, self.realism = keep, realism
        super().__init__(space, painted, encoder=lambda image: self.z0, **kwargs)

    def loss(self, image):
        painted = tf.reduce_sum(self.mask, [1, 2, 3]) * image.shape[3]
        difference = tf.reduce_sum(self.mask * (image - self.target) ** 2, [1, 2, 3])
        total = tf.math.divide_no_nan(difference, painted)
        total += self.keep * tf.reduce_mean((self.z.value - self.z0) ** 2, axis=1)
        if self.realism:
            total -= self.realism * score(self.space, image)
        return total

    def settings(self):
        return [*super().settings(), self.keep, self.realism]


def score(space, image):
    """D's score of images, [n]."""
    model = space.model
    if not model.label_dim:
        found = model.discriminator(image, training=False)
    elif len(model.discriminator.inputs) == 1:
        found = model.discriminator(image, training=False)
    else:
        label = tf.repeat(space.labels([0]), image.shape[0], axis=0)
        found = model.discriminator([image, label], training=False)
    found = found["score"] if isinstance(found, dict) else tf.nest.flatten(found)[0]
    return tf.reshape(found, [-1])
