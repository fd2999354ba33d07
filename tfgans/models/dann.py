"""DANN — Domain-Adversarial Training of Neural Networks.

Ganin, Ustinova, Ajakan, Germain, Larochelle, Laviolette, Marchand, Lempitsky, JMLR 2016,
arXiv:1505.07818; first in Ganin & Lempitsky, ICML 2015, arXiv:1409.7495.

New here: the opponent judges features, not images. Labels exist for one domain, the source, and the
classifier is wanted for another, the target. A second head on the features names the domain of an
image; a layer of gradient reversal stands before it, so the head descends its loss while the
features climb it. In the end the features tell the classes of the source and hide the domain, and
the classifier reads the target too. All weights move at once, under one optimizer.

Differs from the paper: pixels are divided by 2 instead of taking the mean color of both sets away
from pixels in [0, 1], so the mean of all grays is 0. The weights start as in the TensorFlow code:
truncated N(0, 0.1), biases at 0.1. The network for Office (AlexNet with a bottleneck) is not built.

Not verified: the settings for MNIST -> MNIST-M are those of the TensorFlow code; the paper's own
figures, 52.25 % on the source alone and 76.66 % for DANN, are as known.

Reference: pumpikano/tf-dann (MNIST-DANN.ipynb, flip_gradient.py, utils.py); ddtm/caffe, branch grl
(gradient_scaler_layer.cpp).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import previews
from tfgans.layers.gradient_reversal import GradientReversal
from tfgans.models.base import BaseModel
from tfgans.models.inputs import need_classes
from tfgans.optimizers import InverseDecay
from tfgans.shapes import halved

START = {
    "kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.1),
    "bias_initializer": keras.initializers.Constant(0.1),
}


def dense(units, **kwargs):
    return keras.layers.Dense(units, **START, **kwargs)


def build_features(image_shape, width):
    """Images in [-1, 1] -> features [N, H / 4 * W / 4 * 3 width / 2]."""
    halved(image_shape, 2)
    image = keras.Input(image_shape, name="image")
    x = keras.layers.Rescaling(0.5)(image)
    for filters in (width, 3 * width // 2):
        x = keras.layers.Conv2D(filters, 5, padding="same", activation="relu", **START)(x)
        x = keras.layers.MaxPooling2D(2)(x)
    return keras.Model(image, keras.layers.Flatten()(x), name="features")


def build_head(length, units, outputs, name):
    """Features [N, length] -> logits [N, outputs], through hidden layers of `units`."""
    x = features = keras.Input([length])
    for count in units:
        x = dense(count, activation="relu")(x)
    return keras.Model(features, dense(outputs, dtype="float32")(x), name=name)


@keras.saving.register_keras_serializable("tfgans")
class DANN(BaseModel):
    """Classifier of a domain without labels, as for MNIST -> MNIST-M.

    Args:
        image_shape: (height, width, channels) of the images, both sides multiples of 4.
        num_classes: Number of classes, at least 2.
        width: Channels of the first convolution; the second one has half as many again.
        label_units: Units of the hidden layers of the head for classes.
        domain_units: Units of the hidden layers of the head for domains.
        reversal: lambda at the end of its schedule; 0 for training on the source alone.
        decay_steps: Length of the training for which both schedules are made, that of lambda and
            that of the learning rate.
    """

    data_kind = "labeled_shift"

    def __init__(
        self,
        image_shape=(28, 28, 3),
        num_classes=10,
        width=32,
        label_units=(100, 100),
        domain_units=(100,),
        reversal=1.0,
        decay_steps=8600,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes, self.width = image_shape, num_classes, width
        self.label_units, self.domain_units = label_units, domain_units
        self.reversal, self.decay_steps = reversal, decay_steps
        need_classes(self, 2)
        self.features = build_features(image_shape, width)
        length = self.features.output_shape[-1]
        self.label_head = build_head(length, label_units, num_classes, "label_head")
        self.domain_head = build_head(length, domain_units, 2, "domain_head")
        self.reverse = GradientReversal()

    def players(self):
        return {"classifier": [self.features, self.label_head, self.domain_head]}

    def default_optimizers(self):
        rate = InverseDecay(0.01, self.decay_steps, factor=10.0, power=0.75)
        return {"classifier": keras.optimizers.SGD(rate, momentum=0.9)}

    def strength(self, step):
        """lambda of a step: reversal * (2 / (1 + exp(-10 p)) - 1), p = step / decay_steps."""
        p = tf.cast(step, "float32") / self.decay_steps
        return self.reversal * (2.0 / (1.0 + tf.exp(-10.0 * p)) - 1.0)

    def classifier_loss(self, a, label, b, strength):
        source, target = self.features(a, training=True), self.features(b, training=True)
        logits = self.label_head(source, training=True)  # the target has no labels
        right = tf.nn.softmax_cross_entropy_with_logits(label, logits)

        def domain(features, number):
            logits = self.domain_head(self.reverse(features, strength=strength), training=True)
            wanted = tf.fill([tf.shape(features)[0]], number)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)

        both = 0.5 * (tf.reduce_mean(domain(source, 0)) + tf.reduce_mean(domain(target, 1)))
        return {"label": tf.reduce_mean(right), "domain": both}

    def train_step(self, data):
        label, strength = self.one_hot(data["a_label"]), self.strength(self.step)
        return self.update(
            "classifier", self.classifier_loss, data["a"], label, data["b"], strength
        )

    def call(self, image):
        """The probability of each class, [N, num_classes], for images in [-1, 1]."""
        features = self.features(image, training=False)
        return tf.nn.softmax(self.label_head(features, training=False))

    def outputs(self, batch):
        """The probability of each class for the images of the target, [N, num_classes]."""
        return self(batch["b"])

    def preview(self, batch):
        """Features and, right, the last hidden layer of the head for classes: see `scatter`."""
        return self.scatter(batch["a"], batch["b"])

    def scatter(self, source, target):
        """Pictures of what the networks make of two domains: source in blue, target in orange.

        Args:
            source: [N, H, W, C] in [-1, 1].
            target: Likewise.

        Returns:
            [2, side, side, 3]: the features, and the last hidden layer of the head for classes,
            each in its two main directions.
        """
        features = [self.features(image, training=False) for image in (source, target)]
        hidden = keras.Model(self.label_head.inputs, self.label_head.layers[-1].input)
        layers = features, [hidden(x, training=False) for x in features]
        return np.concatenate([previews.scatter(*both) for both in layers])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        classify = (lambda image: {"probability": self(image)}, [image])
        return {"serving_default": classify, "classify": classify}
