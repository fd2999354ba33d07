"""CGAN — Conditional Generative Adversarial Nets.

Mirza & Osindero, 2014, arXiv:1411.1784.

New here: both players see a label. G(z, y) makes an image of class y, and D(x, y) tells how real x
is as an image of class y; so a real-looking image of the wrong class is no success for G.

Differs from the paper: "dense" is its network for MNIST; it leaves open how weights start (here as
in `gan.py`, those of the label ten times wider) and where dropout is (here after each hidden
layer). Its learning rate has no floor here; the paper's, 1e-6, would be reached after 288,000
steps. "conv" is DCGAN's authors' conditional network for MNIST, in which the label enters every
layer. In their code each batch trains one of the players in turn, here both. G's loss is the
non-saturating one. Fakes have the labels of the real batch. `matching_aware` adds real images with
a wrong label as a second kind of fake, half of them, as GAN-CLS does for texts (arXiv:1605.05396).

Reference: none of the authors; Newmu/dcgan_code (mnist/train_cond_dcgan.py) for "conv".
"""

import math

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, nearest
from tfgans.layers.dropout import Dropout
from tfgans.layers.maxout import Maxout
from tfgans.models import dcgan
from tfgans.models.gan import initializer
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam, HoldThenDecay, RisingMomentumSGD
from tfgans.shapes import halved


def with_label(x, label):
    """Appends a label to features: as numbers to [N, F], as constant channels to [N, H, W, C].

    Without a label the features stay as they are.
    """
    if label is None:
        return x
    if len(x.shape) == 4:
        label = keras.layers.Reshape([1, 1, label.shape[-1]])(label)
        label = keras.layers.UpSampling2D(x.shape[1:3])(label)
    return keras.layers.Concatenate()([x, label])


def build_dense_generator(image_shape, latent_dim, num_classes, units):
    """z [N, latent_dim] and label [N, num_classes] -> images in [-1, 1]."""

    def hidden(x, width):
        x = keras.layers.Dense(width, "relu", kernel_initializer=initializer(0.05))(x)
        return Dropout(0.5)(x)

    of_z, of_label, joint = units
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    x = keras.layers.Concatenate()([hidden(z, of_z), hidden(label, of_label)])
    x = keras.layers.Dense(
        math.prod(image_shape), "sigmoid", kernel_initializer=initializer(0.05), dtype="float32"
    )(hidden(x, joint))
    x = keras.layers.Reshape(image_shape, dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model([z, label], image, name="generator")


def build_dense_discriminator(image_shape, num_classes, units):
    """Images in [-1, 1] and label [N, num_classes] -> scores [N, 1]."""
    of_image, of_label, joint = units
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = Dropout(0.5)(Maxout(of_image, 5, 0.005)(x))
    y = Dropout(0.5)(Maxout(of_label, 5, 0.05)(label))
    x = Dropout(0.5)(Maxout(joint, 4, 0.005)(keras.layers.Concatenate()([x, y])))
    score = keras.layers.Dense(1, kernel_initializer=initializer(0.005), dtype="float32")(x)
    return keras.Model([image, label], score, name="discriminator")


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-8, center=False, scale=False)(x)


def dense(units, **kwargs):
    return keras.layers.Dense(
        units, use_bias=False, kernel_initializer=dcgan.initializer(), **kwargs
    )


def build_conv_generator(image_shape, latent_dim, num_classes, width, dense_width):
    """z [N, latent_dim] and label [N, num_classes] -> images in [-1, 1]."""
    rows, columns = halved(image_shape, 2)
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    x = keras.layers.ReLU()(norm(dense(dense_width)(with_label(z, label))))
    x = keras.layers.ReLU()(norm(dense(rows * columns * 2 * width)(with_label(x, label))))
    x = keras.layers.Reshape([rows, columns, 2 * width])(x)
    x = keras.layers.ReLU()(norm(dcgan.deconv(width, 5)(with_label(x, label))))
    x = with_label(x, label)
    x = dcgan.deconv(image_shape[2], 5, activation="sigmoid", dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model([z, label], image, name="generator")


def build_conv_discriminator(image_shape, num_classes, width, dense_width):
    """Images in [-1, 1] and label [N, num_classes] -> scores [N, 1]."""

    def conv(filters):
        return keras.layers.Conv2D(
            filters, 5, 2, "same", use_bias=False, kernel_initializer=dcgan.initializer()
        )

    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    x = keras.layers.LeakyReLU(0.2)(conv(width)(with_label(x, label)))
    x = keras.layers.LeakyReLU(0.2)(norm(conv(2 * width)(with_label(x, label))))
    x = with_label(keras.layers.Flatten()(x), label)
    x = keras.layers.LeakyReLU(0.2)(norm(dense(dense_width)(x)))
    score = dense(1, dtype="float32")(with_label(x, label))
    return keras.Model([image, label], score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class CGAN(LatentModel):
    """Conditional GAN, in its setting for MNIST.

    Args:
        image_shape: (height, width, channels) of the images; for "conv" multiples of four.
        latent_dim: Length of z, uniform in [0, 1] ("dense") or [-1, 1] ("conv").
        num_classes: Length of the label vector.
        architecture: "dense" as in the paper, or "conv".
        generator_units: "dense": units of G's layers for z, for the label, and for both.
        discriminator_units: "dense": maxout units of D's layers for the image, the label, and both.
        width: "conv": channels at half the image's size; twice as many at a quarter.
        dense_width: "conv": units of the layer between z or score and the convolutions.
        matching_aware: D also rejects real images with a wrong label.
        decay_weight: "conv": weight of half the sum of squares of each player's weights.
        hold_steps: "conv": steps after which the learning rates fall, to 0 in as many again.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=100,
        num_classes=10,
        architecture="dense",
        generator_units=(200, 1000, 1200),
        discriminator_units=(240, 50, 240),
        width=64,
        dense_width=1024,
        matching_aware=False,
        decay_weight=2.5e-5,
        hold_steps=19_500,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        need_classes(self, least=2)
        self.architecture, self.width, self.dense_width = architecture, width, dense_width
        self.generator_units, self.discriminator_units = generator_units, discriminator_units
        self.matching_aware, self.decay_weight = matching_aware, decay_weight
        self.hold_steps = hold_steps
        self.prior = (0.0, 1.0) if architecture == "dense" else (-1.0, 1.0)
        if architecture == "dense":
            self.generator = build_dense_generator(
                image_shape, latent_dim, num_classes, generator_units
            )
            self.discriminator = build_dense_discriminator(
                image_shape, num_classes, discriminator_units
            )
        elif architecture == "conv":
            self.generator = build_conv_generator(
                image_shape, latent_dim, num_classes, width, dense_width
            )
            self.discriminator = build_conv_discriminator(
                image_shape, num_classes, width, dense_width
            )
        else:
            raise BadInput(nearest("architecture of CGAN", str(architecture), ["dense", "conv"]))

    def default_optimizers(self):
        def sgd():  # the rate is divided by 1.00004 after each update
            rate = keras.optimizers.schedules.ExponentialDecay(
                0.1, decay_steps=1.0 / math.log(1.00004), decay_rate=math.exp(-1.0)
            )
            return RisingMomentumSGD(rate, 0.5, 0.7, rise_steps=125_000)

        def adam():
            rate = HoldThenDecay(2e-4, self.hold_steps, self.hold_steps)
            return Adam(rate, beta_1=0.5, beta_2=0.999)

        optimizer = sgd if self.architecture == "dense" else adam
        return {"discriminator": optimizer(), "generator": optimizer()}

    @property
    def decayed(self):
        """Weight of the decay of weights; the dense networks have none."""
        return 0.0 if self.architecture == "dense" else self.decay_weight

    def wrong_label(self, label):
        """For each label any other class, each with the same probability."""
        shift = random.uniform([label.shape[0]], 1, self.num_classes, "int32")
        number = tf.argmax(label, axis=1, output_type="int32") + shift
        return tf.one_hot(number % self.num_classes, self.num_classes)

    def discriminator_loss(self, real, label):
        fake = self.generator([self.latents(real.shape[0]), label], training=True)
        real_score = self.discriminator([real, label], training=True)
        fake_score = self.discriminator([fake, label], training=True)
        terms = {"real": tf.reduce_mean(tf.nn.softplus(-real_score))}  # -log D(x, y)
        rejected = tf.reduce_mean(tf.nn.softplus(fake_score))  # -log(1 - D(G(z, y), y))
        if not self.matching_aware:
            return terms | {"fake": rejected} | self.decay("discriminator", self.decayed)
        score = self.discriminator([real, self.wrong_label(label)], training=True)
        mismatched = tf.reduce_mean(tf.nn.softplus(score))
        terms |= {"fake": 0.5 * rejected, "mismatched": 0.5 * mismatched}
        return terms | self.decay("discriminator", self.decayed)

    def generator_loss(self, label):
        fake = self.generator([self.latents(label.shape[0]), label], training=True)
        score = self.discriminator([fake, label], training=True)
        return {"fake": tf.reduce_mean(tf.nn.softplus(-score))} | self.decay(
            "generator", self.decayed
        )

    def train_step(self, data):
        real, label = data["image"], self.one_hot(data["label"])
        d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, label)
        return d | g
