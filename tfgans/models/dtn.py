"""DTN — Domain Transfer Network: Unsupervised Cross-Domain Image Generation.

Taigman, Polyak, Wolf, ICLR 2017, arXiv:1611.02200.

New here: G = g(f(x)) for a given f, features that stand still. A translation must have the features
of its source, so it says the same, and an image of the target must come back as it is, so g knows
what the target looks like. D has three classes: 1, translations of the source; 2, images of the
target that went through G; 3, images of the target.

    phase 1   f and a head ("classifier") learn the classes of the source
    phase 2   D and g ("discriminator", "generator"); f never moves again, statistics included

With `baseline` it is the direct transformation that the paper compares with: an image-to-image
network of its own, all of whose weights learn, a D of two classes, and the features kept.
Another remedy keeps content without any such term: a shallow G, which cannot change much (Galanti
et al., arXiv:1709.00074, as known).

Differs from the paper: the sizes of the networks and the weight 15 are those of a public
re-implementation, whose game is another one. All distances are means over numbers. Weights start as
Keras starts them. g takes the features of both domains in one batch, so that the averages of its
normalizations, which its use takes, fit both. The baseline's G has the layers of f and g. The total
variation is |dx| + |dy|, summed over the pixels of an image.

Not verified: settings for faces (alpha 100, beta 1, gamma 0.05) and the paper's figures, 90.66 % of
translated SVHN named right and 13.71 % of the baseline's, are as known.

Reference: yunjey/domain-transfer-network (model.py), for sizes.
"""

import keras
import tensorflow as tf

from tfgans import images
from tfgans.models.inputs import need_classes
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def norm_relu(x):
    return keras.layers.ReLU()(norm(x))


def conv(x, filters, size=3, transposed=False, **kwargs):
    """A convolution that halves or doubles a map; of another size, one that covers a whole map."""
    kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
    step = {"strides": 2, "padding": "same"} if size == 3 else {}
    return kind(filters, size, use_bias=False, **step, **kwargs)(x)


def build_features(image_shape, width, code_dim, name="features"):
    """Images in [-1, 1] -> features [N, code_dim] in (-1, 1).

    Args:
        image_shape: (height, width, channels), halved until the shorter side has 4 to 7 pixels.
        width: Channels after the first halving; each further one doubles them.
        code_dim: Number of features.
        name: Name of the network.
    """
    times = halvings(image_shape, fewest=1)
    image = x = keras.Input(image_shape, name="image")
    for k in range(times):
        x = norm_relu(conv(x, width << k))
    x = norm(conv(x, code_dim, halved(image_shape, times)))
    x = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(image, keras.layers.Flatten(dtype="float32")(x), name=name)


def build_generator(image_shape, channels, width, code_dim):
    """g: features [N, code_dim] -> images of `channels` channels in [-1, 1].

    It has f's maps in the opposite order, each with twice as many channels.
    """
    times = halvings(image_shape, fewest=1)
    code = keras.Input([code_dim], name="code")
    x = keras.layers.Reshape([1, 1, code_dim])(code)
    x = norm_relu(conv(x, width << times, halved(image_shape, times), transposed=True))
    for k in range(times - 1, 0, -1):
        x = norm_relu(conv(x, width << k, transposed=True))
    image = keras.layers.Conv2DTranspose(
        channels, 3, 2, "same", activation="tanh", dtype="float32"
    )(x)
    return keras.Model(code, image, name="generator")


def build_discriminator(image_shape, channels, width, classes):
    """Images of `channels` channels -> logits [N, classes]."""
    times = halvings(image_shape, fewest=1)
    image = x = keras.Input([*image_shape[:2], channels], name="image")
    for k in range(times):
        x = norm_relu(conv(x, 2 * width << k))
    logits = keras.layers.Conv2D(classes, halved(image_shape, times), dtype="float32")(x)
    return keras.Model(image, keras.layers.Flatten(dtype="float32")(logits), name="discriminator")


def mean_squared(x, y):
    return tf.reduce_mean(tf.square(x - y))


def log_loss(logits, number):
    """The mean of -log D_number: cross-entropy with one class, counted from 1 as in the paper."""
    wanted = tf.fill([tf.shape(logits)[0]], number - 1)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits))


@keras.saving.register_keras_serializable("tfgans")
class DTN(TranslationModel):
    """Translates a labeled source to a target by features that stand still, as for SVHN to MNIST.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        num_classes: Number of classes of the source, at least 2.
        width: Channels of f after its first halving; g and D have twice as many at that size.
        code_dim: Number of features.
        gray_target: The target is gray: g makes one channel, which f and the user see repeated.
        constancy_weight: Weight of the distance of features, the paper's alpha.
        identity_weight: Weight of the distance of target images from themselves, its beta.
        smoothness_weight: Weight of the total variation, its gamma.
        baseline: The direct transformation in place of DTN, without the identity.
        pretrain_steps: Steps in which f learns the classes of the source.
    """

    data_kind = "labeled_shift"
    label_dim = 0  # no output is made for a label

    def __init__(
        self,
        image_shape=(32, 32, 3),
        num_classes=10,
        width=64,
        code_dim=128,
        gray_target=True,
        constancy_weight=15.0,
        identity_weight=15.0,
        smoothness_weight=0.0,
        baseline=False,
        pretrain_steps=20_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes = image_shape, num_classes
        need_classes(self, 2)
        self.width, self.code_dim, self.gray_target = width, code_dim, gray_target
        self.constancy_weight, self.identity_weight = constancy_weight, identity_weight
        self.smoothness_weight, self.baseline = smoothness_weight, baseline
        self.pretrain_steps = pretrain_steps
        self.stage_steps = (pretrain_steps,)
        channels = 1 if gray_target else image_shape[2]
        self.features = build_features(image_shape, width, code_dim)
        self.head = keras.Sequential(
            [keras.Input([code_dim]), keras.layers.Dense(num_classes, dtype="float32")], name="head"
        )
        # The features that g takes: f's own, or those of the baseline.
        self.encoder = (
            build_features(image_shape, width, code_dim, "encoder") if baseline else self.features
        )
        self.generator = build_generator(image_shape, channels, width, code_dim)
        self.discriminator = build_discriminator(
            image_shape, channels, width, classes=1 if baseline else 3
        )

    def players(self):
        return {
            "classifier": [self.features, self.head],
            "discriminator": [self.discriminator],
            "generator": [self.encoder, self.generator] if self.baseline else [self.generator],
        }

    def default_optimizers(self):
        return {player: Adam(3e-4) for player in self.players()}

    def plain(self, image):
        """Images of the target as g makes them: of one channel where the target is gray."""
        return tf.reduce_mean(image, axis=-1, keepdims=True) if self.gray_target else image

    def whole(self, image):
        """The opposite: a gray image, once for each channel of the model's images."""
        return tf.repeat(image, self.image_shape[2], axis=-1) if self.gray_target else image

    def given(self, image):
        """f of an image; it never trains in the game: its statistics stand still too."""
        return self.features(image, training=False)

    def made(self, image, training=True):
        """G(x) as g makes it, of images of either domain: [N, H, W, 1 or C]."""
        code = self.encoder(image, training=training and self.baseline)
        return self.generator(code, training=training)

    def classifier_loss(self, a, label):
        logits = self.head(self.features(a, training=True), training=True)
        errors = tf.nn.softmax_cross_entropy_with_logits(label, logits)
        return {"class": tf.reduce_mean(errors)}

    def discriminator_loss(self, a, b):
        real = self.discriminator(self.plain(b), training=True)
        if self.baseline:
            fake = self.discriminator(self.made(a), training=True)
            return {
                "real": tf.reduce_mean(tf.nn.softplus(-real)),
                "fake": tf.reduce_mean(tf.nn.softplus(fake)),
            }
        of_a, of_b = tf.split(self.made(tf.concat([a, b], axis=0)), 2)
        return {
            "source": log_loss(self.discriminator(of_a, training=True), 1),
            "target": log_loss(self.discriminator(of_b, training=True), 2),
            "real": log_loss(real, 3),
        }

    def generator_loss(self, a, b):
        if self.baseline:
            of_a = made = self.made(a)
            score = self.discriminator(of_a, training=True)
            terms = {"fake": tf.reduce_mean(tf.nn.softplus(-score))}
        else:
            made = self.made(tf.concat([a, b], axis=0))
            of_a, of_b = tf.split(made, 2)
            logits = [self.discriminator(fake, training=True) for fake in (of_a, of_b)]
            terms = {
                "fake": log_loss(logits[0], 3) + log_loss(logits[1], 3),
                "identity": self.identity_weight * mean_squared(self.plain(b), of_b),
            }
        kept = mean_squared(self.given(a), self.given(self.whole(of_a)))
        terms["constancy"] = self.constancy_weight * kept
        if self.smoothness_weight:
            variation = tf.reduce_mean(tf.image.total_variation(made))
            terms["smoothness"] = self.smoothness_weight * variation
        return terms

    def train_step(self, data):
        a, b = data["a"], data["b"]
        if self.stage == 0:
            label = self.one_hot(data["a_label"])
            return self.update("classifier", self.classifier_loss, a, label)
        d = self.update("discriminator", self.discriminator_loss, a, b)
        return d | self.update("generator", self.generator_loss, a, b)

    def transferred(self, image):
        """The images in the look of the target, [N, H, W, C] in [-1, 1]; of either domain."""
        return self.whole(self.made(image, training=False))

    def encode(self, image):
        """The features f of images, [N, code_dim]."""
        return self.given(image)

    def classify(self, image):
        """The probability of each class of an image by f and its head, [N, num_classes]."""
        return tf.nn.softmax(self.head(self.given(image), training=False))

    def directions(self):
        return {"translate": ({"a": self.image_spec()}, self.transferred)}

    def preview(self, batch):
        """Rows of a source image, its translation, a target image, and what G makes of that."""
        a, b = (tf.convert_to_tensor(batch[key][:PREVIEW]) for key in "ab")
        return images.table(a, self.transferred(a), b, self.transferred(b))

    def endpoints(self):
        image = [self.image_spec()]
        return super().endpoints() | {
            "encode": (lambda image: {"code": self.encode(image)}, image),
            "classify": (lambda image: {"probability": self.classify(image)}, image),
        }
