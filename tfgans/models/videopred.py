"""VideoPred — Deep multi-scale video prediction beyond mean square error.

Mathieu, Couprie, LeCun, ICLR 2016, arXiv:1511.05440.

New here: G predicts the next frame from four at several sizes, from coarse to fine: each network
corrects the enlarged prediction of the one before. Squared errors make blurred predictions, the
mean of all that may happen. Two terms work against it: a discriminator for each size, which sees
the given frames and a next one, and the gradient difference loss, which compares how much
neighboring pixels differ.

Differs from the paper: patches come from anywhere in a film; the paper chooses those in which
something moves. Rates of G fall in a line. The authors' released script has other terms (squared
error and adversarial term alone, and true frames after wrong ones as negatives).

Reference: coupriec/VideoPredictionICLR2016 (get_model.lua, train_iclr_model.lua,
image_error_measures.lua).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.models.base import BaseModel
from tfgans.models.serving import FRAMES
from tfgans.ops.checking import ensure
from tfgans.previews import Video
from tfgans.shapes import halved

# For each size, the coarsest first: channels of the layers of G in units of `width`, and kernels.
WIDTHS = ((1, 2, 1), (1, 2, 1), (1, 2, 4, 2, 1), (1, 2, 4, 2, 1))
KERNELS = ((3, 3, 3, 3), (5, 3, 3, 5), (5, 3, 3, 3, 3, 5), (7, 5, 5, 5, 5, 7))
SHOWN = 4  # films of a preview
AHEAD = 4  # frames that a preview predicts


def relu_conv(x, filters, size, padding):
    return keras.layers.Conv2D(filters, size, padding=padding, activation="relu")(x)


def shrunk(frames, times):
    """Means over squares of 2^times pixels."""
    return keras.ops.average_pool(frames, 1 << times) if times else frames


def build_generator(given, channels, scales, width):
    """Frames [N, H, W, given * channels] -> predictions of all sizes, the coarsest first.

    The largest has the size of the frames, whose sides are multiples of 2^(scales - 1).
    """
    frames = keras.Input([None, None, given * channels], name="frames")
    found = []
    for k in range(scales):
        x = shrunk(frames, scales - 1 - k)
        before = keras.layers.UpSampling2D(2)(found[-1]) if found else None  # each pixel four times
        if before is not None:
            x = keras.layers.Concatenate()([x, before])
        for unit, size in zip(WIDTHS[k], KERNELS[k], strict=False):
            x = relu_conv(x, unit * width, size, "same")
        x = keras.layers.Conv2D(
            channels, KERNELS[k][-1], padding="same", dtype="float32", name=f"correction_{k}"
        )(x)
        x = x if before is None else keras.layers.Add(dtype="float32")([x, before])
        found.append(keras.layers.Activation("tanh", dtype="float32")(x))
    return keras.Model(frames, found, name="generator")


def build_discriminator(image_shape, given, scales, layers, dense):
    """Given frames and a next one, at each size -> logits [N, scales] of the next being true.

    Args:
        image_shape: (height, width, channels) of the largest frames.
        given: Number of given frames.
        scales: Number of sizes.
        layers: For each size the channels and kernels of its convolutions, the coarsest first.
        dense: For each size the units of its dense layers.
    """
    clips, logits = [], []
    for k in range(scales):
        size = halved(image_shape, scales - 1 - k)
        x = keras.Input([*size, (given + 1) * image_shape[2]], name=f"clip_{k}")
        clips.append(x)
        for filters, kernel in layers[k]:
            if min(x.shape[1:3]) < kernel:
                raise BadInput(
                    f"Frames of {image_shape[0]}x{image_shape[1]} pixels are too small for D at "
                    f"size {k + 1} of {scales}: its coarsest frames need sides of 4 or more."
                )
            x = relu_conv(x, filters, kernel, "valid")
        if k == 3:  # the largest of the paper
            x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Flatten()(x)
        for units in dense[k]:
            x = keras.layers.Dense(units, activation="relu")(x)
        logits.append(keras.layers.Dense(1, dtype="float32")(x))
    score = keras.layers.Concatenate(dtype="float32")(logits) if scales > 1 else logits[0]
    return keras.Model(clips, score, name="discriminator")


# Convolutions (channels, kernel) and dense layers of D at each size, in the paper and in the
# authors' small setting.
PAPER = (
    ([(64, 3)], [(64, 3), (128, 3), (128, 3)], [(128, 5), (256, 5), (256, 5)],
     [(128, 7), (256, 7), (512, 5), (128, 5)]),
    ([512, 256], [1024, 512], [1024, 512], [1024, 512]),
)  # fmt: skip
SMALL = (
    ([(32, 3)], [(32, 3), (32, 3), (64, 3)], [(32, 5), (32, 5), (64, 5)],
     [(32, 7), (32, 7), (64, 5), (128, 5)]),
    4 * ([256, 128],),
)  # fmt: skip


def slopes(frames):
    """Sizes of the differences of neighbors, down and to the right, [N, H - 1, W - 1, C] each."""
    down = frames[:, 1:, :-1] - frames[:, :-1, :-1]
    right = frames[:, :-1, 1:] - frames[:, :-1, :-1]
    return tf.abs(down), tf.abs(right)


def gradient_difference(made, true, alpha=1.0):
    """The gradient difference loss, eq. 6, as a mean over pixels and channels."""
    pairs = zip(slopes(made), slopes(true), strict=True)
    return sum(tf.reduce_mean(tf.abs(a - b) ** alpha) for a, b in pairs)


@keras.saving.register_keras_serializable("tfgans")
class VideoPred(BaseModel):
    """Predicts the next frames of films, in the setting of the paper for patches of 32x32.

    G works at any size that can be halved scales - 1 times; D at the size of the training alone.

    Args:
        image_shape: (height, width, channels) of the patches.
        length: Frames of a clip: the given ones and the next.
        scales: Number of sizes, up to 4. The smallest has sides of 4 in the paper.
        width: Channels of G's first layers: 128, or 16 in the authors' small setting.
        small: D of the authors' small setting.
        power: p of the term |prediction - truth|^p: 1 or 2.
        distance_weight: Weight of this term.
        difference_weight: Weight of the gradient difference loss.
        adversarial_weight: Weight of the adversarial term; with 0, D does not move.
        decay_steps: Steps over which G's rate falls from 0.04 to 0.005.
    """

    data_kind = "video"

    def __init__(
        self,
        image_shape=(32, 32, 3),
        length=5,
        scales=4,
        width=128,
        small=False,
        power=1,
        distance_weight=1.0,
        difference_weight=1.0,
        adversarial_weight=0.05,
        decay_steps=100_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 1 <= scales <= len(KERNELS):
            raise BadInput(f"model.scales is 1 to {len(KERNELS)}, not {scales}.")
        if length < 2:
            raise BadInput(
                f"model.length counts given frames and the next: 2 or more, not {length}."
            )
        self.image_shape, self.length, self.scales = image_shape, length, scales
        self.width, self.small, self.power = width, small, power
        self.distance_weight, self.difference_weight = distance_weight, difference_weight
        self.adversarial_weight, self.decay_steps = adversarial_weight, decay_steps
        self.given = length - 1
        self.generator = build_generator(self.given, image_shape[2], scales, width)
        self.discriminator = build_discriminator(
            image_shape, self.given, scales, *(SMALL if small else PAPER)
        )

    def default_optimizers(self):
        fall = keras.optimizers.schedules.PolynomialDecay(0.04, self.decay_steps, 0.005)
        return {
            "discriminator": keras.optimizers.SGD(0.02),
            "generator": keras.optimizers.SGD(fall),
        }

    def sizes_of(self, frames):
        """Frames [N, H, W, C] at all sizes, the coarsest first."""
        return [shrunk(frames, times) for times in reversed(range(self.scales))]

    def parts(self, video):
        """Given frames of `video` as channels [N, H, W, given * C]; the next one [N, H, W, C]."""
        return side_by_side(video[:, : self.given], self.given), video[:, self.given]

    def clips(self, frames, nexts):
        """The given frames with the next one, at all sizes."""
        return [tf.concat(x, axis=-1) for x in zip(self.sizes_of(frames), nexts, strict=True)]

    def answers(self, frames, nexts, true):
        """Cross-entropies of D's answers, summed over the sizes: that the next frame is true.

        Args:
            frames: Given frames as channels, [N, H, W, given * C].
            nexts: A next frame at each size, a list.
            true: True for frames of the data, False for made ones.
        """
        logits = self.discriminator(self.clips(frames, nexts), training=True)  # [N, scales]
        costs = tf.nn.softplus(-logits if true else logits)
        return tf.reduce_sum(tf.reduce_mean(costs, axis=0))

    def discriminator_loss(self, frames, true):
        made = self.generator(frames, training=True)
        return {
            "real": self.answers(frames, self.sizes_of(true), True),
            "fake": self.answers(frames, tf.nest.flatten(made), False),
        }

    def generator_loss(self, frames, true):
        made = tf.nest.flatten(self.generator(frames, training=True))
        pairs = list(zip(made, self.sizes_of(true), strict=True))
        distance = sum(tf.reduce_mean(tf.abs(a - b) ** self.power) for a, b in pairs)
        difference = sum(gradient_difference(a, b) for a, b in pairs)
        terms = {
            "distance": self.distance_weight * distance,
            "difference": self.difference_weight * difference,
        }
        if self.adversarial_weight:
            terms["fake"] = self.adversarial_weight * self.answers(frames, made, True)
        return terms

    def train_step(self, data):
        frames, true = self.parts(data["video"])
        logs = {}
        if self.adversarial_weight:
            logs = self.update("discriminator", self.discriminator_loss, frames, true)
        return logs | self.update("generator", self.generator_loss, frames, true)

    def next_frame(self, video):
        """The frame after given ones.

        Args:
            video: [N, given, H, W, C] in [-1, 1], with sides that are multiples of 2^(scales - 1).

        Returns:
            [N, H, W, C] in [-1, 1].
        """
        made = self.generator(side_by_side(video, self.given), training=False)
        return tf.nest.flatten(made)[-1]

    def predict_frames(self, video, frames=1):
        """The next frames: each prediction is given for those after it.

        Args:
            video: [N, given, H, W, C] in [-1, 1]; more frames may be given, the last ones count.
            frames: Number of frames to make.

        Returns:
            [N, frames, H, W, C] in [-1, 1].
        """
        video = tf.convert_to_tensor(video)[:, -self.given :]
        unit = 1 << (self.scales - 1)
        whole = tf.reduce_all(tf.shape(video)[2:4] % unit == 0)
        ensure(whole, f"Sides of frames are multiples of {unit}; these are", tf.shape(video)[2:4])

        def longer(film):
            made = self.next_frame(film[:, -self.given :])
            return (tf.concat([film, made[:, None]], axis=1),)

        (film,) = tf.while_loop(
            lambda film: tf.shape(film)[1] < self.given + tf.cast(frames, "int32"),
            longer,
            [video],
            [tf.TensorShape([None, None, None, None, self.image_shape[2]])],
        )
        return film[:, self.given :]

    def call(self, video):
        return self.predict_frames(video)

    def outputs(self, batch):
        """Clips of a batch with the last frame predicted, [N, length, H, W, C]."""
        video = tf.convert_to_tensor(batch["video"])[:, : self.given]
        return tf.concat([video, self.next_frame(video)[:, None]], axis=1)

    def preview(self, batch):
        """Clips with their true next frame, above the same clips with predicted next ones."""
        video = tf.convert_to_tensor(batch["video"][:SHOWN])
        ahead = self.predict_frames(video[:, : self.given], AHEAD)
        rest = tf.repeat(video[:, -1:], AHEAD, axis=1)  # the true one stays
        pairs = [tf.concat([video[:, : self.given], x], axis=1) for x in (rest, ahead)]
        clips = tf.stack(pairs, axis=1)  # [n, 2, T, H, W, C]
        return Video(tf.reshape(clips, [-1, *clips.shape[2:]]), rate=8)

    def endpoints(self):
        """`serving_default`: the next frame of clips of any size; `predict`: the next ones."""

        def predict(video, frames):
            return {"video": self.predict_frames(video, frames)}

        video = tf.TensorSpec([None, self.given, None, None, self.image_shape[2]], name="video")
        return {
            "serving_default": (lambda video: {"video": self.predict_frames(video)}, [video]),
            "predict": (predict, [video, FRAMES]),
        }


def side_by_side(video, count):
    """Frames as channels: [N, count, H, W, C] -> [N, H, W, count * C]."""
    return tf.concat(tf.unstack(video, count, axis=1), axis=-1)
