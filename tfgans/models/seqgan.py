"""SeqGAN — Sequence Generative Adversarial Nets with Policy Gradient.

Yu et al., AAAI 2017, arXiv:1609.05473.

New here: tokens are discrete, so no gradient goes from D through them into G. G is a policy that
chooses token after token, and D gives the rewards. To reward a token, a roll-out policy completes
the sequence from there several times, and D scores the whole sequences (eq. 4). G follows the
policy gradient (eq. 7, 8), after each player was trained alone.

Differs from the paper: the settings are those of the authors' code. There the roll-out policy is G
itself (an update of a delayed copy is written down, but has no effect), and the published numbers
come from that; `rollout_rate` makes the copy real. A batch of D is half real and half new fakes;
the code draws 10,000 fakes and goes over them three times while G stands still. Both see the same
distribution. G computes in float32 under every precision policy.

Reference: LantaoYu/SeqGAN.
"""

import math

import keras
import tensorflow as tf

from tfgans import random
from tfgans.data.tokens import Oracle, to_text
from tfgans.layers.dropout import Dropout
from tfgans.models.inputs import need_periods
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam

MLE, DISCRIMINATOR, ADVERSARIAL = range(3)  # the stages


class RecurrentPolicy(keras.layers.Layer):
    """An LSTM over token embeddings: the distribution of each token given those before it.

    Token 0 starts each sequence, without being part of it. There is no forget bias.

    Args:
        vocabulary_size: Number of tokens, V.
        length: Tokens of a sequence, T.
        width: Length of the embeddings and of the state.
        spread: All weights and biases start in N(0, spread^2).
    """

    def __init__(self, vocabulary_size, length, width, spread=0.1, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.length = vocabulary_size, length
        self.width, self.spread = width, spread

        def weight(name, *shape):
            normal = keras.initializers.RandomNormal(0.0, spread)
            # float32 even where a half-precision model calls a method.
            return self.add_weight(name=name, shape=shape, initializer=normal, autocast=False)

        self.embedding = weight("embedding", vocabulary_size, width)
        self.kernel = weight("kernel", width, 4 * width)  # gates: input, forget, output, cell
        self.recurrent = weight("recurrent", width, 4 * width)
        self.bias = weight("bias", 4 * width)
        self.output_kernel = weight("output_kernel", width, vocabulary_size)
        self.output_bias = weight("output_bias", vocabulary_size)
        self.built = True

    def advance(self, token, h, c):
        """The state after one more token [N]."""
        x = tf.gather(self.embedding, token)
        gates = tf.matmul(x, self.kernel) + tf.matmul(h, self.recurrent) + self.bias
        i, f, o, g = tf.split(gates, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    def initial(self, n):
        """The start token and the state before it, for n sequences."""
        return tf.zeros([n], "int32"), *[tf.zeros([n, self.width])] * 2

    def logits(self, h):
        return tf.matmul(h, self.output_kernel) + self.output_bias

    def call(self, tokens):
        """Logits [N, T, V] of each token, given the true ones before it."""
        token, h, c = self.initial(tf.shape(tokens)[0])
        states = []
        for t in range(self.length):
            h, c = self.advance(token, h, c)
            states.append(h)
            token = tokens[:, t]
        states = tf.reshape(tf.stack(states, axis=1), [-1, self.width])
        return tf.reshape(self.logits(states), [-1, self.length, self.vocabulary_size])

    def draw(self, h, u):
        """Tokens [N] from states [N, width] and uniform numbers u [N].

        A token is the one whose part of [0, 1), cut in proportion to the probabilities, holds u.
        """
        ends = tf.cumsum(tf.nn.softmax(self.logits(h)), axis=1)  # [N, V]
        drawn = tf.reduce_sum(tf.cast(ends <= u[:, tf.newaxis], "int32"), axis=1)
        return tf.minimum(drawn, self.vocabulary_size - 1)  # the last end can round below 1

    def complete(self, tokens, kept, u):
        """Keeps the first `kept` [N] of the tokens [N, T] and draws the others, with u [N, T]."""
        token, h, c = self.initial(tf.shape(u)[0])
        found = []
        for t in range(self.length):
            h, c = self.advance(token, h, c)
            token = tf.where(t < kept, tokens[:, t], self.draw(h, u[:, t]))
            found.append(token)
        return tf.stack(found, axis=1)

    def complete_all(self, tokens, u):
        """Completes each sequence from each of its beginnings of 1 ... T - 1 tokens.

        The result is that of `complete`, but the tokens that beginnings share are read only once.

        Args:
            tokens: [N, T].
            u: Uniform numbers [N, T - 1, T]; those of beginning k count from place k on.

        Returns:
            Tokens [N, T - 1, T].
        """
        start_token, h, c = self.initial(tokens.shape[0])
        h, c = self.advance(tokens[:, 0], *self.advance(start_token, h, c))
        found = [tf.repeat(tokens[:, :1], self.length - 1, axis=1)]  # [N, T - 1] at each place
        for t in range(1, self.length):
            # Beginnings of 1 ... t tokens go on by themselves, the last of them from here on.
            drawn = tf.reshape(self.draw(h, tf.reshape(u[:, :t, t], [-1])), [-1, t])
            given = tokens[:, t : t + 1]
            found.append(tf.concat([drawn, tf.repeat(given, self.length - 1 - t, axis=1)], axis=1))
            states = [tf.reshape(x, [-1, t, self.width]) for x in (h, c)]
            states = [tf.concat([x, x[:, -1:]], axis=1) for x in states]  # [N, t + 1, width]
            token = tf.reshape(tf.concat([drawn, given], axis=1), [-1])
            h, c = self.advance(token, *(tf.reshape(x, [-1, self.width]) for x in states))
        return tf.stack(found, axis=2)

    def sample(self, u):
        """Uniform numbers [N, T] -> tokens [N, T]."""
        nothing = tf.zeros_like(u, "int32")
        return self.complete(nothing, nothing[:, 0], u)


def highway(x):
    """t g + (1 - t) x with a transform g and a gate t (Srivastava et al., arXiv:1505.00387)."""
    width, bias = x.shape[-1], "glorot_uniform"  # as the weights
    transform = keras.layers.Dense(width, "relu", bias_initializer=bias)(x)
    gate = keras.layers.Dense(width, "sigmoid", bias_initializer=bias)(x)
    carry = keras.layers.Rescaling(-1.0, 1.0)(gate)
    return keras.layers.Add()(
        [keras.layers.Multiply()([gate, transform]), keras.layers.Multiply()([carry, x])]
    )


def initializer():
    return keras.initializers.TruncatedNormal(stddev=0.1)


def build_discriminator(vocabulary_size, length, width, filter_widths, filters):
    """Tokens [N, T] -> scores [N, 2] of fake and real: maxima of convolutions over time."""
    bias = keras.initializers.Constant(0.1)
    tokens = keras.Input([length], dtype="int32")
    uniform = keras.initializers.RandomUniform(-1.0, 1.0)
    x = keras.layers.Embedding(vocabulary_size, width, uniform)(tokens)  # [N, T, width]
    maxima = []
    for size, channels in zip(filter_widths, filters, strict=True):
        if size <= length:
            y = keras.layers.Conv1D(
                channels,
                size,
                activation="relu",
                kernel_initializer=initializer(),
                bias_initializer=bias,
            )(x)
            maxima.append(keras.layers.GlobalMaxPooling1D()(y))
    x = Dropout(0.25)(highway(keras.layers.Concatenate()(maxima)))
    score = keras.layers.Dense(
        2, kernel_initializer=initializer(), bias_initializer=bias, dtype="float32"
    )(x)
    return keras.Model(tokens, score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class ClippedAdam(Adam):
    """Adam on gradients that are scaled down where their common norm is above `norm`.

    Keras' own `global_clipnorm` scales the part of each replica; this scales the gradient of the
    whole batch. Tables of embeddings get dense gradients.
    """

    def __init__(self, learning_rate, norm, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.norm = norm

    def apply(self, grads, trainable_variables=None):
        replica = tf.distribute.get_replica_context()
        grads = replica.all_reduce("sum", [tf.convert_to_tensor(g) for g in grads])
        grads, _ = tf.clip_by_global_norm(grads, self.norm)
        # Keras is going to sum over the replicas again.
        grads = [g / replica.num_replicas_in_sync for g in grads]
        super().apply(grads, trainable_variables)

    def get_config(self):
        return super().get_config() | {"norm": self.norm}


@keras.saving.register_keras_serializable("tfgans")
class SeqGAN(LatentModel):
    """A recurrent generator of tokens, rewarded by a convolutional discriminator.

    Args:
        vocabulary_size: Number of tokens, V.
        length: Tokens of a sequence, T.
        width: Length of the generator's embeddings and state.
        discriminator_width: Length of the discriminator's embeddings.
        filter_widths: Tokens that each bank of filters of the discriminator looks at; those wider
            than a sequence are left out.
        filters: Filters of each bank.
        mle_steps: Steps of the first stage: maximum likelihood for G (120 passes).
        discriminator_steps: Steps of the second stage: D alone (150 passes over twice the data).
        generator_every: In the last stage, D's steps between two steps of G (15 passes).
        rollouts: Number of completions of each prefix, which reward its last token.
        rollout_rate: Decay of the roll-out policy, an average of G; at 0 it is G itself.
        decay_weight: Weight of half the squared norm of D's last weights and biases.
    """

    data_kind = "tokens"
    prior = None  # `latents` draws it

    def __init__(
        self,
        vocabulary_size=5000,
        length=20,
        width=32,
        discriminator_width=64,
        filter_widths=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20),
        filters=(100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160),
        mle_steps=18_720,
        discriminator_steps=46_800,
        generator_every=4_680,
        rollouts=16,
        rollout_rate=0.0,
        decay_weight=0.2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size, self.length, self.width = vocabulary_size, length, width
        self.discriminator_width = discriminator_width
        self.filter_widths, self.filters = filter_widths, filters
        self.mle_steps, self.discriminator_steps = mle_steps, discriminator_steps
        self.generator_every, self.rollouts = generator_every, rollouts
        self.rollout_rate, self.decay_weight = rollout_rate, decay_weight
        need_periods(self, "generator_every")
        self.stage_steps = (mle_steps, discriminator_steps)
        self.generator = RecurrentPolicy(
            vocabulary_size, length, width, dtype="float32", name="generator"
        )
        self.rollout = self.ema_of(self.generator) if rollout_rate else self.generator
        self.discriminator = build_discriminator(
            vocabulary_size, length, discriminator_width, filter_widths, filters
        )

    def players(self):
        return {
            "generator_mle": [self.generator],  # the same network, another state of Adam
            "generator": [self.generator],
            "discriminator": [self.discriminator],
        }

    def default_optimizers(self):
        return {
            "generator_mle": ClippedAdam(0.01, norm=5.0),
            "generator": ClippedAdam(0.01, norm=5.0),
            "discriminator": Adam(1e-4),
        }

    def latents(self, n):
        """Draws the uniform numbers that decide the tokens of n sequences, [n, T]."""
        return random.uniform([n, self.length])

    def call(self, u):
        return self.generator.sample(u)

    def nll(self, tokens):
        """-log G(y_t | y_<t) of each token, in nats, [N, T]; probabilities count at least 1e-20."""
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(tokens, self.generator(tokens))
        return tf.minimum(nll, -math.log(1e-20))

    def generator_mle_loss(self, real):
        return {"nll": tf.reduce_mean(self.nll(real))}

    def real_probability(self, tokens):
        return tf.nn.softmax(self.discriminator(tokens, training=False))[:, 1]

    def rewards(self, tokens):
        """The reward of each token, [N, T]: D's mean score of the roll-outs from there (eq. 4)."""
        n, prefixes = tokens.shape[0], self.length - 1
        u = random.uniform([n, self.rollouts, prefixes, self.length])

        def reward(u):
            whole = self.rollout.complete_all(tokens, u)
            return self.real_probability(tf.reshape(whole, [-1, self.length]))

        # One after the other, to save memory.
        rewards = tf.map_fn(reward, tf.transpose(u, [1, 0, 2, 3]), parallel_iterations=1)
        open_end = tf.reshape(tf.reduce_mean(rewards, axis=0), [n, prefixes])
        return tf.concat([open_end, self.real_probability(tokens)[:, tf.newaxis]], axis=1)

    def generator_loss(self, tokens, rewards):
        # A sum over the whole batch, to which rate and clipping are tuned; `update` averages over
        # replicas and parts.
        parts = tf.distribute.get_strategy().num_replicas_in_sync * self.accumulate
        return {"policy": parts * tf.reduce_sum(self.nll(tokens) * rewards)}

    def discriminator_loss(self, real, fake):
        # Half the mean cross-entropy of each half: the mean over the batch.
        real_score = tf.nn.log_softmax(self.discriminator(real, training=True))
        fake_score = tf.nn.log_softmax(self.discriminator(fake, training=True))
        last = self.discriminator.layers[-1]
        norm = tf.nn.l2_loss(last.kernel) + tf.nn.l2_loss(last.bias)
        return {
            "real": -0.5 * tf.reduce_mean(real_score[:, 1]),
            "fake": -0.5 * tf.reduce_mean(fake_score[:, 0]),
            "decay": self.decay_weight * norm,
        }

    def stage_begins(self, stage):
        if stage == ADVERSARIAL:
            self.rollout.set_weights(self.generator.get_weights())

    def train_step(self, data):
        real = data["tokens"]
        if self.stage == MLE:
            return self.update("generator_mle", self.generator_mle_loss, real)
        g = {}
        if self.stage == ADVERSARIAL and self.due(self.generator_every):
            fake = self(self.latents(real.shape[0]))
            rewards = self.rewards(fake)  # outside of the tape: numbers for G
            g = self.update("generator", self.generator_loss, fake, rewards)
            g["generator/reward"] = tf.reduce_mean(rewards)
            if self.rollout_rate:
                self.update_ema(self.rollout, self.generator, self.rollout_rate)
        real = real[::2]  # the batch of D is half real, half fake
        fake = self(self.latents(real.shape[0]))
        return g | self.update("discriminator", self.discriminator_loss, real, fake)

    def preview(self, batch):
        """A text: some real sequences and some of the generator, with their mean NLL under it."""
        real = batch["tokens"]
        fake = self(self.latents(len(real)))
        blocks = [
            f"{title}, {float(tf.reduce_mean(self.nll(tokens))):.3f} nats per token under the "
            f"generator:\n{to_text(tokens[:16])}"
            for title, tokens in (("real", real), ("generated", fake))
        ]
        return "\n".join(blocks)

    def oracle_nll(self, n=1000, seed=0):
        """Nats per token of n samples of a `seed` under the oracle of the synthetic data.

        The paper's measure. It means something after training on `data.path: synthetic` only.
        """
        return float(Oracle(self.vocabulary_size).nll(self.sample(n, seed).numpy()).mean())

    def endpoints(self):
        u = tf.TensorSpec([None, self.length], "float32", name="u")
        tokens = tf.TensorSpec([None, self.length], "int32", name="tokens")
        kept = tf.TensorSpec([None], "int32", name="kept")
        seed, n = (tf.TensorSpec([], "int64", name=name) for name in ("seed", "n"))
        return {
            "serving_default": (lambda u: {"tokens": self(u)}, [u]),
            "sample": (lambda seed, n: {"tokens": self.sample(n, seed)}, [seed, n]),
            "complete": (
                lambda tokens, kept, u: {"tokens": self.generator.complete(tokens, kept, u)},
                [tokens, kept, u],
            ),
            "nll": (lambda tokens: {"nll": tf.reduce_mean(self.nll(tokens), axis=1)}, [tokens]),
        }
