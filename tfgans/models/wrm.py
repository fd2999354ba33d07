"""WRM — Certifying Some Distributional Robustness with Principled Adversarial Training.

Sinha, Namkoong, Duchi, ICLR 2018, arXiv:1710.10571.

New here: not a GAN, but adversarial training of a classifier. Each image is replaced by the one
that the classifier finds hardest, where each step away from it has a price: x' maximizes loss(x') -
gamma |x' - x|^2. With a high price this problem is concave for a smooth loss, so a few steps uphill
solve it, and the mean of the maxima bounds the loss under all distributions of images near the data
(in the Wasserstein distance). Attacks that project on a ball promise nothing of the kind.

Differs from the paper: nothing known in the formulas, which are those of the authors' code: the
first step goes straight up the slope, then 15 steps get shorter with 1 / sqrt(t + 2). Its epsilon
is 1 / (2 gamma). As there, hard images may leave [-1, 1]. Distances are measured as there, for
pixels in [0, 1]. Other sizes of images than 28x28 change the dense layer alone.

Reference: duchi-lab/certifiable-distributional-robustness (attacks_tf.py, train_mnist_models.py).
"""

import keras
import tensorflow as tf

from tfgans import images
from tfgans.errors import BadInput
from tfgans.models.base import BaseModel
from tfgans.models.inputs import need_classes
from tfgans.optimizers import Adam

SMALLEST = 27  # side: 14 after the first layer, 5 after the second, 1 after the third


def build_classifier(image_shape, num_classes, width):
    """Images with pixels in [0, 1] -> logits [N, num_classes]; smooth, so without ReLU."""
    if min(image_shape[:2]) < SMALLEST:
        raise BadInput(
            f"WRM's classifier takes images of at least {SMALLEST}x{SMALLEST} pixels, not "
            f"{image_shape[0]}x{image_shape[1]}: give another model.image_shape."
        )

    def conv(filters, kernel_size, strides, padding):
        return keras.layers.Conv2D(filters, kernel_size, strides, padding, activation="elu")

    image = keras.Input(image_shape, name="image")
    x = conv(width, 8, 2, "same")(image)
    x = conv(2 * width, 6, 2, "valid")(x)
    x = conv(2 * width, 5, 1, "valid")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32")(keras.layers.Flatten()(x))
    return keras.Model(image, logits, name="classifier")


def worst_case(loss, x, epsilon, steps):
    """The x' that maximizes epsilon loss(x') - |x' - x|^2 / 2, for each row of x by itself.

    Args:
        loss: x -> one loss for each row, [N].
        x: [N, ...].
        epsilon: 1 / (2 gamma); the greater, the farther x' may go.
        steps: Number of steps after the first one.

    Returns:
        x', a constant for all gradients.
    """

    def slope(point):
        with tf.GradientTape() as tape:
            tape.watch(point)
            total = tf.reduce_sum(loss(point))  # a sum: each row has its own problem
        return tape.gradient(total, point)

    x = tf.convert_to_tensor(x)
    found = x + epsilon * slope(x)
    for t in range(steps):
        found += (epsilon * slope(found) - (found - x)) / (t + 2) ** 0.5
    return tf.stop_gradient(found)


@keras.saving.register_keras_serializable("tfgans")
class WRM(BaseModel):
    """Classifier that is trained on the hardest images near the data, as for MNIST.

    Args:
        image_shape: (height, width, channels) of the images, at least 27x27.
        num_classes: Number of classes.
        width: Channels of the first layer; the others have twice as many.
        epsilon: 1 / (2 gamma), where gamma is the price of a squared distance of 1, for pixels in
            [0, 1]; 0 for plain training.
        attack_steps: Steps of an attack after the first one.
        smoothing: Probability of the wrong classes in the training labels, all together.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_classes=10,
        width=64,
        epsilon=1.3,
        attack_steps=15,
        smoothing=0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes, self.width = image_shape, num_classes, width
        need_classes(self, least=2)
        self.epsilon, self.attack_steps, self.smoothing = epsilon, attack_steps, smoothing
        self.classifier = build_classifier(image_shape, num_classes, width)

    def players(self):
        return {"classifier": [self.classifier]}

    def default_optimizers(self):
        return {"classifier": Adam(1e-3)}

    def losses(self, pixels, label):
        """The cross entropy of each image, [N].

        Args:
            pixels: [N, H, W, C] in [0, 1].
            label: Probabilities of the classes, [N, num_classes].
        """
        logits = self.classifier(pixels, training=True)
        return tf.nn.softmax_cross_entropy_with_logits(label, logits)

    def hardest(self, pixels, label, epsilon):
        if not epsilon:
            return pixels
        return worst_case(lambda x: self.losses(x, label), pixels, epsilon, self.attack_steps)

    def classifier_loss(self, image, label):
        pixels = 0.5 * image + 0.5
        wrong = self.smoothing / (self.num_classes - 1)
        label = tf.clip_by_value(label, wrong, 1.0 - self.smoothing)
        hard = self.hardest(pixels, label, self.epsilon)
        return {"hard": tf.reduce_mean(self.losses(hard, label))}

    def train_step(self, data):
        label = self.one_hot(data["label"])
        return self.update("classifier", self.classifier_loss, data["image"], label)

    def call(self, image):
        """The probability of each class, [N, num_classes], for images in [-1, 1]."""
        return tf.nn.softmax(self.classifier(0.5 * image + 0.5, training=False))

    def attack(self, image, label, epsilon=None):
        """The hardest images near the given ones.

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: Their true classes: class numbers [N], or vectors [N, num_classes].
            epsilon: The greater, the farther they may go; without it, that of the training.

        Returns:
            [N, H, W, C]; a few values may be outside of [-1, 1].
        """
        epsilon = self.epsilon if epsilon is None else epsilon
        return 2.0 * self.hardest(0.5 * image + 0.5, self.one_hot(label), epsilon) - 1.0

    def bound(self, image, label, epsilon=None):
        """loss(x') - gamma |x' - x|^2 of the hardest image x' near each given one, [N].

        For each rho, gamma rho and the mean of these numbers add up to a bound of the mean loss
        under all distributions of images within a squared Wasserstein distance of rho (eq. 12).

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: See `attack`.
            epsilon: 1 / (2 gamma), above 0; without it, that of the training.
        """
        epsilon = self.epsilon if epsilon is None else epsilon
        pixels, label = 0.5 * image + 0.5, self.one_hot(label)
        hard = self.hardest(pixels, label, epsilon)
        distance = tf.reduce_sum(tf.square(hard - pixels), axis=[1, 2, 3])
        return self.losses(hard, label) - distance / (2.0 * epsilon)

    def outputs(self, batch):
        return self.attack(batch["image"], batch["label"])

    def preview(self, batch):
        """Rows of eight: images above their attacked versions."""
        image, label = batch["image"][:32], batch["label"][:32]
        return images.rows(image, self.attack(image, label))

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        label = tf.TensorSpec([None, self.num_classes], name="label")
        return {
            "serving_default": (lambda image: {"probability": self(image)}, [image]),
            "attack": (lambda image, label: {"image": self.attack(image, label)}, [image, label]),
        }
