"""AC-GAN — Conditional Image Synthesis with Auxiliary Classifier GANs.

Odena, Olah, Shlens, ICML 2017, arXiv:1610.09585.

New here: D is told no class. It has to name it: beside the source of an image, real or generated,
it predicts its class. Both players want the class of real and of generated images to be predicted
right; they disagree about the source alone.

Differs from the paper: nothing known in the losses; G's loss of the source is the non-saturating
one. The tables of the paper differ in width between data sets; the sizes here are those of a public
implementation, which agree with the table for ImageNet as known, and so do the numbers of weights.
For "cifar" that implementation alone stands here. How weights of normalizations start is not
stated: at 1. `classifier`, a given one in place of D's own, is not in the paper.

Reference: none of the authors; clvrai/ACGAN-PyTorch (network.py).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.layers.dropout import Dropout
from tfgans.models.dcgan import initializer
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def deconv(filters, kernel_size, strides=2, padding="valid", **kwargs):
    return keras.layers.Conv2DTranspose(
        filters,
        kernel_size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer=initializer(),
        **kwargs,
    )


def build_generator(image_shape, latent_dim, num_classes, dense_width, channels, architecture):
    """z [N, latent_dim] and label [N, num_classes] -> images in [-1, 1].

    "imagenet" has sides of 1, 5, 13, 29, ... pixels, and a power of two at last; "cifar" of 1, 4,
    8, 16, ...
    """
    if not channels:
        raise BadInput("AC-GAN's generator_channels are one number or more, such as [384, 192].")
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    x = keras.layers.Concatenate()([label, z])
    x = keras.layers.Dense(dense_width, "relu", kernel_initializer=initializer())(x)
    x = keras.layers.Reshape([1, 1, dense_width])(x)
    last = {"filters": image_shape[2], "activation": "tanh", "dtype": "float32"}
    if architecture == "imagenet":
        for width in channels:
            x = keras.layers.ReLU()(norm(deconv(width, 5)(x)))
        image = deconv(kernel_size=8, **last)(x)
    else:
        x = keras.layers.ReLU()(norm(deconv(channels[0], 4, 1)(x)))
        for width in channels[1:]:
            x = keras.layers.ReLU()(norm(deconv(width, 4, padding="same")(x)))
        image = deconv(kernel_size=4, padding="same", **last)(x)
    if image.shape[1:3] != tuple(image_shape[:2]):
        raise BadInput(
            f"AC-GAN's generator with {len(channels)} numbers in generator_channels makes images "
            f"of {image.shape[1]}x{image.shape[2]} pixels, not {image_shape[0]}x{image_shape[1]}: "
            "each number doubles the side."
        )
    return keras.Model([z, label], image, name="generator")


def build_discriminator(image_shape, num_classes, channels, dropout):
    """Images in [-1, 1] -> scores [N, 1], and logits of the classes [N, num_classes]."""
    image = x = keras.Input(image_shape, name="image")
    for k, width in enumerate(channels):
        halve = k % 2 == 0
        if not halve and min(x.shape[1:3]) < 3:
            raise BadInput(
                f"AC-GAN's discriminator with {len(channels)} numbers in discriminator_channels "
                f"has no pixel left of images of {image_shape[0]}x{image_shape[1]}: give it fewer "
                "numbers, or larger images."
            )
        x = keras.layers.ZeroPadding2D(1)(x) if halve else x
        x = keras.layers.Conv2D(
            width, 3, 2 if halve else 1, use_bias=False, kernel_initializer=initializer()
        )(x)
        x = Dropout(dropout)(keras.layers.LeakyReLU(0.2)(norm(x) if k else x))
    x = keras.layers.Flatten()(x)
    heads = [
        keras.layers.Dense(units, kernel_initializer=initializer(), dtype="float32")(x)
        for units in (1, num_classes)
    ]
    return keras.Model(image, heads, name="discriminator")


def given_classifier(path):
    """A classifier in a .keras file: images [N, H, W, C] in [-1, 1] -> probabilities [N, K]."""
    return keras.saving.load_model(path, compile=False)


@keras.saving.register_keras_serializable("tfgans")
class ACGAN(LatentModel):
    """GAN with an auxiliary classifier, in its setting for ImageNet: ten classes of 128x128 images.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I), without the label.
        num_classes: Length of the label vector.
        architecture: "imagenet" or "cifar", see `build_generator`.
        dense_width: Units of the generator's first layer.
        generator_channels: Channels of the generator's layers between that and the image.
        discriminator_channels: Channels of the discriminator's layers from the image on; the first,
            third, fifth halve the image, the others cut its rim of one pixel.
        dropout: Share of the features of D's layers that is dropped.
        class_weight: Weight of the losses of the class, for both players.
        classifier: Path of a .keras file with a classifier of images in [-1, 1] that gives
            probabilities, [N, num_classes]. G has to convince it in place of D, which then learns
            no classes.
    """

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=100,
        num_classes=10,
        architecture="imagenet",
        dense_width=768,
        generator_channels=(384, 256, 192, 64),
        discriminator_channels=(16, 32, 64, 128, 256, 512),
        dropout=0.5,
        class_weight=1.0,
        classifier="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if architecture not in ("imagenet", "cifar"):
            raise BadInput(
                nearest("architecture of AC-GAN", str(architecture), ["imagenet", "cifar"])
            )
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        need_classes(self)
        self.architecture, self.dense_width = architecture, dense_width
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.dropout, self.class_weight, self.classifier = dropout, class_weight, classifier
        self.generator = build_generator(
            image_shape, latent_dim, num_classes, dense_width, generator_channels, architecture
        )
        self.discriminator = build_discriminator(
            image_shape, num_classes, discriminator_channels, dropout
        )
        if classifier:
            self.given = self.frozen(classifier, given_classifier)

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def generate(self, n):
        """n new images and their labels, each class with the same probability."""
        label = self.random_label(n)
        return self.generator([self.latents(n), label], training=True), label

    def class_loss(self, label, logits):
        error = tf.nn.softmax_cross_entropy_with_logits(label, logits)
        return self.class_weight * tf.reduce_mean(error)

    def discriminator_loss(self, real, label):
        fake, fake_label = self.generate(real.shape[0])
        real_score, real_logits = self.discriminator(real, training=True)
        fake_score, fake_logits = self.discriminator(fake, training=True)
        source = {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }
        if self.classifier:
            return source
        return source | {
            "real_class": self.class_loss(label, real_logits),
            "fake_class": self.class_loss(fake_label, fake_logits),
        }

    def given_logits(self, image):
        """The given classifier's logits of an image each, [N, num_classes], up to a constant."""
        probability = self.given(image)
        if tuple(probability.shape) != (image.shape[0], self.num_classes):
            raise BadInput(
                f"{self.classifier} is to give {self.num_classes} probabilities for each image, "
                f"and gives {list(probability.shape)} for {image.shape[0]} images."
            )
        return tf.math.log(tf.maximum(probability, 1e-12))  # softmax gives them back

    def generator_loss(self, n):
        fake, label = self.generate(n)
        score, logits = self.discriminator(fake, training=True)
        if self.classifier:
            logits = self.given_logits(fake)
        return {
            "fake": tf.reduce_mean(tf.nn.softplus(-score)),
            "fake_class": self.class_loss(label, logits),
        }

    def train_step(self, data):
        real, label = data["image"], self.one_hot(data["label"])
        d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g

    def classify(self, image):
        """{"probability": [N, num_classes]} by D, for images [N, H, W, C] in [-1, 1]."""
        _, logits = self.discriminator(image, training=False)
        return {"probability": tf.nn.softmax(logits)}

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        own = {} if self.classifier else {"classify": (self.classify, [image])}
        return super().endpoints() | own
