"""EBGAN — Energy-based Generative Adversarial Network.

Zhao, Mathieu, LeCun, ICLR 2017, arXiv:1609.03126.

New here: the discriminator is no classifier but an energy, low on the data and high elsewhere: the
error of an autoencoder that rebuilds the image. D pulls the energy of real images down and pushes
that of generated ones up, but only as far as a margin m: images beyond it teach D nothing more
(eq. 1). G makes images of low energy (eq. 2). A pull-away term keeps the codes of one generated
batch apart (eq. 4), against mode collapse. As an autoencoder, D can be trained on real images alone
before the game begins (`pretrain_steps`).

Differs from the paper: the error is squared, and summed or averaged over pixels (`energy`); the
formula is a norm without a square. The published margins are meant for the sum; for the mean, give
margin and weight of the pull-away term divided by height * width * channels. Not verified: the
networks, margins and the weight 0.1. G is DCGAN's with kernels of 4. Taken from DCGAN, too, are the
moments of Adam, the start of all weights, and batch normalization in D except at its two ends; real
and generated images are normalized apart. The code of an image is D's last map before the decoder,
flattened. z ~ N(0, I), and D's decoder ends with tanh. With several devices, each takes the
pull-away term of its own part of the batch. Samples and reconstructions are made with the moving
averages of batch normalization. The fully connected networks for MNIST and the semi-supervised
ladder network are not built.

Reference: the authors published no code; the ports that were read have other pull-away terms.
"""

import keras
import tensorflow as tf

from tfgans import images
from tfgans.errors import BadInput, nearest
from tfgans.models.dcgan import TORCH, build_generator, convs, deconvs
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam
from tfgans.shapes import halvings

PRETRAINING = 0  # the first stage
LARGEST = 4.0  # squared error of a pixel
ENERGIES = {"sum": tf.reduce_sum, "mean": tf.reduce_mean}


def build_autoencoder(image_shape, width):
    """Images -> images rebuilt from a grid of 8 to 15 pixels, and codes [N, S], that grid."""
    stages = halvings(image_shape, least=8, fewest=1)
    image = keras.Input(image_shape)
    x = convs(image, stages, width, **TORCH)
    code = keras.layers.Flatten(dtype="float32")(x)
    rebuilt = deconvs(x, image_shape[2], stages, width, **TORCH)
    return keras.Model(image, [rebuilt, code], name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class EBGAN(LatentModel):
    """Energy-based GAN in the setting for faces at 64x64.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z ~ N(0, I).
        width: Channels of G nearest to the image; they double away from it.
        discriminator_width: The same for the autoencoder.
        energy: "sum" or "mean" of the squared error over pixels and channels.
        margin: Energy beyond which generated images teach D nothing, the paper's m, above 0; for
            the mean below 4, the largest one there is.
        pull_away_weight: Weight of the pull-away term; 0 for plain EBGAN.
        pretrain_steps: Steps of the first stage: D alone, on real images.
    """

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        width=128,
        discriminator_width=64,
        energy="sum",
        margin=20.0,
        pull_away_weight=0.1,
        pretrain_steps=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if energy not in ENERGIES:
            raise BadInput(nearest("energy of EBGAN", energy, ENERGIES))
        if energy == "mean" and margin >= LARGEST:
            raise BadInput(
                f"The mean squared error of images in [-1, 1] is at most {LARGEST}, not above "
                f"a margin of {margin}. A margin for the sum is divided by height * width * "
                "channels: set model.margin, or model.energy=sum."
            )
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.width, self.discriminator_width = width, discriminator_width
        self.energy, self.margin, self.pull_away_weight = energy, margin, pull_away_weight
        self.pretrain_steps = pretrain_steps
        self.stage_steps = (pretrain_steps,)
        self.generator = build_generator(image_shape, latent_dim, width, **TORCH)
        self.discriminator = build_autoencoder(image_shape, discriminator_width)

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5)

        return {"discriminator": adam(), "generator": adam()}

    def judge(self, image):
        """The energy of each image, [N], and its code, [N, S]."""
        rebuilt, code = self.discriminator(image, training=True)
        return ENERGIES[self.energy](tf.square(image - rebuilt), axis=[1, 2, 3]), code

    def pull_away(self, code):
        """f_PT, eq. 4: the mean squared cosine of two different rows of a `code` [N, D].

        One row alone has none: 0.
        """
        n = code.shape[0]
        unit = tf.math.l2_normalize(code, axis=1)
        squares = tf.square(tf.matmul(unit, unit, transpose_b=True))  # [N, N]
        others = tf.linalg.set_diag(squares, tf.zeros([n]))  # j != i
        return tf.reduce_sum(others) / max(n * (n - 1), 1)

    def pretraining_loss(self, real):
        energy, _ = self.judge(real)
        return {"real": tf.reduce_mean(energy)}

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        # Two batches, for batch normalization: real and fake images are never mixed.
        real_energy, _ = self.judge(real)
        fake_energy, _ = self.judge(fake)
        return {
            "real": tf.reduce_mean(real_energy),
            "fake": tf.reduce_mean(tf.nn.relu(self.margin - fake_energy)),  # [m - E]+ of each
        }

    def generator_loss(self, n):
        energy, code = self.judge(self.generator(self.latents(n), training=True))
        terms = {"fake": tf.reduce_mean(energy)}
        if self.pull_away_weight:
            terms["pull_away"] = self.pull_away_weight * self.pull_away(code)
        return terms

    def train_step(self, data):
        real = data["image"]
        if self.stage == PRETRAINING:
            return self.update("discriminator", self.pretraining_loss, real)
        d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g

    def reconstruct(self, image):
        """Images [N, H, W, C] as D rebuilds them."""
        return self.discriminator(image, training=False)[0]

    def preview(self, batch):
        """Rows of eight, each above its reconstruction by D: real images, three rows of samples."""
        real = tf.convert_to_tensor(batch["image"][:8])
        shown = tf.concat([real, self(self.latents(24))], axis=0)
        return images.rows(shown, self.reconstruct(shown))

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
        }
