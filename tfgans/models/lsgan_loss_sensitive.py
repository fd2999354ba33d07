"""LS-GAN — Loss-Sensitive Generative Adversarial Networks on Lipschitz Densities.

Qi, IJCV 2020, arXiv:1701.06264. (Not LSGAN, the least squares GAN of `lsgan.py`.)

New here: the critic is a loss function L(x) >= 0 that tells how unreal an image is. The loss of a
real image must be smaller than that of a fake by a margin, and the margin is their distance: a fake
that is close to its real image need not be much worse. So the critic works on bad fakes first, and
leaves good ones alone. G makes images of small loss.

Differs from the paper: its objective weighs the margin's violations by lambda against the mean loss
of real images; here, as in the author's code, their weight is 1, and `loss_weight` weighs the mean
loss. The code gives it 0, because L only needs to be right up to a constant. The author's code has
convolutions without biases, and so has this. The conditional version, in which L is the -log
probability of a class, is not built.

Reference: guojunq/lsgan (lsgan.lua).
"""

import keras
import tensorflow as tf

from tfgans.models import dcgan
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam


def build_loss(image_shape, width):
    """Images in [-1, 1] -> losses L(x) >= 0, [N, 1]: DCGAN's discriminator and a rectifier."""
    network = dcgan.build_discriminator(image_shape, width, **dcgan.TORCH)
    loss = keras.layers.ReLU(dtype="float32")(network.output)
    return keras.Model(network.input, loss, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class LossSensitiveGAN(LatentModel):
    """GAN whose critic is a loss with a margin that grows with distance, on DCGAN's networks.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z, uniform in [-1, 1].
        width: Channels of the layers nearest to the image; they double away from it.
        margin: Margin for each unit of the L1 distance, summed over pixels and channels; the
            lambda of the author's code. A value fits one size of images: half the side has a
            quarter of the distance.
        loss_weight: Weight of the mean loss of real images; the gamma of the author's code.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        width=64,
        margin=2e-4,
        loss_weight=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.margin, self.loss_weight = margin, loss_weight
        self.generator = dcgan.build_generator(image_shape, latent_dim, width, **dcgan.TORCH)
        self.discriminator = build_loss(image_shape, width)

    def default_optimizers(self):
        def adam():
            return Adam(1e-4, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def discriminator_loss(self, real, z):
        fake = self.generator(z, training=True)
        real_loss = self.discriminator(real, training=True)[:, 0]  # [N]
        fake_loss = self.discriminator(fake, training=True)[:, 0]
        distance = tf.reduce_sum(tf.abs(real - fake), axis=[1, 2, 3])  # of the k-th pair
        violation = tf.nn.relu(self.margin * distance + real_loss - fake_loss)
        return {
            "margin": tf.reduce_mean(violation),
            "real": self.loss_weight * tf.reduce_mean(real_loss),
        }

    def generator_loss(self, z):
        fake = self.generator(z, training=True)
        return {"fake": tf.reduce_mean(self.discriminator(fake, training=True))}

    def train_step(self, data):
        real = data["image"]
        z = self.latents(real.shape[0])  # both moves are about the same images
        d = self.update("discriminator", self.discriminator_loss, real, z)
        g = self.update("generator", self.generator_loss, z)
        return d | g
