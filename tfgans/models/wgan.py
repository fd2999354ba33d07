"""WGAN — Wasserstein GAN.

Arjovsky, Chintala, Bottou, ICML 2017, arXiv:1701.07875.

New here: D becomes a critic f whose score has no sigmoid and whose loss has no logarithm. Among
functions with bounded slopes, the largest E f(x) - E f(G(z)) is a multiple of the Wasserstein
distance between data and samples (eq. 2), which has a useful gradient also where the two do not
overlap. All weights of the critic are clipped to a small cube, which bounds its slopes, and it is
trained nearly to its optimum before each move of G (algorithm 1). Its estimate of the distance
falls as the images get better.

Differs from the paper: one training step is one move of the critic, on its own batch; G moves at
the end of some steps. Some rounds are long, as in the authors' code; the paper has no such rounds.
The code clips before each move of the critic; here it is after it, as in algorithm 1, so that G
never meets a critic outside of the cube. The fully connected networks are not built. Samples are
made with the moving averages of batch normalization.

Reference: martinarjovsky/WassersteinGAN (main.py, models/dcgan.py).
"""

import bisect

import keras
import tensorflow as tf

from tfgans.models.dcgan import TORCH, build_discriminator, build_generator
from tfgans.models.inputs import need_periods
from tfgans.models.latent import LatentModel


@keras.saving.register_keras_serializable("tfgans")
class WGAN(LatentModel):
    """Wasserstein GAN with a clipped critic, on the DCGAN networks of the Torch code.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z ~ N(0, I).
        width: Channels of the layers nearest to the image; they double away from it.
        clip: Largest absolute value of a weight of the critic, the paper's c.
        n_critic: Moves of the critic in a round; each round ends with a move of G.
        long_n_critic: Moves of the critic in a long round, which brings it near its optimum.
        long_rounds: Number of long rounds at the beginning.
        long_every: Later each round whose number, from 0, is a multiple of it is long.
    """

    choices = (True, False)  # G moves in this step, or not

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        width=64,
        clip=0.01,
        n_critic=5,
        long_n_critic=100,
        long_rounds=25,
        long_every=500,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.clip, self.n_critic, self.long_n_critic = clip, n_critic, long_n_critic
        self.long_rounds, self.long_every = long_rounds, long_every
        need_periods(self, "long_every")
        # Torch's epsilon: features of a clipped critic vary as little as that.
        self.generator = build_generator(image_shape, latent_dim, width, **TORCH)
        self.discriminator = build_discriminator(image_shape, width, **TORCH)

    def default_optimizers(self):
        def rmsprop():
            # Torch adds 1e-8 to the root, Keras its square to what is under it.
            return keras.optimizers.RMSprop(5e-5, rho=0.99, epsilon=1e-16)

        return {"discriminator": rmsprop(), "generator": rmsprop()}

    def critic_moves(self, rounds):
        """Number of moves of the critic in the first `rounds` rounds."""
        first = min(rounds, self.long_rounds)
        later = len(range(0, rounds, self.long_every)) - len(range(0, first, self.long_every))
        return self.n_critic * rounds + (self.long_n_critic - self.n_critic) * (first + later)

    def choice(self):
        """True in the last step of a round."""
        moves = self.now + 1  # of the critic, with that of this step
        rounds = bisect.bisect_left(range(moves), moves, key=self.critic_moves)
        return self.critic_moves(rounds) == moves

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        # Two batches, for batch normalization.
        real_score = self.discriminator(real, training=True)
        fake_score = self.discriminator(fake, training=True)
        return {"wasserstein": tf.reduce_mean(fake_score) - tf.reduce_mean(real_score)}

    def generator_loss(self, n):
        fake = self.generator(self.latents(n), training=True)
        return {"wasserstein": -tf.reduce_mean(self.discriminator(fake, training=True))}

    def clip_critic(self):
        """Puts each weight into [-clip, clip], gains and biases of normalization included."""
        for w in self.weights_of("discriminator"):
            w.assign(tf.clip_by_value(w, -self.clip, self.clip))

    def train_step(self, data):
        real = data["image"]
        logs = self.update("discriminator", self.discriminator_loss, real)
        self.clip_critic()
        if self.chosen:
            logs |= self.update("generator", self.generator_loss, n=real.shape[0])
        return logs
