"""StackGAN — StackGAN: Text to Photo-realistic Image Synthesis with Stacked GANs.

Zhang, Xu, Li, Zhang, Wang, Huang, Metaxas, ICCV 2017, arXiv:1612.03242.

New here: a sentence becomes an image in two games, one after the other. Stage I draws a small
sketch, stage II reads it and draws the large image, with the sentence at hand again. Texts are few
and their embeddings far apart, so G does not see an embedding but a draw from a Gaussian around it:
conditioning augmentation. D also learns from real images with the wrong text.

Differs from the paper: the weight of the KL term is the authors' code's, 2 for a mean over
dimensions. The draw is a normal one; the code cuts its tails. Stage I stands still while stage II
learns. Samples are made with the moving averages of batch normalization, in the code with the
statistics of the batch. The paper takes embeddings of a network that was trained elsewhere; without
a file of them, a small encoder learns first, from the sentences and images of the data (a choice of
tfgans, after Reed et al., arXiv:1605.05396): bags of words and of pairs of words.

Reference: hanzhanggit/StackGAN (stageI/model.py, stageI/trainer.py, stageII/model.py,
stageII/trainer.py).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.data.captions import BIGRAMS, vectors
from tfgans.errors import BadInput
from tfgans.models.cgan import with_label
from tfgans.models.dcgan import initializer, normalize
from tfgans.models.latent import LatentModel
from tfgans.models.serving import SEED, drawing
from tfgans.ops.resample import resize_nearest
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings

TEXT, SKETCH, IMAGE = range(3)  # the stages
WORD_DIM = 64  # of the small text encoder
MARGIN = 1.0  # of its ranking loss


def norm(x):
    return normalize(x, epsilon=1e-5)


def relu(x):
    return keras.layers.ReLU()(x)


def leaky(x):
    return keras.layers.LeakyReLU(0.2)(x)


def conv(x, filters, size=3, strides=1, padding="same", **kwargs):
    start = keras.initializers.TruncatedNormal(stddev=0.02)
    return keras.layers.Conv2D(
        filters, size, strides, padding, use_bias=False, kernel_initializer=start, **kwargs
    )(x)


def dense(x, units, **kwargs):
    return keras.layers.Dense(units, kernel_initializer=initializer(), **kwargs)(x)


def upsampled(x, filters):
    """Each pixel four times, then a convolution."""
    return conv(keras.layers.UpSampling2D(2)(x), filters)


def bottleneck(x, activation):
    """x plus three convolutions of it, the first two with a quarter of its channels."""
    channels = x.shape[-1]
    y = activation(norm(conv(x, channels // 4, 1)))
    y = activation(norm(conv(y, channels // 4)))
    return activation(keras.layers.Add()([x, norm(conv(y, channels))]))


def build_text_encoder(vocabulary, text_dim):
    """Bags of words and of pairs [N, vocabulary + BIGRAMS] -> embeddings [N, text_dim]."""
    text = keras.Input([vocabulary + BIGRAMS], name="condition")
    words = keras.layers.Dense(WORD_DIM, use_bias=False)(text[:, :vocabulary])
    x = keras.layers.Concatenate()([words, text[:, vocabulary:]])
    x = keras.layers.Dense(text_dim, activation="tanh", dtype="float32")(x)
    return keras.Model(text, x, name="text_encoder")


def build_image_encoder(shape, text_dim, width):
    """Images -> vectors [N, text_dim], whose products with embeddings say what fits."""
    image = x = keras.Input(shape, name="image")
    for k in range(halvings(shape)):
        x = leaky(norm(conv(x, width << k, 4, 2)))
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(text_dim, dtype="float32")(x)
    return keras.Model(image, x, name="image_encoder")


def build_augmentation(text_dim, condition_dim, name):
    """Embeddings -> means and logarithms of deviations of conditions, [N, 2 condition_dim]."""
    text = keras.Input([text_dim], name="text")
    x = keras.layers.LeakyReLU(0.2, dtype="float32")(dense(text, 2 * condition_dim))
    return keras.Model(text, x, name=name)


def build_sketcher(shape, latent_dim, condition_dim, width):
    """z and conditions -> small images in [-1, 1]: stage I's generator."""
    doublings = halvings(shape, fewest=1)
    grid = halved(shape, doublings)
    z, c = keras.Input([latent_dim], name="z"), keras.Input([condition_dim], name="c")
    widths = [width << k for k in reversed(range(doublings))]
    x = dense(keras.layers.Concatenate()([z, c]), grid[0] * grid[1] * widths[0])
    x = bottleneck(keras.layers.Reshape([*grid, widths[0]])(norm(x)), relu)
    for k, filters in enumerate(widths[1:]):
        x = norm(upsampled(x, filters))
        x = bottleneck(x, relu) if k == 0 else relu(x)
    image = conv(keras.layers.UpSampling2D(2)(x), shape[2], activation="tanh", dtype="float32")
    return keras.Model([z, c], image, name="generator_1")


def build_refiner(shape, ratio, condition_dim, width, blocks):
    """Small images and conditions -> images in [-1, 1]: stage II's generator."""
    doublings = ratio.bit_length() - 1
    small = [*halved(shape, doublings), shape[2]]
    halved(small, 2, least=2)  # raises BadInput where that is not possible
    sketch, c = keras.Input(small, name="sketch"), keras.Input([condition_dim], name="c")
    x = relu(conv(sketch, width))
    for filters in (2 * width, 4 * width):
        x = relu(norm(conv(x, filters, 4, 2)))
    x = relu(norm(conv(with_label(x, c), 4 * width)))
    for _ in range(blocks):
        y = relu(norm(conv(x, 4 * width)))
        x = relu(keras.layers.Add()([x, norm(conv(y, 4 * width))]))
    for k in range(2 + doublings):
        x = relu(norm(upsampled(x, max(2 * width >> k, 1))))
    image = conv(x, shape[2], activation="tanh", dtype="float32")
    return keras.Model([sketch, c], image, name="generator_2")


def build_discriminator(shape, ratio, text_dim, condition_dim, width, name):
    """Images and embeddings of texts -> scores [N, 1] of their being real and one pair.

    Args:
        shape: (height, width, channels) of the images.
        ratio: 1 for stage I; for stage II how much larger its images are.
        text_dim: Length of the embeddings, which D compresses by itself.
        condition_dim: Length to which it compresses them.
        width: Channels of the first convolution.
        name: Name of the network.
    """
    times = halvings(shape, fewest=1)
    grid = halved(shape, times)
    image, text = keras.Input(shape, name="image"), keras.Input([text_dim], name="text")
    x = leaky(conv(image, width, 4, 2))
    extra = ratio.bit_length() - 1
    for k in range(1, times):
        x = norm(conv(x, width << k, 4, 2))
        # Stage I has no rectifier around its last convolution.
        x = x if extra == 0 and k >= times - 2 else leaky(x)
    for k in reversed(range(times - 1 - extra, times - 1)):
        x = norm(conv(x, width << k, 1))
        x = leaky(x) if k > times - 1 - extra else x
    x = bottleneck(x, leaky)
    channels = x.shape[-1]
    x = with_label(x, leaky(dense(text, condition_dim)))
    x = leaky(norm(conv(x, channels, 1)))
    score = conv(x, 1, grid, padding="valid", dtype="float32")
    score = keras.layers.Flatten(dtype="float32")(score)
    return keras.Model([image, text], score, name=name)


def enlarged(sketch, real):
    """Small images, a `sketch`, with the height and width of the `real` ones."""
    return resize_nearest(sketch, *real.shape[1:3])


@keras.saving.register_keras_serializable("tfgans")
class StackGAN(LatentModel):
    """Text to image in two stages, in its setting for birds and flowers.

    The latents hold z and the draws of both conditioning augmentations, so that the same latents
    and the same text give the same image.

    Args:
        image_shape: (height, width, channels) of the images of stage II.
        ratio: Times that they are larger than those of stage I: a power of 2.
        noise_dim: Length of z ~ N(0, I).
        text_dim: Length of the embedding of a text.
        words: All words of the sentences. None: embeddings are given, and no text encoder learns.
        augmented_dim: Length of a draw of the conditioning augmentation.
        generator_width: Channels of stage I's last hidden layer, and of stage II's first.
        discriminator_width: Channels of the first convolution of each discriminator.
        blocks: Residual blocks of stage II's generator.
        kl_weight: Weight of the divergence of the conditioning augmentation.
        text_steps: Steps in which the text encoder learns; none with embeddings.
        sketch_steps: Steps of stage I. Stage II follows.
        halving_steps: Steps after which stage I's learning rates are halved, again and again; for
            stage II twice as many.
    """

    data_kind = "captions"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        ratio=4,
        noise_dim=100,
        text_dim=1024,
        words=None,
        augmented_dim=128,
        generator_width=128,
        discriminator_width=64,
        blocks=4,
        kl_weight=2.0,
        text_steps=5_000,
        sketch_steps=83_000,
        halving_steps=6_900,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if ratio < 2 or ratio & (ratio - 1):
            raise BadInput(f"model.ratio is a power of 2, at least 2, and not {ratio}.")
        self.image_shape, self.ratio, self.noise_dim = image_shape, ratio, noise_dim
        self.text_dim, self.words, self.augmented_dim = text_dim, words, augmented_dim
        self.generator_width, self.discriminator_width = generator_width, discriminator_width
        self.blocks, self.kl_weight, self.text_steps = blocks, kl_weight, text_steps
        self.sketch_steps, self.halving_steps = sketch_steps, halving_steps
        self.stage_steps = (text_steps if words else 0, sketch_steps)
        self.latent_dim = noise_dim + 2 * augmented_dim
        self.sketch_shape = (*halved(image_shape, ratio.bit_length() - 1, least=8), image_shape[2])
        self.condition_dim = len(words) + BIGRAMS if words else text_dim
        if words:
            self.text_encoder = build_text_encoder(len(words), text_dim)
            self.image_encoder = build_image_encoder(
                self.sketch_shape, text_dim, discriminator_width
            )
        self.augmentation_1 = build_augmentation(text_dim, augmented_dim, "augmentation_1")
        self.augmentation_2 = build_augmentation(text_dim, augmented_dim, "augmentation_2")
        self.generator_1 = build_sketcher(
            self.sketch_shape, noise_dim, augmented_dim, generator_width
        )
        self.generator_2 = build_refiner(image_shape, ratio, augmented_dim, generator_width, blocks)
        sizes = text_dim, augmented_dim, discriminator_width
        self.discriminator_1 = build_discriminator(
            self.sketch_shape, 1, *sizes, name="discriminator_1"
        )
        self.discriminator_2 = build_discriminator(
            image_shape, ratio, *sizes, name="discriminator_2"
        )

    def players(self):
        text = {"text": [self.text_encoder, self.image_encoder]} if self.words else {}
        return text | {
            "discriminator_1": [self.discriminator_1],
            "generator_1": [self.generator_1, self.augmentation_1],
            "discriminator_2": [self.discriminator_2],
            "generator_2": [self.generator_2, self.augmentation_2],
        }

    def default_optimizers(self):
        def adam(steps):
            rate = keras.optimizers.schedules.ExponentialDecay(2e-4, steps, 0.5, staircase=True)
            return Adam(rate, beta_1=0.5)

        text = {"text": Adam(1e-3)} if self.words else {}
        steps = self.halving_steps
        return text | {
            "discriminator_1": adam(steps),
            "generator_1": adam(steps),
            "discriminator_2": adam(2 * steps),
            "generator_2": adam(2 * steps),
        }

    def stage_shape(self, stage):
        return self.image_shape if stage == IMAGE else self.sketch_shape

    # The text.

    def condition_vectors(self, sentences):
        """Vectors [n, condition_dim] of sentences, as `sample` takes them.

        Raises:
            BadInput: A sentence has a word that the model does not know; or the model takes
                embeddings, which come from another program.
        """
        return vectors(sentences, self)

    def embed(self, condition):
        """Embeddings [N, text_dim] of a `condition`, bags of words; given embeddings stay."""
        return self.text_encoder(condition, training=False) if self.words else condition

    def text_loss(self, image, condition, label):
        """A symmetric ranking: an image fits its own text better than others, and a text too.

        Pairs of one class do not count against each other.

        Args:
            image: Images [N, H, W, C] in [-1, 1].
            condition: Bags of words, [N, condition_dim].
            label: Class numbers [N].
        """
        text = self.text_encoder(condition, training=True)
        fit = tf.matmul(self.image_encoder(image, training=True), text, transpose_b=True)  # [N, N]
        other = tf.cast(label[:, None] != label[None], "float32")
        own = tf.linalg.diag_part(fit)
        pairs = tf.maximum(tf.reduce_sum(other), 1.0)
        return {
            "texts": tf.reduce_sum(other * tf.nn.relu(MARGIN + fit - own[:, None])) / pairs,
            "images": tf.reduce_sum(other * tf.nn.relu(MARGIN + fit - own[None])) / pairs,
        }

    # The game, which both stages play.

    def augmented(self, augmentation, text, draw):
        """c = mean + deviation * draw, and the means and log deviations.

        Args:
            augmentation: The network.
            text: Embeddings [N, text_dim].
            draw: Normal numbers, [N, augmented_dim].
        """
        mean, log_deviation = tf.split(augmentation(text), 2, axis=1)
        return mean + tf.exp(log_deviation) * draw, mean, log_deviation

    def divergence(self, mean, log_deviation):
        """KL(N(mean, exp(log_deviation)^2) || N(0, 1)), a mean over dimensions and images."""
        square = tf.square(mean) + tf.exp(2.0 * log_deviation)
        return tf.reduce_mean(0.5 * (square - 1.0) - log_deviation)

    def sketch(self, latents, text, training=False):
        """Stage I of `latents` and a `text`: small images, mean and log deviation of conditions."""
        z, draw, _ = self.parts(latents)
        c, *moments = self.augmented(self.augmentation_1, text, draw)
        return self.generator_1([z, c], training=training), moments

    def refined(self, latents, text, training=False):
        """Stage II of `latents` and a `text`: images, mean and log deviation of their condition.

        Stage I makes its part as in use, and no gradient reaches it.
        """
        sketch, _ = self.sketch(latents, text)
        c, *moments = self.augmented(self.augmentation_2, text, self.parts(latents)[2])
        return self.generator_2([tf.stop_gradient(sketch), c], training=training), moments

    def parts(self, latents):
        """z and the draws of the two augmentations, which `latents` hold."""
        return tf.split(latents, [self.noise_dim, self.augmented_dim, self.augmented_dim], axis=1)

    def discriminator_loss(self, discriminator, make, real, wrong, text):
        fake, _ = make(self.latents(real.shape[0]), text, training=True)
        # Three batches, for batch normalization.
        real_score = discriminator([real, text], training=True)
        wrong_score = discriminator([wrong, text], training=True)
        fake_score = discriminator([fake, text], training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "wrong": 0.5 * tf.reduce_mean(tf.nn.softplus(wrong_score)),
            "fake": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, discriminator, make, text):
        fake, moments = make(self.latents(text.shape[0]), text, training=True)
        score = discriminator([fake, text], training=True)
        return {
            "fake": tf.reduce_mean(tf.nn.softplus(-score)),
            "kl": self.kl_weight * self.divergence(*moments),
        }

    def train_step(self, data):
        real, condition = data["image"], data["condition"]
        if self.stage == TEXT:
            return self.update("text", self.text_loss, real, condition, data["label"])
        number, discriminator, make = (
            (1, self.discriminator_1, self.sketch)
            if self.stage == SKETCH
            else (2, self.discriminator_2, self.refined)
        )
        text = self.embed(condition)
        game = discriminator, make
        d = self.update(
            f"discriminator_{number}", self.discriminator_loss, *game, real, data["wrong"], text
        )
        return d | self.update(f"generator_{number}", self.generator_loss, *game, text)

    # Use.

    def call(self, z, condition):
        """Images of stage II, [N, H, W, C] in [-1, 1].

        Args:
            z: [N, latent_dim], as `latents` draws them.
            condition: Texts [N, condition_dim]: embeddings, or see `condition_vectors`.
        """
        return self.refined(z, self.embed(condition))[0]

    def stage1(self, z, condition):
        """Small images of stage I of z and a `condition`, [N, H / ratio, W / ratio, C]."""
        return self.sketch(z, self.embed(condition))[0]

    @property
    def refines(self):
        """True once stage II has begun to learn."""
        return self.now > sum(self.stage_steps)

    def outputs(self, batch):
        """Images of the stage that learned last; sketches are as large as those of the batch."""
        real, condition = batch["image"], batch["condition"]
        z = self.latents(len(real))
        return self(z, condition) if self.refines else enlarged(self.stage1(z, condition), real)

    def preview(self, batch):
        """A row of real images, one of stage I for their texts, and later one of stage II."""
        real, condition = (tf.convert_to_tensor(batch[key][:8]) for key in ("image", "condition"))
        z = self.latents(real.shape[0])
        rows = [real, enlarged(self.stage1(z, condition), real)]
        return tf.stack([*rows, self(z, condition)] if self.refines else rows)

    def text_to_image(self, condition, seed):
        """Images for the texts of a `condition`, with latents that a seed draws."""
        with drawing(seed):
            return self(random.normal([tf.shape(condition)[0], self.latent_dim]), condition)

    def endpoints(self):
        found = super().endpoints()
        condition = tf.TensorSpec([None, self.condition_dim], name="condition")
        return found | {
            "stage1": (
                lambda *inputs: {"image": self.stage1(*inputs)},
                found["serving_default"][1],
            ),
            "text_to_image": (
                lambda *inputs: {"image": self.text_to_image(*inputs)},
                [condition, SEED],
            ),
        }
