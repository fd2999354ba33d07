"""Semi-supervised GAN — Improved Techniques for Training GANs, section 5.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, NeurIPS 2016, arXiv:1606.03498.

New here: the discriminator is the classifier. It has an output l_k for each of K classes, and
"generated" is one class more, whose output is fixed at 0, because softmax does not change when all
outputs shift. So D(x) = Z / (Z + 1) with Z = sum_k exp(l_k): an image is real if it is anything.
Labeled images teach the classes; images without labels and generated ones teach D(x), and with it
features that make few labels enough. G matches the mean features of real images, which gives worse
pictures than fooling D, and a better classifier.

Differs from the paper: the settings are those of the authors' code, which has two architectures:
"conv" for CIFAR-10 (`discriminator_width=64` for SVHN) and "dense" for MNIST. Weights are
initialized from the first batch without labels, in the code from 500 images. Its averages of D's
weights, from which it classifies, begin at 0; here they are divided by what that lacks, 1 - (1 -
rate)^t, which is the same after a long training. Minibatch discrimination and the ensembles of ten
classifiers are not built. The last layer of the dense generator starts at N(0, 0.05) in place of
Glorot's uniform weights; its columns are normalized. Adam's constant is that of `improved_gan.py`.

Reference: openai/improved-gan (mnist_svhn_cifar10/train_cifar_feature_matching.py,
train_mnist_feature_matching.py).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.layers.dropout import Dropout
from tfgans.layers.gaussian_noise import GaussianNoise
from tfgans.layers.weight_norm import WeightNorm, initialize
from tfgans.models.cgan import with_label
from tfgans.models.improved_gan import build_generator, conv_trunk
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam, HoldThenDecay


def build_conv_discriminator(image_shape, width, outputs):
    """Images in [-1, 1] -> logits [N, outputs], and the features [N, 2 width] that G matches."""
    image = keras.Input(image_shape, name="image")
    features = conv_trunk(Dropout(0.2)(image), width)
    logits = WeightNorm(outputs, size=0, start_std=0.1, train_gain=True, dtype="float32")(features)
    return keras.Model(image, [logits, features], name="discriminator")


def build_dense_discriminator(image_shape, units, outputs, num_classes=0):
    """Images in [-1, 1] -> logits [N, outputs], and the features [N, units[-1]] that G matches.

    With classes it takes a label [N, num_classes] too, which enters every layer.
    """
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label") if num_classes else None
    x = keras.layers.Rescaling(0.5, 0.5)(image)  # the noise is for [0, 1]
    features = keras.layers.Flatten()(x)
    x = GaussianNoise(0.3)(features)
    for width in units:
        x = WeightNorm(width, size=0, kernel_std=0.1)(with_label(x, label))
        features = keras.layers.ReLU()(x)
        x = GaussianNoise(0.5)(features)
    logits = WeightNorm(outputs, size=0, kernel_std=0.1, train_gain=True, dtype="float32")(
        with_label(x, label)
    )
    inputs = [image, label] if num_classes else image
    return keras.Model(inputs, [logits, features], name="discriminator")


def build_dense_generator(image_shape, latent_dim, units, num_classes=0):
    """z [N, latent_dim] -> images in [-1, 1].

    With classes it takes a label [N, num_classes] too, which enters every layer.
    """
    z = x = keras.Input([latent_dim], name="z")
    label = keras.Input([num_classes], name="label") if num_classes else None
    for width in units:
        x = keras.layers.Dense(width, use_bias=False)(with_label(x, label))
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-6, scale=False)(x)
        x = keras.layers.Activation("softplus")(x)
    height, columns, channels = image_shape
    x = WeightNorm(height * columns * channels, size=0, train_gain=True, dtype="float32")(
        with_label(x, label)
    )
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    x = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    inputs = [z, label] if num_classes else z
    return keras.Model(inputs, keras.layers.Reshape(image_shape)(x), name="generator")


def decay_from_zero(rate, t):
    """Decay of an average of weights that began at 0, in its t-th update, without what it lacks.

    With d = 1 - rate, a(t) = d a(t-1) + (1 - d) w from a(0) = 0 is divided by 1 - d^t. The
    quotient obeys the same rule with d (1 - d^(t-1)) / (1 - d^t) in place of d.
    """
    d, t = 1.0 - rate, tf.cast(t, "float32")
    return d * (1.0 - tf.pow(d, t - 1.0)) / (1.0 - tf.pow(d, t))


@keras.saving.register_keras_serializable("tfgans")
class SemiGAN(LatentModel):
    """Classifier of K classes that is trained as a discriminator, on the networks for CIFAR-10.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ U(0, 1).
        num_classes: Number of classes that D tells apart, K.
        architecture: "conv" or "dense".
        generator_width: "conv": channels of the generator's last hidden layer; doubles towards the
            grid.
        discriminator_width: "conv": channels of the discriminator's first half; its second has
            twice as many.
        generator_units: "dense": units of the generator's hidden layers.
        discriminator_units: "dense": units of the discriminator's hidden layers.
        fake_output: D has an output of its own for generated images, K + 1 in all, in place of the
            constant 0.
        unlabeled_weight: Weight of the loss of images without labels; 0 for a plain classifier.
        feature_matching: Distance of mean features that G minimizes: "absolute" as for CIFAR-10, or
            "squared" as for MNIST. None: G minimizes log(1 - D) instead.
        average_rate: Share of D's weights that enters their averages in each step.
        decay_steps: "conv": length of the schedule of the learning rates, which are constant for
            two thirds of it and then fall to 0; those of "dense" stay.
    """

    data_kind = "semi_labeled"
    prior = (0.0, 1.0)
    label_dim = 0  # images are made without a label
    batches_per_step = 2  # G matches images that D has not just seen
    stage_steps = (1,)  # the first step also initializes the weights

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=100,
        num_classes=10,
        architecture="conv",
        generator_width=128,
        discriminator_width=96,
        generator_units=(500, 500),
        discriminator_units=(1000, 500, 250, 250, 250),
        fake_output=False,
        unlabeled_weight=1.0,
        feature_matching="absolute",
        average_rate=1e-4,
        decay_steps=600_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if feature_matching not in ("absolute", "squared", None):
            word = str(feature_matching)
            raise BadInput(nearest("kind of feature matching", word, ["squared", "absolute"]))
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        self.architecture = architecture
        self.generator_width, self.discriminator_width = generator_width, discriminator_width
        self.generator_units, self.discriminator_units = generator_units, discriminator_units
        self.fake_output, self.unlabeled_weight = fake_output, unlabeled_weight
        self.feature_matching, self.average_rate = feature_matching, average_rate
        self.decay_steps = decay_steps
        outputs = num_classes + fake_output
        if architecture == "conv":
            self.generator = build_generator(image_shape, latent_dim, generator_width, 0)
            self.discriminator = build_conv_discriminator(image_shape, discriminator_width, outputs)
        elif architecture == "dense":
            self.generator = build_dense_generator(image_shape, latent_dim, generator_units)
            self.discriminator = build_dense_discriminator(
                image_shape, discriminator_units, outputs
            )
        else:
            raise BadInput(nearest("architecture of SemiGAN", str(architecture), ["conv", "dense"]))
        self.discriminator_ema = self.ema_of(self.discriminator)

    def default_optimizers(self):
        def adam():
            third, rate = self.decay_steps / 3, 3e-3
            if self.architecture == "conv":
                rate = HoldThenDecay(3e-4, hold_steps=2 * third, decay_steps=third)
            return Adam(rate, beta_1=0.5, epsilon=1e-4)

        return {"discriminator": adam(), "generator": adam()}

    def class_logits(self, outputs):
        """The K outputs, the one for generated images being 0: [N, K]."""
        return outputs[:, :-1] - outputs[:, -1:] if self.fake_output else outputs

    def judge(self, image):
        """The logits of an image's classes [N, K], log Z [N], and D's features [N, F]."""
        outputs, features = self.discriminator(image, training=True)
        logits = self.class_logits(outputs)
        return logits, tf.reduce_logsumexp(logits, axis=1), tf.cast(features, "float32")

    def discriminator_loss(self, image, label, unlabeled):
        fake = self.generator(self.latents(unlabeled.shape[0]), training=True)
        logits, log_z, _ = self.judge(image)
        right = tf.reduce_sum(label * logits, axis=1)  # [N], l_y(x)
        _, real_log_z, _ = self.judge(unlabeled)
        _, fake_log_z, _ = self.judge(fake)
        # log D(x) = log Z - log(1 + Z) and log(1 - D(x)) = -log(1 + Z).
        real = tf.reduce_mean(tf.nn.softplus(real_log_z) - real_log_z)
        generated = tf.reduce_mean(tf.nn.softplus(fake_log_z))
        return {
            "classes": tf.reduce_mean(log_z - right),
            "real": 0.5 * self.unlabeled_weight * real,
            "fake": 0.5 * self.unlabeled_weight * generated,
        }

    def generator_loss(self, real):
        _, log_z, features = self.judge(self.generator(self.latents(real.shape[0]), training=True))
        if not self.feature_matching:
            return {"fake": -tf.reduce_mean(tf.nn.softplus(log_z))}  # log(1 - D)
        _, _, wanted = self.judge(real)
        gap = tf.reduce_mean(wanted, axis=0) - tf.reduce_mean(features, axis=0)
        distance = tf.square(gap) if self.feature_matching == "squared" else tf.abs(gap)
        return {"features": tf.reduce_mean(distance)}

    def average(self):
        """Moves the averages of D's weights."""
        decay = decay_from_zero(self.average_rate, self.step + 1)
        self.update_ema(self.discriminator_ema, self.discriminator, decay)

    def train_step(self, data):
        for_d, for_g = self.split(data)
        unlabeled, label = for_d["unlabeled"], self.one_hot(for_d["label"])
        if self.stage == 0:
            if self.architecture == "conv":
                initialize(self.generator, self.latents(unlabeled.shape[0]))
            initialize(self.discriminator, unlabeled)
        d = self.update("discriminator", self.discriminator_loss, for_d["image"], label, unlabeled)
        g = self.update("generator", self.generator_loss, for_g["unlabeled"])
        self.average()
        return d | g

    def classify(self, image):
        """The probability of each class, from the averaged weights.

        Args:
            image: [N, H, W, C] in [-1, 1].

        Returns:
            {"probability": [N, K]}; they add up to 1.
        """
        outputs, _ = self.discriminator_ema(image, training=False)
        return {"probability": tf.nn.softmax(self.class_logits(outputs))}

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {"classify": (self.classify, [image])}
