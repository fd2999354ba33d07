"""Fader Networks — Manipulating Images by Sliding Attributes.

Lample, Zeghidour, Usunier, Bordes, Denoyer, Ranzato, NIPS 2017, arXiv:1706.00409.

New here: an autoencoder whose decoder is told the attributes of the image. A discriminator of
codes tries to read the attributes, and the encoder hides them from it: so the decoder has to use
what it is told, and other attributes give another image. No discriminator sees images. An
attribute can be told by degrees.

Differs from the paper: the networks are those of the authors' code with its default of six layers;
the paper goes one step further, to 2x2 maps. Its options are not built: skip connections, a
discriminator of image patches and one of attributes. All attributes have two values.

Reference: facebookresearch/FaderNetworks (src/model.py, src/training.py).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import images
from tfgans.layers.dropout import Dropout
from tfgans.models.cgan import with_label
from tfgans.models.inputs import need_classes
from tfgans.models.translation import TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved

SLIDER = np.linspace(0.0, 1.0, 7)  # degrees of an attribute in a preview


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def down(x, channels, normalized=True):
    """A convolution that halves the map, and a leaky ReLU."""
    x = keras.layers.Conv2D(channels, 4, 2, "same")(x)
    return keras.layers.LeakyReLU(0.2)(norm(x) if normalized else x)


def build_encoder(image_shape, channels):
    """Images in [-1, 1] -> codes [N, h, w, channels[-1]]; each number halves the map."""
    halved(image_shape, len(channels))  # checks the shape
    image = x = keras.Input(image_shape, name="image")
    for k, width in enumerate(channels):
        x = down(x, width, normalized=k > 0)
    return keras.Model(image, x, name="encoder")


def build_decoder(image_shape, num_classes, channels):
    """Codes, and label [N, num_classes], 0 to 1 -> images; every layer is told the label.

    An attribute y comes in as the two numbers 1 - y and y.
    """
    code = keras.Input([*halved(image_shape, len(channels)), channels[-1]], name="code")
    label = keras.Input([num_classes], name="label")
    told = keras.layers.Concatenate()([1.0 - label, label])
    x = code
    for width in reversed(channels[:-1]):
        x = keras.layers.Conv2DTranspose(width, 4, 2, "same", use_bias=False)(with_label(x, told))
        x = keras.layers.ReLU()(norm(x))
    image = keras.layers.Conv2DTranspose(
        image_shape[2], 4, 2, "same", use_bias=False, activation="tanh", dtype="float32"
    )(with_label(x, told))
    return keras.Model([code, label], image, name="decoder")


def build_discriminator(code_shape, num_classes, dense_width, dropout):
    """Codes -> two logits for each attribute, [N, num_classes, 2]."""
    code = x = keras.Input(code_shape, name="code")
    while min(x.shape[1:3]) > 1:
        x = Dropout(dropout)(down(x, code_shape[2]))
    x = keras.layers.Dense(dense_width)(keras.layers.Flatten()(x))
    x = keras.layers.LeakyReLU(0.2)(x)
    x = keras.layers.Dense(2 * num_classes, dtype="float32")(x)
    logits = keras.layers.Reshape([num_classes, 2], dtype="float32")(x)
    return keras.Model(code, logits, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class Fader(TranslationModel):
    """Autoencoder with attributes that can be slid, in the code's setting for CelebA at 256x256.

    Args:
        image_shape: (height, width, channels) of the images.
        num_classes: Number of attributes; a label is a vector of 0 and 1.
        channels: Channels of the encoder's maps, each half as large as the one before.
        dense_width: Units of the hidden dense layer of D.
        dropout: Share of features that D drops.
        hiding_weight: Weight of the encoder's loss against D, at its end.
        hiding_steps: Steps in which this weight rises from 0.
    """

    data_kind = "images"
    batches_per_step = 2  # D and the autoencoder see their own

    def __init__(
        self,
        image_shape=(256, 256, 3),
        num_classes=1,
        channels=(32, 64, 128, 256, 512, 512),
        dense_width=512,
        dropout=0.3,
        hiding_weight=1e-4,
        hiding_steps=500_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes = image_shape, num_classes
        need_classes(self)
        self.channels, self.dense_width, self.dropout = channels, dense_width, dropout
        self.hiding_weight, self.hiding_steps = hiding_weight, hiding_steps
        self.encoder = build_encoder(image_shape, channels)
        self.decoder = build_decoder(image_shape, num_classes, channels)
        self.discriminator = build_discriminator(
            self.encoder.output.shape[1:], num_classes, dense_width, dropout
        )

    def players(self):
        return {
            "discriminator": [self.discriminator],
            "autoencoder": [self.encoder, self.decoder],
        }

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5, beta_2=0.999, global_clipnorm=5.0)

        return {"discriminator": adam(), "autoencoder": adam()}

    def reading_error(self, logits, label):
        """The cross-entropy of the attributes, summed over them, averaged over the batch.

        Args:
            logits: [N, num_classes, 2].
            label: [N, num_classes] of 0 and 1.
        """
        errors = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(label, "int32"), logits)
        return tf.reduce_mean(tf.reduce_sum(errors, axis=1))

    def hiding(self):
        """lambda_n, the weight of the encoder's loss against D."""
        n = tf.cast(self.step, "float32")
        return self.hiding_weight * tf.minimum(n / self.hiding_steps, 1.0)

    def discriminator_loss(self, image, label):
        code = self.encoder(image, training=False)
        return {"reading": self.reading_error(self.discriminator(code, training=True), label)}

    def autoencoder_loss(self, image, label):
        code = self.encoder(image, training=True)
        made = self.decoder([code, label], training=True)
        logits = self.discriminator(code, training=False)
        return {
            "reconstruction": tf.reduce_mean(tf.square(image - made)),
            "hiding": self.hiding() * self.reading_error(logits, 1.0 - label),
        }

    def train_step(self, data):
        for_d, for_autoencoder = (
            (batch["image"], self.one_hot(batch["label"])) for batch in self.split(data)
        )
        d = self.update("discriminator", self.discriminator_loss, *for_d)
        return d | self.update("autoencoder", self.autoencoder_loss, *for_autoencoder)

    def edit(self, image, label):
        """Images [N, H, W, C] with other attributes.

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: All attributes of the result, [N, num_classes]: 0 and 1, or a degree between, or
                beyond for more than there is in the data.
        """
        code = self.encoder(image, training=False)
        return self.decoder([code, tf.cast(label, "float32")], training=False)

    def slide(self, image, label, attribute):
        """Images in which one attribute goes from one value to the other, [N, 7, H, W, C].

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: Their attributes, [N, num_classes].
            attribute: Number of the one that moves.
        """
        at = tf.one_hot(attribute, self.num_classes)
        made = [self.edit(image, label * (1.0 - at) + degree * at) for degree in SLIDER]
        return tf.stack(made, axis=1)

    def directions(self):
        label = tf.TensorSpec([None, self.num_classes], name="label")
        return {"edit": ({"image": self.image_spec(), "label": label}, self.edit)}

    def preview(self, batch):
        """For each attribute two rows: an image, its reconstruction, and the attribute slid."""
        image = tf.convert_to_tensor(batch["image"])
        label = self.one_hot(batch["label"])
        rows = []
        for attribute in range(min(self.num_classes, 4)):
            some = slice(2 * attribute, 2 * attribute + 2)
            shown = image[some], self.edit(image[some], label[some])
            slid = tf.unstack(self.slide(image[some], label[some], attribute), axis=1)
            rows.append(images.table(*shown, *slid))
        return np.concatenate(rows)
