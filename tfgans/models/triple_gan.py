"""Triple-GAN — Triple Generative Adversarial Nets.

Li, Xu, Zhu, Zhang, NeurIPS 2017, arXiv:1703.02291.

New here: three players. A classifier C names images, a generator G makes images of a given class,
and a discriminator D judges pairs of image and label, from C, from G or from the data. One D that
judges images and names classes, as that of `semi_gan.py`, has two goals that need not agree: it
must fail to tell good fakes from images, and should name the class of both. Here both C and G
only have to make pairs as the data have them, and G makes labeled images for C.

Labels are few, so images without one join the real pairs with the label that C gives them. C's pair
is an image with its most probable class; the gradient goes through the probability of that class,
by which its term is weighted, and not through the choice nor through D (section 3.2).

Differs from the paper: the settings are those of the authors' code, which has two forms: "conv"
for CIFAR-10 and "dense" for MNIST (C is convolutional in both). The code's ZCA whitening of what C
sees of CIFAR-10 is left out. The order of moves is that of the paper's algorithm, D, C, G; in the
code it is D, G, C. Labels of generated images are drawn, in the code each class comes equally
often. For MNIST, D's real pairs are one labeled image and 199 others, in the code 1 and 400; C
learns first from 400 images without a label at once, there from 500. Learning rates fall within
epochs too. In the code for CIFAR-10, C's Adam has beta_1 0.9 at first, and the agreement of two
passes counts from the second epoch on. The generator of "dense" has no gains in its batch
normalization, its D a trained gain at the end, as in `semi_gan.py`; y enters D's second layer once,
in the code twice. Averages of C's weights are divided by what they lack, as in `semi_gan.py`.

Reference: zhenxuan00/triple-gan (x2y_yz2x_xy2p_ssl_cifar10.py, x2y_yz2x_xy2p_ssl_mnist.py).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.layers.dropout import Dropout
from tfgans.layers.gaussian_noise import GaussianNoise
from tfgans.layers.weight_norm import WeightNorm, initialize
from tfgans.models.cgan import with_label
from tfgans.models.improved_gan import build_generator, initializer
from tfgans.models.inputs import need_periods
from tfgans.models.latent import LatentModel
from tfgans.models.semi_gan import (
    build_dense_discriminator,
    build_dense_generator,
    decay_from_zero,
)
from tfgans.optimizers import Adam, HoldThenDecay

LEAST = {"conv": 20, "dense": 12}  # pixels of the shorter side that leave one at the end
PRETRAINING, WITH_GENERATED = 2, 3  # stages before the first belong to it; the game's second part


class MeanOnlyBatchNorm(WeightNorm):
    """Weight normalization, and outputs of mean 0 in each batch (arXiv:1602.07868, section 4).

    Args:
        momentum: Decay of the moving mean, which stands for the batch's in inference.
        kwargs: Those of `WeightNorm`.
    """

    def __init__(self, filters, size=3, momentum=0.999, **kwargs):
        super().__init__(filters, size, train_gain=True, **kwargs)
        self.momentum = momentum

    def build(self, input_shape):
        super().build(input_shape)
        self.moving_mean = self.add_weight(
            name="moving_mean",
            shape=(self.filters,),
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def moments(self, y):
        return tf.nn.moments(tf.cast(y, "float32"), list(range(y.shape.rank - 1)))

    def call(self, x, training=False):
        y, mean = self.linear(x), self.moving_mean
        if training:
            mean, _ = self.moments(y)
            decay = self.momentum
            self.moving_mean.assign(decay * self.moving_mean + (1.0 - decay) * mean)
        return y + tf.cast(self.bias - mean, y.dtype)

    def initialize(self, x):
        """Makes the outputs for this batch have deviation 1 per channel."""
        _, variance = self.moments(self.linear(tf.cast(x, "float32")))
        self.gain.assign(self.gain * tf.math.rsqrt(variance))


def build_conv_discriminator(image_shape, num_classes, width):
    """Images in [-1, 1] and label [N, num_classes] -> scores [N, 1]; y enters every layer."""
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")

    def conv(x, filters, **kwargs):
        x = WeightNorm(filters, 3, **kwargs)(with_label(x, label))
        return keras.layers.LeakyReLU(0.2)(x)

    x = Dropout(0.2)(image)
    for filters in (width, 2 * width):
        x = Dropout(0.2)(conv(conv(x, filters), filters, strides=2))
    for _ in range(2):
        x = conv(x, 4 * width, padding="valid")
    x = with_label(keras.layers.GlobalAveragePooling2D(dtype="float32")(x), label)
    score = WeightNorm(1, size=0, train_gain=True, dtype="float32")(x)
    return keras.Model([image, label], score, name="discriminator")


def build_conv_classifier(image_shape, num_classes, width):
    """Images in [-1, 1] -> logits [N, num_classes]."""

    def conv(x, filters, size=3, padding="same"):
        x = MeanOnlyBatchNorm(filters, size, padding=padding)(x)
        return keras.layers.LeakyReLU(0.1)(x)

    image = keras.Input(image_shape, name="image")
    x = GaussianNoise(0.15)(image)
    for filters in (width, 2 * width):
        for _ in range(3):
            x = conv(x, filters)
        x = Dropout(0.5)(keras.layers.MaxPooling2D()(x))
    x = conv(x, 4 * width, padding="valid")
    x = conv(conv(x, 2 * width, size=1), width, size=1)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    logits = MeanOnlyBatchNorm(num_classes, size=0, dtype="float32")(x)
    return keras.Model(image, logits, name="classifier")


def build_small_classifier(image_shape, num_classes, width):
    """Images in [-1, 1] -> logits [N, num_classes]; the classifier for MNIST."""

    def conv(x, filters, size=3, padding="same"):
        x = keras.layers.Conv2D(
            filters, size, padding=padding, use_bias=False, kernel_initializer=initializer()
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-4)(x)
        return keras.layers.ReLU()(x)

    def halve(x):
        return Dropout(0.5)(keras.layers.MaxPooling2D()(x))

    image = keras.Input(image_shape, name="image")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    x = halve(conv(x, width, size=5, padding="valid"))
    x = halve(conv(conv(x, 2 * width), 2 * width, padding="valid"))
    x = conv(conv(x, 4 * width), 4 * width)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    start = keras.initializers.RandomNormal(stddev=0.01)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=start, dtype="float32", name="logits"
    )(x)
    return keras.Model(image, logits, name="classifier")


def need_multiple(n, every, word):
    """Raises BadInput where n examples are no multiple of a stride."""
    if n % every:
        raise BadInput(
            f"Every {every}th of the examples is taken, and {n} on one device are no multiple of "
            f"that: change model.{word}, data.batch_size or train.accumulate."
        )


def cross_entropy(label, logits):
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(label, logits))


@keras.saving.register_keras_serializable("tfgans")
class TripleGAN(LatentModel):
    """Triple-GAN in its setting for CIFAR-10 with 4,000 labels.

    A step takes two batches of images with labels and as many without: the first for D's real
    pairs, the second for C and for D's pairs of C. Rows are taken by their number, so that each
    part of a batch and each replica takes its share.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ U(0, 1).
        num_classes: Number of classes, K.
        architecture: "conv" or "dense".
        generator_width: "conv": channels of the generator's last hidden layer; doubles towards the
            grid.
        discriminator_width: "conv": channels of the discriminator's first two layers.
        classifier_width: Channels of the classifier's first layer.
        generator_units: "dense": units of the generator's hidden layers.
        discriminator_units: "dense": units of the discriminator's hidden layers.
        labeled_every: One of so many real pairs for D has a label from the data, the others C's.
        classifier_every: C takes one of so many rows, labeled and not.
        pretrain_steps: First steps, in which C learns alone; the code has 30 passes for MNIST with
            100 labels, otherwise none.
        adversarial_weight: alpha_adv, of the term by which C pleases D.
        generated_weight: alpha_g, of the cross-entropy of C on generated images.
        generated_from: Steps of the game before that term counts; one more where C does not learn
            alone, since the first step initializes C.
        consistency_weight: Weight of the squared difference of two passes of C, "conv".
        ramp_steps: Steps over which this weight rises, as exp(-5 (1 - t)^2).
        entropy_weight: Weight of the entropy of C's answers to images without label, "dense".
        balance_weight: Weight of the cross-entropy of C's mean answer with equal shares,
            "dense".
        pretrain_balance_weight: The same while C learns alone.
        weight_decay: Factor of w^2 for the kernel of C's last layer, "dense"; the code has it for
            this layer alone.
        average_rate: Share of C's weights that enters their averages in each step.
        hold_steps: Updates of each player at a constant learning rate.
        decay_steps: Updates over which it then falls, by 0.995^700 (C of "conv": 0.99^700).
    """

    data_kind = "semi_labeled"
    prior = (0.0, 1.0)
    batches_per_step = 2

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=100,
        num_classes=10,
        architecture="conv",
        generator_width=128,
        discriminator_width=32,
        classifier_width=128,
        generator_units=(500, 500),
        discriminator_units=(1000, 500, 250, 250, 250),
        labeled_every=5,
        classifier_every=2,
        pretrain_steps=0,
        adversarial_weight=0.01,
        generated_weight=0.1,
        generated_from=100_000,
        consistency_weight=100.0,
        ramp_steps=40_000,
        entropy_weight=0.0,
        balance_weight=0.0,
        pretrain_balance_weight=0.3,
        weight_decay=0.0,
        average_rate=0.01,
        hold_steps=150_000,
        decay_steps=350_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if architecture not in LEAST:
            raise BadInput(nearest("architecture of TripleGAN", str(architecture), LEAST))
        least = LEAST[architecture]
        if min(image_shape[:2]) < least:
            raise BadInput(
                f"TripleGAN's {architecture!r} networks take images of {least}x{least} or more, "
                f"not {image_shape[0]}x{image_shape[1]}."
            )
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        self.architecture, self.generator_width = architecture, generator_width
        self.discriminator_width, self.classifier_width = discriminator_width, classifier_width
        self.generator_units, self.discriminator_units = generator_units, discriminator_units
        self.labeled_every, self.classifier_every = labeled_every, classifier_every
        self.pretrain_steps, self.adversarial_weight = pretrain_steps, adversarial_weight
        self.generated_weight, self.generated_from = generated_weight, generated_from
        self.consistency_weight, self.ramp_steps = consistency_weight, ramp_steps
        self.entropy_weight, self.balance_weight = entropy_weight, balance_weight
        self.pretrain_balance_weight, self.weight_decay = pretrain_balance_weight, weight_decay
        self.average_rate = average_rate
        self.hold_steps, self.decay_steps = hold_steps, decay_steps
        need_periods(self, "labeled_every", "classifier_every")
        # The first step also initializes C; generated images enter C's loss in the last stage.
        self.stage_steps = (1, max(pretrain_steps - 1, 0), generated_from)
        if architecture == "conv":
            self.generator = build_generator(
                image_shape, latent_dim, generator_width, 0, num_classes
            )
            self.discriminator = build_conv_discriminator(
                image_shape, num_classes, discriminator_width
            )
            self.classifier = build_conv_classifier(image_shape, num_classes, classifier_width)
        else:
            self.generator = build_dense_generator(
                image_shape, latent_dim, generator_units, num_classes
            )
            judge = build_dense_discriminator(image_shape, discriminator_units, 1, num_classes)
            self.discriminator = keras.Model(judge.inputs, judge.outputs[0], name="discriminator")
            self.classifier = build_small_classifier(image_shape, num_classes, classifier_width)
        self.classifier_ema = self.ema_of(self.classifier)

    def players(self):
        players = {
            "discriminator": [self.discriminator],
            "classifier": [self.classifier],
            "generator": [self.generator],
        }
        # C's moves before the game have an optimizer of their own.
        return players | ({"pretraining": [self.classifier]} if self.pretrain_steps else {})

    def default_optimizers(self):
        def adam(rate, factor=0.995):
            hold, decay = self.hold_steps, self.decay_steps
            rate = HoldThenDecay(rate, hold, decay, final=factor**700, exponential=True)
            return Adam(rate, beta_1=0.5)

        if self.architecture == "conv":
            optimizers = {
                "discriminator": adam(3e-4),
                "classifier": adam(3e-3, factor=0.99),
                "generator": adam(3e-4),
            }
        else:
            optimizers = {p: adam(1e-3) for p in ("discriminator", "classifier", "generator")}
        return optimizers | ({"pretraining": Adam(3e-4)} if self.pretrain_steps else {})

    def best_label(self, logits):
        """The most probable class of `logits` as a label vector, [N, K]; it has no gradient."""
        return tf.one_hot(tf.argmax(logits, axis=1), self.num_classes)

    def for_classifier(self, *tensors):
        """The rows of the `tensors` of a batch that C takes."""
        need_multiple(tensors[0].shape[0], self.classifier_every, "classifier_every")
        return [x[:: self.classifier_every] for x in tensors]

    def real_pairs(self, image, label, unlabeled):
        """Every k-th image with its label; in between images with C's labels: [N, ...], [N, K].

        Args:
            image: Labeled images [N, H, W, C].
            label: Their vectors [N, K].
            unlabeled: Other images, [N, H, W, C].
        """
        n = image.shape[0]
        need_multiple(n, self.labeled_every, "labeled_every")
        guess = self.best_label(self.classifier(unlabeled, training=True))
        known = tf.range(n)[:, tf.newaxis] % self.labeled_every == 0  # [N, 1]
        pixels = known[:, :, tf.newaxis, tf.newaxis]
        return tf.where(pixels, image, unlabeled), tf.where(known, label, guess)

    def make(self, n):
        """Generated images of drawn labels, [n, H, W, C] and [n, K], in training."""
        label = self.random_label(n)
        return self.generator([self.latents(n), label], training=True), label

    def discriminator_loss(self, image, label, unlabeled, others):
        """D's terms: real pairs of a batch, generated pairs, C's pairs of the other batch.

        Args:
            image: Labeled images [N, H, W, C].
            label: Their vectors [N, K].
            unlabeled: Other images, [N, H, W, C].
            others: Images of the other batch, for C.
        """
        (others,) = self.for_classifier(others)
        guess = self.best_label(self.classifier(others, training=True))
        real_score = self.discriminator(self.real_pairs(image, label, unlabeled), training=True)
        fake_score = self.discriminator(self.make(image.shape[0]), training=True)
        guess_score = self.discriminator([others, guess], training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "generated": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
            "classified": 0.5 * tf.reduce_mean(tf.nn.softplus(guess_score)),
        }

    def generator_loss(self, n):
        score = self.discriminator(self.make(n), training=True)
        return {"fake": 0.5 * tf.reduce_mean(tf.nn.softplus(-score))}

    def learn(self, image, label, unlabeled, balance_weight):
        """The terms of C without D and G, and its logits for the images without labels.

        Args:
            image: Labeled images [N, H, W, C].
            label: Their vectors [N, K].
            unlabeled: Other images, [N, H, W, C].
            balance_weight: Weight of the term that wants all classes equally often; 0 for none.
        """
        terms = {"classes": cross_entropy(label, self.classifier(image, training=True))}
        logits = self.classifier(unlabeled, training=True)
        answer = tf.nn.softmax(logits)
        if self.consistency_weight:
            second = tf.nn.softmax(self.classifier(unlabeled, training=True))
            difference = tf.reduce_mean(tf.square(answer - second))
            terms["consistency"] = self.consistency_weight * self.ramp() * difference
        if self.entropy_weight:
            terms["entropy"] = self.entropy_weight * cross_entropy(answer, logits)
        if balance_weight:
            mean = tf.reduce_mean(answer, axis=0)  # [K]
            terms["balance"] = -balance_weight * tf.reduce_mean(tf.math.log(mean + 1e-6))
        if self.weight_decay:
            kernel = self.classifier.layers[-1].kernel
            terms["decay"] = self.weight_decay * tf.reduce_sum(tf.square(kernel))
        return terms, logits

    def ramp(self):
        """Rises from exp(-5) to 1."""
        left = 1.0 - tf.minimum(tf.cast(self.step, "float32") / self.ramp_steps, 1.0)
        return tf.exp(-5.0 * tf.square(left))

    def pretraining_loss(self, image, label, unlabeled):
        every = self.batches_per_step * self.classifier_every
        need_multiple(image.shape[0], every, "classifier_every")
        image, label = image[::every], label[::every]
        return self.learn(image, label, unlabeled, self.pretrain_balance_weight)[0]

    def classifier_loss(self, image, label, unlabeled):
        n = image.shape[0]
        image, label, unlabeled = self.for_classifier(image, label, unlabeled)
        terms, logits = self.learn(image, label, unlabeled, self.balance_weight)
        # How probable the answer is has a gradient; the answer and D's score of it have none.
        score = self.discriminator([unlabeled, self.best_label(logits)], training=True)[:, 0]
        probability = tf.reduce_max(tf.nn.softmax(logits), axis=1)
        pleased = tf.reduce_mean(probability * tf.nn.softplus(-score))
        terms["adversarial"] = 0.5 * self.adversarial_weight * pleased
        if self.stage == WITH_GENERATED and self.generated_weight:
            fake, label = self.make(n)
            logits = self.classifier(fake, training=True)
            terms["generated"] = self.generated_weight * cross_entropy(label, logits)
        return terms

    def train_step(self, data):
        label = self.one_hot(data["label"])
        for_d, for_c = self.split(data | {"label": label})
        if self.stage == 0:
            initialize(self.classifier, for_c["unlabeled"])
        if self.stage < PRETRAINING and self.pretrain_steps:
            whole = data["image"], label, data["unlabeled"]
            logs = self.update("pretraining", self.pretraining_loss, *whole)
        else:
            pairs = for_d["image"], for_d["label"], for_d["unlabeled"]
            own = for_c["image"], for_c["label"], for_c["unlabeled"]
            logs = self.update("discriminator", self.discriminator_loss, *pairs, own[2])
            logs |= self.update("classifier", self.classifier_loss, *own)
            logs |= self.update("generator", self.generator_loss, n=label.shape[0] // 2)
        decay = decay_from_zero(self.average_rate, self.step + 1)
        self.update_ema(self.classifier_ema, self.classifier, decay)
        return logs

    def classify(self, image):
        """The probability of each class, from the averaged weights.

        Args:
            image: [N, H, W, C] in [-1, 1].

        Returns:
            {"probability": [N, K]}; they add up to 1.
        """
        return {"probability": tf.nn.softmax(self.classifier_ema(image, training=False))}

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {"classify": (self.classify, [image])}
