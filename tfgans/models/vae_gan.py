"""VAE-GAN — Autoencoding Beyond Pixels Using a Learned Similarity Metric.

Larsen, Sønderby, Larochelle, Winther, ICML 2016, arXiv:1512.09300.

New here: a VAE compares pixels, and so prefers a blurred image to one that is sharp and shifted.
Here reconstructions are compared in the features of a discriminator, which learns at the same time
what tells real images from others. The decoder is its generator. Three players, three losses:

    encoder         KL + reconstruction in features
    decoder         gamma * reconstruction in features, and fooling D
    discriminator   telling images from reconstructions and from samples

The gradient of the game stops at z: it never reaches the encoder. D never learns from the
reconstruction.

Differs from the paper: the guard of the equilibrium is the authors' code's, which skips a move of D
while it tells images too well, and one of the decoder while it fools D too well; the code takes the
scores of the same batch, here they are those of the step before. The code weighs real and generated
images half each in D's gradient; here all three terms of the paper have the weight 1. D on
reconstructions can be left out, as in the code's run for CelebA. The learning rate stays.

Reference: andersbll/autoencoding_beyond_pixels (aegan.py, model/aegan.py, celeba_aegan.py).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.shapes import halved

EQUILIBRIUM, MARGIN = 0.68, 0.35  # the cost of a D that cannot tell, and how far it may lie off


def conv(filters, strides=2, kind=keras.layers.Conv2D, **kwargs):
    return kind(filters, 5, strides, "same", **kwargs)


def norm_relu(x):
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))


def build_encoder(image_shape, latent_dim, channels, dense_width):
    """Images in [-1, 1] -> means of latents and logarithms of their variances, side by side."""
    image = x = keras.Input(image_shape, name="image")
    for width in channels:
        x = norm_relu(conv(width, use_bias=False)(x))
    x = keras.layers.Flatten()(x)
    x = norm_relu(keras.layers.Dense(dense_width, use_bias=False)(x))
    x = keras.layers.Dense(2 * latent_dim, dtype="float32")(x)
    return keras.Model(image, x, name="encoder")


def build_decoder(image_shape, latent_dim, channels):
    """z [N, latent_dim] -> images in [-1, 1]; each number after the first doubles the grid."""
    z = keras.Input([latent_dim], name="z")
    first, *others = channels
    grid = halved(image_shape, len(others))
    x = norm_relu(keras.layers.Dense(grid[0] * grid[1] * first, use_bias=False)(z))
    x = keras.layers.Reshape([*grid, first])(x)
    for width in others:
        x = norm_relu(conv(width, kind=keras.layers.Conv2DTranspose, use_bias=False)(x))
    image = conv(image_shape[2], 1, activation="tanh", dtype="float32")(x)
    return keras.Model(z, image, name="decoder")


def build_discriminator(image_shape, channels, dense_width):
    """Images -> scores [N, 1], and the features in which reconstructions are compared.

    Features are the output of the last convolution, before its normalization. All convolutions but
    the first halve the image.
    """
    image = keras.Input(image_shape, name="image")
    first, *others = channels
    x = keras.layers.ReLU()(conv(first, 1)(image))
    for width in others:
        features = conv(width, use_bias=False)(x)
        x = norm_relu(features)
    x = keras.layers.Flatten()(x)
    x = norm_relu(keras.layers.Dense(dense_width, use_bias=False)(x))
    score = keras.layers.Dense(1, dtype="float32")(x)
    return keras.Model(image, [score, features], name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class VAEGAN(LatentModel):
    """Variational autoencoder that measures errors by a discriminator's features, for 64x64 faces.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        encoder_channels: Channels of the encoder's convolutions, each of which halves the image.
        encoder_width: Units of its dense layer.
        decoder_channels: Channels of the decoder's first grid, then after each doubling.
        discriminator_channels: Channels of D's convolutions; all but the first halve the image.
        discriminator_width: Units of its dense layer.
        gamma: Weight of the reconstruction in the decoder's loss; the encoder's is 1.
        judge_reconstructions: D tells reconstructions from images too, not only samples.
        guard: Skip moves of D and of the decoder far from the equilibrium.
        weight_decay: Factor of w^2 / 2 in all losses.
    """

    choices = ("all", "no discriminator", "no decoder")

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=128,
        encoder_channels=(64, 128, 256),
        encoder_width=1024,
        decoder_channels=(256, 256, 128, 32),
        discriminator_channels=(32, 128, 256, 256),
        discriminator_width=512,
        gamma=1e-6,
        judge_reconstructions=True,
        guard=True,
        weight_decay=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.encoder_channels, self.encoder_width = encoder_channels, encoder_width
        self.decoder_channels = decoder_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_width = discriminator_width
        self.gamma, self.judge_reconstructions = gamma, judge_reconstructions
        self.guard, self.weight_decay = guard, weight_decay
        if len(discriminator_channels) < 2:
            raise BadInput(
                "model.discriminator_channels takes two numbers or more: reconstructions are "
                "compared behind the last convolution that halves the image."
            )
        self.encoder = build_encoder(image_shape, latent_dim, encoder_channels, encoder_width)
        self.decoder = build_decoder(image_shape, latent_dim, decoder_channels)
        self.discriminator = build_discriminator(
            image_shape, discriminator_channels, discriminator_width
        )
        # D's mean costs in the step before, for the guard.
        self.real_cost = self.add_state("real_cost", EQUILIBRIUM)
        self.fake_cost = self.add_state("fake_cost", EQUILIBRIUM)

    @property
    def sampling_generator(self):
        return self.decoder

    def players(self):
        return {
            "encoder": [self.encoder],
            "decoder": [self.decoder],
            "discriminator": [self.discriminator],
        }

    def default_optimizers(self):
        # Keras adds epsilon under the root, the authors' DeepPy adds 1e-8 to it.
        return {p: keras.optimizers.RMSprop(3e-4, rho=0.9, epsilon=1e-16) for p in self.players()}

    def choice(self):
        """Which moves the guard skips, by D's costs in the step before."""
        if not self.guard:
            return "all"
        costs = [float(tf.convert_to_tensor(c)) for c in (self.real_cost, self.fake_cost)]
        no_d = min(costs) < EQUILIBRIUM - MARGIN
        no_decoder = max(costs) > EQUILIBRIUM + MARGIN
        if no_d == no_decoder:  # both would stand still for ever
            return "all"
        return "no discriminator" if no_d else "no decoder"

    def posterior(self, image, training=False):
        """q(z | x) of an image: mean and log variance of each latent, both [N, latent_dim]."""
        return tf.split(self.encoder(image, training=training), 2, axis=1)

    def divergence(self, mean, log_variance):
        """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over latents, averaged over N."""
        kl = 0.5 * (tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)
        return tf.reduce_mean(tf.reduce_sum(kl, axis=1))

    def reconstruction(self, features, others):
        """-log N(features | others, I) without its constant: a sum over features, a mean over N."""
        squares = tf.square(tf.cast(features, "float32") - tf.cast(others, "float32"))
        return 0.5 * tf.reduce_mean(tf.reduce_sum(squares, axis=range(1, squares.shape.rank)))

    def losses(self, real):
        """The terms on `real` of all players that move; D's costs of each image (eq. 5 to 8)."""
        n = real.shape[0]
        mean, log_variance = self.posterior(real, training=True)
        z = mean + tf.exp(0.5 * log_variance) * random.normal(mean.shape)
        made = self.decoder(tf.concat([z, self.latents(n)], axis=0), training=True)
        score, features = self.discriminator(tf.concat([real, made], axis=0), training=True)
        real_score, again_score, new_score = tf.split(score, 3)
        real_features, again_features, _ = tf.split(features, 3)
        error = self.reconstruction(real_features, again_features)
        costs = {"real": tf.nn.softplus(-real_score), "sample": tf.nn.softplus(new_score)}
        if self.judge_reconstructions:
            costs["reconstruction"] = tf.nn.softplus(again_score)
        game = {name: tf.reduce_mean(cost) for name, cost in costs.items()}
        fooled = {name: -value for name, value in game.items() if name != "real"}
        terms = {"encoder": {"kl": self.divergence(mean, log_variance), "error": error}}
        if self.chosen != "no decoder":
            terms["decoder"] = {"error": self.gamma * error} | fooled
        if self.chosen != "no discriminator":
            terms["discriminator"] = game
        return {
            player: own | self.decay(player, self.weight_decay) for player, own in terms.items()
        }, costs

    def train_step(self, data):
        moving = [p for p in self.players() if self.chosen != f"no {p}"]
        logs, costs = self.update_together(self.losses, data["image"], players=moving)
        means = {name: tf.reduce_mean(cost) for name, cost in costs.items()}
        self.real_cost.assign(means.pop("real"))
        self.fake_cost.assign(tf.add_n(list(means.values())) / len(means))
        return logs

    def encode(self, image):
        """The posterior of images: its means "z" and its deviations "deviation"."""
        mean, log_variance = self.posterior(image)
        return {"z": mean, "deviation": tf.exp(0.5 * log_variance)}

    def reconstruct(self, image):
        """Images [N, H, W, C] decoded from the means of the posterior."""
        return self(self.encode(image)["z"])

    def attribute(self, having, lacking):
        """The direction of an attribute in z, [latent_dim]: a difference of mean codes (section 4).

        Args:
            having: Images [n, H, W, C] with the attribute.
            lacking: Images [m, H, W, C] without it.
        """
        means = [tf.reduce_mean(self.encode(image)["z"], axis=0) for image in (having, lacking)]
        return means[0] - means[1]

    def edit(self, image, direction):
        """Reconstructions of images whose code is moved.

        Args:
            image: [N, H, W, C] in [-1, 1].
            direction: Added to each code, [latent_dim] or [N, latent_dim], see `attribute`.
        """
        return self(self.encode(image)["z"] + direction)

    def preview(self, data):
        return self.reconstructions_and_samples(data["image"])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        direction = tf.TensorSpec([None, self.latent_dim], name="direction")
        return super().endpoints() | {
            "encode": (self.encode, [image]),
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
            "edit": (lambda *inputs: {"image": self.edit(*inputs)}, [image, direction]),
        }
