"""SEGAN — Speech Enhancement Generative Adversarial Network.

Pascual, Bonafonte, Serra, Interspeech 2017, arXiv:1703.09452.

New here: speech is freed from noise in the wave itself, without a spectrum. The generator is an
encoder-decoder of strided convolutions along time, with skips and with noise z at its narrowest
place; it takes a window of about a second at once. The discriminator sees a wave beside the noisy
one and judges by least squares, and an L1 distance holds G near the clean wave. All waves are
pre-emphasized: high tones, which are weak in speech, count more.

Differs from the paper: the settings are those of the authors' code. There the squared terms are not
halved, to which the weight of L1 is tuned, and the reference of D's virtual batch normalization is
the current batch of real pairs, with statistics of all rows of the live batch; `vbn="fixed"` is the
paper's, a batch that stays. The networks are those of the code's best run: PReLU in G, and biases
in both; those of D's convolutions are taken away again by the normalization. Keras' RMSprop begins
with a mean square of 0, that of the code with 1.

Reference: santi-pdp/segan.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, nearest
from tfgans.layers.virtual_batch_norm import VirtualBatchNorm
from tfgans.models.base import BaseModel
from tfgans.models.serving import SEED
from tfgans.ops.emphasis import deemphasis, preemphasis
from tfgans.previews import Sound

KERNEL = 31
WIDTHS = (16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024)
FORMS = ("current_real", "fixed")
FIXED = 0  # seed of z where none is given
PREVIEW = 8  # windows in a preview, at most


def initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)


def build_generator(length, widths=WIDTHS):
    """A noisy wave [N, length, 1] and z -> a clean wave of the same shape in [-1, 1].

    Args:
        length: Samples, a multiple of 2^(number of widths).
        widths: Channels of the encoder's convolutions, each of which halves the length. z has the
            shape of the last result.
    """

    def prelu(x):
        return keras.layers.PReLU(shared_axes=[1])(x)

    noisy = keras.Input([length, 1], name="noisy")
    x, skips = noisy, []
    for filters in widths:
        x = keras.layers.Conv1D(filters, KERNEL, 2, "same", kernel_initializer=initializer())(x)
        skips.append(x)  # before its PReLU
        x = prelu(x)
    z = keras.Input(x.shape[1:], name="z")
    x = keras.layers.Concatenate()([z, x])
    for filters, skip in zip(reversed(widths[:-1]), reversed(skips[:-1]), strict=True):
        x = keras.layers.Conv1DTranspose(
            filters, KERNEL, 2, "same", kernel_initializer=initializer()
        )(x)
        x = keras.layers.Concatenate()([prelu(x), skip])
    wave = keras.layers.Conv1DTranspose(
        1, KERNEL, 2, "same", activation="tanh", kernel_initializer=initializer(), dtype="float32"
    )(x)
    return keras.Model([noisy, z], wave, name="generator")


def build_discriminator(length, widths=WIDTHS, reference_size=None, live="batch"):
    """Waves beside noisy ones, [N, length, 2], those of the reference first -> scores [N, 1].

    Args:
        length: Samples, a multiple of 2^(number of widths).
        widths: Channels of the convolutions, each of which halves the length.
        reference_size: Rows of the reference; None for half of the rows.
        live: See `VirtualBatchNorm`.
    """
    pair = keras.Input([length, 2])
    x = pair
    for filters in widths:
        x = keras.layers.Conv1D(filters, KERNEL, 2, "same", kernel_initializer=initializer())(x)
        x = VirtualBatchNorm(reference_size, live, gain=True)(x)
        x = keras.layers.LeakyReLU(0.3)(x)
    x = keras.layers.Conv1D(1, 1, use_bias=False, kernel_initializer=initializer())(x)
    score = keras.layers.Dense(1, kernel_initializer=initializer(), dtype="float32")(
        keras.layers.Flatten(dtype="float32")(x)
    )
    return keras.Model(pair, score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class SEGAN(BaseModel):
    """Takes the noise out of speech, learned from pairs of noisy and clean waves.

    Args:
        length: Samples of a window, a multiple of 2^(number of widths).
        widths: Channels of the convolutions of both networks.
        rate: Samples per second.
        preemphasis: Part of the sample before that pre-emphasis subtracts; 0 for none.
        l1_weight: Weight of the L1 distance to the clean wave.
        vbn: Reference of D's virtual batch normalization: "current_real", the real pairs of the
            step, as in the code; or "fixed", those of the first step, as in the paper.
        reference_size: Pairs of the fixed reference.
        overlap: Samples that neighboring windows share in use, where one fades into the other; 0
            joins them, as in the paper.
    """

    data_kind = "audio"

    def __init__(
        self,
        length=16_384,
        widths=WIDTHS,
        rate=16_000,
        preemphasis=0.95,
        l1_weight=100.0,
        vbn="current_real",
        reference_size=100,
        overlap=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if vbn not in FORMS:
            raise BadInput(nearest("form of virtual batch normalization", str(vbn), FORMS))
        unit = 2 ** len(widths)
        if length < unit or length % unit:
            raise BadInput(
                f"{len(widths)} convolutions halve a window, so model.length is a multiple of "
                f"{unit}, not {length}. Change it, or the number of model.widths."
            )
        if not 0 <= preemphasis < 1:
            raise BadInput(f"model.preemphasis is a number from 0 to below 1, not {preemphasis}.")
        if not 0 <= overlap <= length // 2:
            raise BadInput(f"model.overlap is at most half a window, {length // 2}, not {overlap}.")
        self.length, self.widths, self.rate = length, widths, rate
        self.preemphasis, self.l1_weight, self.vbn = preemphasis, l1_weight, vbn
        self.reference_size, self.overlap = reference_size, overlap
        self.generator = build_generator(length, widths)
        if vbn == "fixed":
            self.stage_steps = (1,)  # its batch is the reference
            self.discriminator = build_discriminator(length, widths, reference_size, "sample")
            self.reference = self.add_state("reference", 0.0, shape=(reference_size, length, 2))
        else:
            self.discriminator = build_discriminator(length, widths)

    def default_optimizers(self):
        def rmsprop():
            return keras.optimizers.RMSprop(2e-4, rho=0.9, epsilon=1e-10)  # that of TensorFlow 1

        return {"discriminator": rmsprop(), "generator": rmsprop()}

    def latents(self, n):
        """Draws z ~ N(0, 1) for n windows, of the shape of the encoder's last result."""
        return random.normal([n, self.length >> len(self.widths), self.widths[-1]])

    def scores(self, noisy, clean, fake):
        """D's scores of the clean and of the enhanced waves, [N, 1] each, given the noisy ones.

        Args:
            noisy, clean: Waves [N, T, 1] in [-1, 1].
            fake: The enhanced ones.
        """
        real, fake = (tf.concat([wave, noisy], axis=-1) for wave in (clean, fake))
        if self.vbn == "current_real":
            return tf.split(self.discriminator(tf.concat([real, fake], axis=0), training=True), 2)
        reference = tf.convert_to_tensor(self.reference)
        return [
            self.discriminator(tf.concat([reference, live], axis=0), training=True)[
                self.reference_size :
            ]
            for live in (real, fake)
        ]

    def discriminator_loss(self, noisy, clean):
        fake = self.generator([noisy, self.latents(noisy.shape[0])], training=True)
        real_score, fake_score = self.scores(noisy, clean, fake)
        return {
            "real": tf.reduce_mean(tf.square(real_score - 1.0)),
            "fake": tf.reduce_mean(tf.square(fake_score)),
        }

    def generator_loss(self, noisy, clean):
        fake = self.generator([noisy, self.latents(noisy.shape[0])], training=True)
        _, score = self.scores(noisy, clean, fake)
        return {
            "fake": tf.reduce_mean(tf.square(score - 1.0)),
            "l1": self.l1_weight * tf.reduce_mean(tf.abs(fake - clean)),
        }

    def keep_reference(self, noisy, clean):
        """Takes the first pairs of `noisy` and `clean` of all replicas as fixed reference."""
        pairs, replica = tf.concat([clean, noisy], axis=-1), tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            pairs = replica.all_gather(pairs, axis=0)
        if pairs.shape[0] is not None and pairs.shape[0] < self.reference_size:
            raise BadInput(
                f"The reference takes {self.reference_size} pairs of the first batch, which has "
                f"{pairs.shape[0]}. Lower model.reference_size, or raise data.batch_size."
            )
        self.reference.assign(pairs[: self.reference_size])

    def train_step(self, data):
        noisy, clean = data["noisy"], data["clean"]
        if self.vbn == "fixed" and self.stage == 0:
            self.keep_reference(noisy, clean)
        d = self.update("discriminator", self.discriminator_loss, noisy, clean)
        g = self.update("generator", self.generator_loss, noisy, clean)
        return d | g

    # Waves of any length, window after window.

    @property
    def hop(self):
        """Samples from one window to the next in use."""
        return self.length - self.overlap

    def start(self, n):
        """The state before the first of n windows: given and made samples before, fading window."""
        return tf.zeros([n]), tf.zeros([n]), tf.zeros([n, self.overlap])

    def advance(self, window, k, seed, state):
        """Enhances the next window.

        Args:
            window: [N, length], samples k * hop and on.
            k: Its number, int64.
            seed: Seed of z, which is a function of seed and k.
            state: That of the window before, or `start`.

        Returns:
            The enhanced samples [N, hop], and the state.
        """
        given, made, fading = state
        with random.scope(seed, k):
            z = self.latents(tf.shape(window)[0])
        emphasized = preemphasis(window, self.preemphasis, given)
        found = self.generator([emphasized[..., tf.newaxis], z], training=False)[..., 0]
        rise = (tf.range(self.overlap, dtype="float32") + 0.5) / max(self.overlap, 1)
        rise_now = tf.where(k == 0, tf.ones_like(rise), rise)  # nothing is before the first one
        begin = rise_now * found[:, : self.overlap] + fading
        fading = (1.0 - rise) * found[:, self.hop :]
        found = tf.concat([begin, found[:, self.overlap : self.hop]], axis=1)
        found = deemphasis(found, self.preemphasis, made)
        return found, (window[:, self.hop - 1], found[:, -1], fading)

    def enhance(self, wave, seed=FIXED):
        """Takes the noise out of waves [N, T] in [-1, 1], of any length.

        Args:
            wave: [N, T].
            seed: Seed of z.

        Returns:
            [N, T] in [-1, 1].
        """
        n, total = tf.unstack(tf.shape(wave))
        count = tf.maximum((total + self.hop - 1) // self.hop, 1)
        padded = tf.pad(wave, [[0, 0], [0, count * self.hop + self.overlap - total]])
        windows = tf.transpose(tf.signal.frame(padded, self.length, self.hop), [1, 0, 2])

        def step(before, given):
            window, k = given
            return self.advance(window, k, seed, before[1])

        begin = tf.zeros([n, self.hop]), self.start(n)
        numbers = tf.range(tf.cast(count, "int64"))
        parts, _ = tf.scan(step, (windows, numbers), begin)  # [count, N, hop]
        whole = tf.reshape(tf.transpose(parts, [1, 0, 2]), [n, count * self.hop])
        return tf.clip_by_value(whole[:, :total], -1.0, 1.0)

    def stream(self, read, total, seed=FIXED):
        """Takes the noise out of a long wave part by part: the same result in little memory.

        Args:
            read: Function (start, count) -> samples [count] in [-1, 1].
            total: Samples of the wave.
            seed: Seed of z.

        Yields:
            Enhanced samples, at most `hop` at once.
        """
        advance, state = tf.function(self.advance), self.start(1)
        for start in range(0, total, self.hop):
            count = min(self.length, total - start)
            window = np.zeros([1, self.length], "float32")
            window[0, :count] = read(start, count)
            k = tf.constant(start // self.hop, "int64")
            found, state = advance(tf.constant(window), k, tf.constant(seed, "int64"), state)
            yield np.clip(found[0, : total - start], -1.0, 1.0)

    def call(self, wave):
        return self.enhance(wave)

    def outputs(self, batch):
        """Enhanced windows of a batch, pre-emphasized as these are, [N, length, 1]."""
        noisy = tf.convert_to_tensor(batch["noisy"])
        return self.generator([noisy, self.latents(len(noisy))], training=False)

    def preview(self, batch):
        """Windows one after the other: noisy, enhanced and clean."""
        batch = {name: value[:PREVIEW] for name, value in batch.items()}
        parts = batch["noisy"], self.outputs(batch), batch["clean"]
        waves = [tf.reshape(deemphasis(part, self.preemphasis), [-1]) for part in parts]
        return Sound(tf.stack(waves), self.rate, ("noisy", "enhanced", "clean"))

    def endpoints(self):
        """Waves of any length: `serving_default` with fixed z, `enhance` with a seed."""
        wave = tf.TensorSpec([None, None], name="wave")
        return {
            "serving_default": (lambda wave: {"wave": self.enhance(wave)}, [wave]),
            "enhance": (lambda wave, seed: {"wave": self.enhance(wave, seed)}, [wave, SEED]),
        }
