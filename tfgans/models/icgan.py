"""IcGAN — Invertible Conditional GANs for Image Editing.

Perarnau, van de Weijer, Raducanu, Álvarez, NeurIPS 2016 workshop, arXiv:1611.06355.

New here: a conditional GAN of attributes y, and then, with G fixed, two encoders that invert it:
E_z says the latent of an image, E_y its attributes. A photograph is edited by changing attributes:
G(E_z(x), y'). D also rejects real images with wrong attributes. E_z learns from generated images
alone, whose z is known; E_y from real ones, whose y is known.

Differs from the paper: wrong attributes are those of another image, and where these are right too,
one of them is flipped; the code only draws them from the data. The encoders learn while
G stands still and makes new images in each step; the code stores a set of them once. The paper
measures on a part of CelebA that is not trained on; here all given images are trained on.

Reference: Guim3/IcGAN (trainGAN.lua, trainEncoder.lua).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.models.cgan import with_label
from tfgans.models.dcgan import TORCH, deconvs, initializer, normalize
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings

EPSILON = TORCH["epsilon"]
GAME = 0  # the first stage; then the encoders learn


def signs(label):
    """0 and 1 -> -1 and 1, in which form both networks take attributes."""
    return keras.layers.Rescaling(2.0, -1.0)(label)


def conv(filters, kernel_size, **kwargs):
    return keras.layers.Conv2D(
        filters, kernel_size, 2, "same", kernel_initializer=initializer(), **kwargs
    )


def build_generator(image_shape, latent_dim, num_classes, width):
    """z [N, latent_dim] and label [N, num_classes] of 0 and 1 -> images in [-1, 1]."""
    stages = halvings(image_shape, fewest=1)
    rows, columns = halved(image_shape, stages)
    widest = width << (stages - 1)
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    x = with_label(z, signs(label))
    x = keras.layers.Dense(
        rows * columns * widest, use_bias=False, kernel_initializer=initializer()
    )(x)
    x = normalize(keras.layers.Reshape([rows, columns, widest])(x), EPSILON)
    image = deconvs(keras.layers.ReLU()(x), image_shape[2], stages, width, **TORCH)
    return keras.Model([z, label], image, name="generator")


def build_discriminator(image_shape, num_classes, width):
    """Images and label [N, num_classes] of 0 and 1 -> scores [N, 1].

    The attributes come in behind the first convolution, as maps.
    """
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    x = keras.layers.LeakyReLU(0.2)(conv(width, 4)(image))
    x = with_label(x, signs(label))
    for k in range(1, halvings(image_shape, fewest=1)):
        x = normalize(conv(width << k, 4, use_bias=False)(x), EPSILON)
        x = keras.layers.LeakyReLU(0.2)(x)
    x = keras.layers.Flatten()(x)
    score = keras.layers.Dense(1, kernel_initializer=initializer(), dtype="float32")(x)
    return keras.Model([image, label], score, name="discriminator")


def build_encoder(image_shape, outputs, channels, dense_width, name):
    """Images in [-1, 1] -> [N, outputs]. `dense_width` None: as wide as what comes in there."""
    image = x = keras.Input(image_shape, name="image")
    for width in channels:
        x = keras.layers.ReLU()(normalize(conv(width, 5, use_bias=False)(x), EPSILON))
    x = keras.layers.Flatten()(x)
    units = dense_width or x.shape[1]
    x = keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer())(x)
    x = keras.layers.ReLU()(normalize(x, EPSILON))
    x = keras.layers.Dense(outputs, kernel_initializer=initializer(), dtype="float32")(x)
    return keras.Model(image, x, name=name)


@keras.saving.register_keras_serializable("tfgans")
class IcGAN(LatentModel):
    """Conditional GAN of attributes with encoders, in its setting for CelebA.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Number of attributes; a label is a vector of 0 and 1.
        width: Channels nearest to the image in G and D; they double away from it.
        encoder_channels: Channels of the encoders' convolutions, each of which halves the image.
        label_width: Units of E_y's hidden layer; E_z's has as many as there are inputs.
        game_steps: Steps of the first stage, the game of G and D. Then the encoders learn.
    """

    batches_per_step = 2  # generated images have the attributes of the second

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        num_classes=18,
        width=64,
        encoder_channels=(32, 64, 128, 256),
        label_width=512,
        game_steps=79_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        need_classes(self)
        self.width, self.encoder_channels = width, encoder_channels
        self.label_width, self.game_steps = label_width, game_steps
        self.stage_steps = (game_steps,)
        self.generator = build_generator(image_shape, latent_dim, num_classes, width)
        self.discriminator = build_discriminator(image_shape, num_classes, width)
        self.encoder_z = build_encoder(
            image_shape, latent_dim, encoder_channels, None, name="encoder_z"
        )
        self.encoder_y = build_encoder(
            image_shape, num_classes, encoder_channels, label_width, name="encoder_y"
        )

    def players(self):
        networks = ("discriminator", "generator", "encoder_z", "encoder_y")
        return {name: [getattr(self, name)] for name in networks}

    def default_optimizers(self):
        game = {p: Adam(2e-4, beta_1=0.5) for p in ("discriminator", "generator")}
        return game | {p: Adam(1e-4, beta_1=0.1) for p in ("encoder_z", "encoder_y")}

    def wrong(self, label, other):
        """Attributes of `other` images, [N, K], never the `label` of the images themselves.

        Where they are the same, one of them, drawn for each image, is flipped.
        """
        n, k = label.shape
        same = tf.reduce_all(other == label, axis=1, keepdims=True)
        one = tf.one_hot(random.uniform([n], 0, k, "int32"), k)
        return tf.where(same, tf.abs(other - one), other)

    def discriminator_loss(self, real, label, other):
        fake = self.generator([self.latents(real.shape[0]), other], training=True)
        # Three batches, for batch normalization.
        real_score = self.discriminator([real, label], training=True)
        fake_score = self.discriminator([fake, other], training=True)
        wrong_score = self.discriminator([real, self.wrong(label, other)], training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
            "mismatched": 0.5 * tf.reduce_mean(tf.nn.softplus(wrong_score)),
        }

    def generator_loss(self, label):
        fake = self.generator([self.latents(label.shape[0]), label], training=True)
        score = self.discriminator([fake, label], training=True)
        return {"fake": tf.reduce_mean(tf.nn.softplus(-score))}

    def encoder_z_loss(self, label):
        """The squared error of z, a mean over numbers; G of z and a label is as in use."""
        z = self.latents(label.shape[0])
        fake = self.generator([z, label], training=False)
        return {"error": tf.reduce_mean(tf.square(self.encoder_z(fake, training=True) - z))}

    def encoder_y_loss(self, real, label):
        """The squared error of the attributes of `real`, its `label` in -1 and 1."""
        y = self.encoder_y(real, training=True)
        return {"error": tf.reduce_mean(tf.square(y - (2.0 * label - 1.0)))}

    def train_step(self, data):
        batch, others = self.split(data)
        real, label = batch["image"], self.one_hot(batch["label"])
        other = self.one_hot(others["label"])  # attributes from the data, of other images
        if self.stage == GAME:
            d = self.update("discriminator", self.discriminator_loss, real, label, other)
            return d | self.update("generator", self.generator_loss, other)
        z = self.update("encoder_z", self.encoder_z_loss, other)
        return z | self.update("encoder_y", self.encoder_y_loss, real, label)

    def condition_for(self, n, labels=None, condition=None):
        """The attributes of n images; without given ones each is present with probability 1/2."""
        if labels is None and condition is None:
            return (tf.round(random.uniform([n, self.num_classes])),)
        return super().condition_for(n, labels, condition)

    def encode(self, image):
        """The latent "z" and the attributes "label" of images, 0 or 1 each."""
        y = self.encoder_y(image, training=False)
        return {"z": self.encoder_z(image, training=False), "label": tf.cast(y > 0.0, "float32")}

    def reconstruct(self, image):
        """Images [N, H, W, C] that G makes of the latents and attributes of images."""
        found = self.encode(image)
        return self(found["z"], found["label"])

    def edit(self, image, label):
        """Images [N, H, W, C] with other attributes, G(E_z(x), y').

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: All attributes that the result shall have, [N, num_classes] of 0 and 1.
        """
        return self(self.encode(image)["z"], label)

    def flipped(self, image):
        """For each image its reconstruction, and edits in which one attribute changes.

        Returns:
            [N, 1 + num_classes, H, W, C].
        """
        found = self.encode(image)
        changes = [tf.zeros([self.num_classes]), *tf.unstack(tf.eye(self.num_classes))]
        made = [self(found["z"], tf.abs(found["label"] - change)) for change in changes]
        return tf.stack(made, axis=1)

    def preview(self, batch):
        """A row for each image: itself, its reconstruction, each attribute flipped in turn.

        In the first stage, where encoders know nothing, samples.
        """
        if self.stage == GAME:
            return self.outputs(batch)
        image = tf.convert_to_tensor(batch["image"][:8])
        return tf.concat([image[:, None], self.flipped(image)], axis=1)

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        label = tf.TensorSpec([None, self.num_classes], name="label")
        return super().endpoints() | {
            "encode": (self.encode, [image]),
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
            "edit": (lambda *inputs: {"image": self.edit(*inputs)}, [image, label]),
        }
