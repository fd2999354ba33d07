"""VGAN — Generating Videos with Scene Dynamics.

Vondrick, Pirsiavash, Torralba, NIPS 2016, arXiv:1609.02612.

New here: a clip is a moving foreground in front of a still background. One stream of 3-D
convolutions makes the foreground and a mask, another one of 2-D convolutions a single image, which
all frames share. The mask says for each pixel of each frame which of both is seen; a small penalty
keeps it small, so that what can stand still does. D looks at the whole clip with 3-D convolutions.

A second version continues a given frame (`from_frame`): an encoder makes the code from which both
streams begin, nothing is drawn at random, and in place of the penalty the distance of the first
frame to the given one counts.

Differs from the paper: G is judged by D as it is after its move; the authors' code, like the code
that it grew from, takes D's answer from before.

Reference: cvondrick/videogan (main.lua, main_conditional.lua, README.md).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.models.serving import COUNT, SEED, drawing
from tfgans.optimizers import Adam
from tfgans.previews import Video
from tfgans.shapes import halved, halvings

SHOWN = 2  # samples of a preview, each in four clips, or in five with the true one
NOTHING_DRAWN = (
    "This VGAN continues a given frame and draws nothing at random: serving_default takes "
    "image=FILE. With from_frame=false a VGAN samples."
)


def layer(kind, filters, **kwargs):
    """A convolution whose kernels are N(0, 0.01), with kernels of side 4 and strides 2."""
    settings = {"kernel_size": 4, "strides": 2, "padding": "same"} | kwargs
    return kind(filters, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01), **settings)


def normalized(x, activation, epsilon=1e-5):
    gain = keras.initializers.RandomNormal(1.0, 0.02)
    return activation(
        keras.layers.BatchNormalization(momentum=0.9, epsilon=epsilon, gamma_initializer=gain)(x)
    )


def encoded(frame, width, doublings):
    """Frames -> their code, [N, h, w, width << (doublings - 1)] with the size of the first maps."""
    relu = keras.layers.ReLU()
    x = relu(layer(keras.layers.Conv2D, width)(frame))
    for k in range(1, doublings):
        x = normalized(layer(keras.layers.Conv2D, width << k)(x), relu, epsilon=1e-3)
    return x


def stream(start, kind, grid, width, doublings):
    """z, or the code of a frame -> maps of half the final size, `width` channels."""
    relu, x, kernel = keras.layers.ReLU(), start, None
    if len(start.shape) == 2:  # z is a map of one cell
        x, kernel = keras.layers.Reshape([*(1 for _ in grid), start.shape[-1]])(start), grid
    elif len(grid) == 3:  # a code is a map of one point in time; the background begins with it
        x, kernel = keras.layers.Reshape([1, *start.shape[1:]])(start), [grid[0], 1, 1]
    if kernel:
        top = width << (doublings - 1)
        x = normalized(layer(kind, top, kernel_size=kernel, strides=1, padding="valid")(x), relu)
    for k in reversed(range(doublings - 1)):
        x = normalized(layer(kind, width << k)(x), relu)
    return x


def sizes(length, image_shape):
    """The doublings of a stream, and the size of its first map in time, height and width."""
    doublings = halvings(image_shape, fewest=2)
    if length % (1 << doublings):
        raise BadInput(
            f"A clip of {image_shape[0]}x{image_shape[1]} pixels is doubled {doublings} times in "
            f"time too: model.length is a multiple of {1 << doublings}, not {length}."
        )
    return doublings, [length >> doublings, *halved(image_shape, doublings)]


def build_generator(length, image_shape, latent_dim, width, two_streams, from_frame=False):
    """z [N, latent_dim], or a frame [N, H, W, C] -> "video" [N, T, H, W, C], and its layers.

    "foreground" is [N, T, H, W, C], "mask" [N, T, H, W, 1] in [0, 1], and "background"
    [N, H, W, C]. With one stream there is the video alone.
    """
    doublings, grid = sizes(length, image_shape)
    if from_frame:
        given = keras.Input(image_shape, name="frame")
        start = encoded(given, width, doublings)
    else:
        given = start = keras.Input([latent_dim], name="z")
    conv3, conv2 = keras.layers.Conv3DTranspose, keras.layers.Conv2DTranspose
    x = stream(start, conv3, grid, width, doublings)
    front = layer(conv3, image_shape[2], activation="tanh", dtype="float32", name="foreground")(x)
    if not two_streams:
        return keras.Model(given, {"video": front}, name="generator")
    mask = layer(conv3, 1, activation="sigmoid", dtype="float32", name="mask")(x)
    x = stream(start, conv2, grid[1:], width, doublings)
    back = layer(conv2, image_shape[2], activation="tanh", dtype="float32", name="background")(x)
    still = keras.layers.Reshape([1, *image_shape], dtype="float32")(back)  # one frame for all
    video = mask * front + (1.0 - mask) * still
    found = {"video": video, "foreground": front, "mask": mask, "background": back}
    return keras.Model(given, found, name="generator")


def build_discriminator(length, image_shape, width):
    """Clips -> logits [N, 2] of being real, and of being generated."""
    doublings, grid = sizes(length, image_shape)
    leaky = keras.layers.LeakyReLU(0.2)
    video = keras.Input([length, *image_shape], name="video")
    x = leaky(layer(keras.layers.Conv3D, width)(video))
    for k in range(1, doublings):
        x = normalized(layer(keras.layers.Conv3D, width << k)(x), leaky, epsilon=1e-3)
    whole = {"kernel_size": grid, "strides": 1, "padding": "valid", "dtype": "float32"}
    logits = layer(keras.layers.Conv3D, 2, **whole)(x)
    logits = keras.layers.Reshape([2], dtype="float32")(logits)
    return keras.Model(video, logits, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class VGAN(LatentModel):
    """Short clips from noise, in the setting of the paper: 32 frames of 64x64.

    Args:
        image_shape: (height, width, channels) of a frame. Sides are doubled from 4 to 7 pixels.
        length: Frames of a clip; as often doubled.
        latent_dim: Length of z ~ N(0, I).
        width: Channels before the last layer of each stream, and after D's first. From a frame the
            paper has 128.
        two_streams: False for the ablation: the foreground is the whole video.
        mask_weight: Weight of the mean of the mask.
        from_frame: True for clips that continue a given frame: without z and `mask_weight`.
        first_weight: Weight of the distance of the first frame to the given one.
    """

    data_kind = "video"
    makes = "video"

    def __init__(
        self,
        image_shape=(64, 64, 3),
        length=32,
        latent_dim=100,
        width=64,
        two_streams=True,
        mask_weight=0.1,
        from_frame=False,
        first_weight=10.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.length, self.latent_dim = image_shape, length, latent_dim
        self.width, self.two_streams, self.mask_weight = width, two_streams, mask_weight
        self.from_frame, self.first_weight = from_frame, first_weight
        self.absent = {"sample": NOTHING_DRAWN} if from_frame else {}
        self.generator = build_generator(
            length, image_shape, latent_dim, width, two_streams, from_frame
        )
        self.discriminator = build_discriminator(length, image_shape, width)

    def default_optimizers(self):
        return {
            "discriminator": Adam(2e-4, beta_1=0.5),
            "generator": Adam(2e-4, beta_1=0.5),
        }

    def call(self, start):
        """Clips [N, T, H, W, C] in [-1, 1] of a `start`: z [N, latent_dim], or first frames."""
        return self.generator(start, training=False)["video"]

    def latents(self, n):
        if self.from_frame:
            raise BadInput(NOTHING_DRAWN)
        return super().latents(n)

    def starts(self, video):
        """The beginnings of clips like those of `video`: their first frames, or new latents."""
        if self.from_frame:
            return tf.convert_to_tensor(video)[:, 0]
        return self.latents(video.shape[0])

    def outputs(self, batch):
        return self(self.starts(batch["video"]))

    def cross_entropy(self, video, real):
        """Cost of D's answers to `video`; `real` is 1 for clips of the data, 0 for made ones."""
        logits = self.discriminator(video, training=True)  # of real, of generated
        truth = tf.fill([logits.shape[0]], 1 - real)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))

    def discriminator_loss(self, real, start):
        fake = self.generator(start, training=True)["video"]
        return {
            "real": 0.5 * self.cross_entropy(real, 1),
            "fake": 0.5 * self.cross_entropy(fake, 0),
        }

    def generator_loss(self, start):
        made = self.generator(start, training=True)
        terms = {"fake": self.cross_entropy(made["video"], 1)}
        if self.from_frame:
            distance = tf.reduce_mean(tf.abs(made["video"][:, 0] - start))
            terms["first"] = self.first_weight * distance
        elif self.two_streams:
            terms["mask"] = self.mask_weight * tf.reduce_mean(made["mask"])
        return terms

    def train_step(self, data):
        real = data["video"]
        start = self.starts(real)  # the same for both players, as in the code
        logs = self.update("discriminator", self.discriminator_loss, real, start)
        return logs | self.update("generator", self.generator_loss, start)

    def layers_of(self, start):
        """The video, and its foreground, mask and background, all as clips in [-1, 1].

        Args:
            start: z [N, latent_dim], or first frames [N, H, W, C].

        Returns:
            Name -> [N, T, H, W, C]; the mask is white where the foreground is seen.
        """
        made = dict(self.generator(start, training=False))
        if self.two_streams:
            shape = tf.shape(made["video"])
            made["mask"] = tf.broadcast_to(2.0 * made["mask"] - 1.0, shape)
            made["background"] = tf.broadcast_to(made["background"][:, None], shape)
        return made

    def endpoints(self):
        """Also `layers`: the layers of the clips, see `layers_of`.

        From a frame, `serving_default` and `layers` take it; else `layers` takes a seed and n.
        """
        if self.from_frame:
            image = tf.TensorSpec([None, *self.image_shape], name="image")
            return {
                "serving_default": (lambda image: {"video": self(image)}, [image]),
                "layers": (self.layers_of, [image]),
            }

        def layers(seed, n):
            with drawing(seed, n):
                return self.layers_of(self.latents(n))

        return super().endpoints() | {"layers": (layers, [SEED, COUNT])}

    def preview(self, batch):
        """For two samples the video, the foreground, the mask and the background; or videos.

        From a frame, the true clip stands before them.
        """
        if not self.two_streams:
            return super().preview(batch)
        video = batch["video"][:SHOWN]
        made = list(self.layers_of(self.starts(video)).values())
        clips = tf.stack([video, *made] if self.from_frame else made, axis=1)
        return Video(tf.reshape(clips, [-1, *clips.shape[2:]]))
