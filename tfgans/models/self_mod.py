"""Self-Mod GAN — On Self Modulation for Generative Adversarial Networks.

Chen, Lucic, Houlsby, Gelly, ICLR 2019, arXiv:1810.01365.

New here: gain and bias of each batch normalization in the generator are functions of z, as if z
were the label of a conditional GAN; no label is needed, and the losses stay as they are:

    h' = gamma(z) (h - mean) / deviation + beta(z),

with a small network of one hidden layer for each normalization, the last one included
(`layers/conditional_norm.py`). z also enters at the bottom, as ever. Here it modulates the residual
network of SNGAN against SNGAN's discriminator with the hinge loss.

Differs from the paper: only this pair of networks is built, one of several that the paper compares,
and of its three settings of Adam and of D's moves for each move of G, the constructor has one: not
verified are the learning rate 2e-4 and the matrices that start at N(0, 0.02). The variant with
labels, in which an embedding of the class joins z, and the gradient penalty are not built. Details
of the networks are those of `sngan.py`; real and generated images pass D together. Each batch of D
comes with new fakes. Samples are made with the moving averages of batch normalization.

Reference: google/compare_gan (compare_gan/architectures/arch_ops.py, resnet_cifar.py).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.layers.conditional_norm import LinearConditionalNorm
from tfgans.models.latent import LatentModel
from tfgans.models.sngan import build_discriminator, resnet
from tfgans.optimizers import Adam


def build_generator(image_shape, latent_dim, channels, hidden):
    """z and the vector that modulates, both [N, latent_dim] and the same z -> images in [-1, 1].

    They are two inputs so that each can be changed alone.
    """
    z = keras.Input([latent_dim], name="z")
    modulator = keras.Input([latent_dim], name="modulator")

    def norm(x):
        start = keras.initializers.RandomNormal(stddev=0.02)
        layer = LinearConditionalNorm(hidden, kernel_initializer=start, momentum=0.9, epsilon=2e-5)
        return layer(x, modulator)

    image = resnet(z, image_shape, channels, norm, norm)
    return keras.Model([z, modulator], image, name="generator")


@keras.saving.register_keras_serializable("tfgans")
class SelfMod(LatentModel):
    """GAN whose generator is modulated by its own latent, on the residual networks for CIFAR-10.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        generator_channels: Channels of the first grid, then of each block that doubles it.
        discriminator_channels: Channels of each block, from the image on.
        discriminator_downs: Number of blocks that halve the image, the first ones.
        hidden: Hidden units of each network that modulates.
        hinge: Hinge loss; False for the non-saturating logistic loss of GAN.
        n_critic: Discriminator updates, each on its own batch, per generator update.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=128,
        generator_channels=(256, 256, 256, 256),
        discriminator_channels=(128, 128, 128, 128),
        discriminator_downs=2,
        hidden=32,
        hinge=True,
        n_critic=2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_downs, self.hidden = discriminator_downs, hidden
        self.hinge, self.n_critic = hinge, n_critic
        self.batches_per_step = n_critic
        self.generator = build_generator(image_shape, latent_dim, generator_channels, hidden)
        self.discriminator = build_discriminator(
            image_shape,
            discriminator_channels,
            downs=discriminator_downs,
            bias=False,
            num_classes=0,
        )

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.0, beta_2=0.9)

        return {"discriminator": adam(), "generator": adam()}

    def generate(self, n):
        """Images of n new latents in training."""
        z = self.latents(n)
        return self.generator([z, z], training=True)

    def discriminator_loss(self, real):
        images = tf.concat([real, self.generate(real.shape[0])], axis=0)
        real_score, fake_score = tf.split(self.discriminator(images, training=True), 2)
        if self.hinge:
            return {
                "real": tf.reduce_mean(tf.nn.relu(1.0 - real_score)),
                "fake": tf.reduce_mean(tf.nn.relu(1.0 + fake_score)),
            }
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, n):
        fake_score = self.discriminator(self.generate(n), training=True)
        if self.hinge:
            return {"fake": -tf.reduce_mean(fake_score)}
        return {"fake": tf.reduce_mean(tf.nn.softplus(-fake_score))}

    def train_step(self, data):
        for batch in self.split(data):
            real = batch["image"]
            d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g

    def call(self, z):
        return self.generator([z, z], training=False)

    def weights_on_z(self):
        """The matrix of all first operations on z, [outputs, latent_dim], for SeFa.

        These are the first layer, and the hidden layers of all networks that modulate.
        """
        layers = self.generator.layers
        first = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
        first += [n.hidden_layer for n in layers if isinstance(n, LinearConditionalNorm)]
        return np.concatenate([layer.kernel.numpy().T for layer in first])

    def preview(self, batch):
        """Rows of eight: samples; one in which z changes the gains and biases alone; the opposite.

        The last two rows take the latents of the first row. In the seventh, the first of them
        enters at the bottom, and each modulates in turn; in the eighth, they change places.
        """
        z = self.latents(48)
        first, row = tf.repeat(z[:1], 8, axis=0), z[:8]
        alone = self.generator([first, row], training=False)
        rest = self.generator([row, first], training=False)
        return tf.concat([self(z), alone, rest], axis=0)
