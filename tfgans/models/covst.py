"""CoVST — Coherent Online Video Style Transfer.

Chen, Liao, Yuan, Yu, Hua, ICCV 2017, arXiv:1703.09211.

New here: a network that gives single images another style makes films flicker. It stays as it is,
cut in two halves, an encoder and a decoder. Between them the features of the frame before are
warped along the motion and blended with those of the frame, where a mask finds that they agree:

    F' = warp(Fo before, flow)      Fo = (1 - M) F + M F'      output = decoder(Fo)

Fo goes on to the next frame, so a film may have any length. Two small networks learn, the flow and
the mask; no discriminator judges them.

    stage 0   the flow alone, on the flow that the data know
    stage 1   flow and mask together, on the style as well

Not verified: the text of the paper was not at hand; all weights, rates and lengths are as known.
Differs from the paper: the flow network is in the form of FlowNet-S (arXiv:1504.06852) with four
halvings, narrower, and ends at the whole size. The length of stage 0 is this project's choice.

Reference: no code of the authors.
"""

import functools

import keras
import tensorflow as tf

from tfgans import storage
from tfgans.errors import BadInput, nearest
from tfgans.images import table
from tfgans.models.base import BaseModel, clone_of
from tfgans.models.cyclegan import build_resnet_generator
from tfgans.ops.warp import warp
from tfgans.optimizers import Adam

HALVINGS = 4  # of the flow network
SHOWN = 8  # clips of a preview
UNTRAINED = (
    "CoVST: no generator is given, so it stabilizes one with random weights, whose style means "
    "nothing. To give one: --set model.generator=RUN_OR_RELEASE"
)


def build_flow_network(channels, width=16):
    """A frame and the one before it -> the flow from the first to the second, in pixels.

    It begins at 0. Both are [N, H, W, C], with sides that are multiples of 16; the flow is float32
    [N, H, W, 2].
    """

    def leaky(x):
        return keras.layers.LeakyReLU(0.1)(x)

    def conv(x, filters, size=3, strides=1):
        return leaky(keras.layers.Conv2D(filters, size, strides, padding="same")(x))

    frame, before = (keras.Input([None, None, channels], name=n) for n in ("frame", "before"))
    x, skips = keras.layers.Concatenate()([frame, before]), []
    for k in range(HALVINGS):
        skips.append(x)
        x = conv(conv(x, width * 2**k, 3 if k else 5, 2), width * 2**k)
    for k in reversed(range(HALVINGS)):
        filters = width * 2 ** max(k - 1, 0)
        x = leaky(keras.layers.Conv2DTranspose(filters, 4, 2, padding="same")(x))
        x = conv(keras.layers.Concatenate()([x, skips[k]]), filters)
    flow = keras.layers.Conv2D(
        2, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="flow"
    )(x)
    return keras.Model([frame, before], flow, name="flow_network")


def build_mask_network(features):
    """Differences of features [N, h, w, features] -> M, float32 [N, h, w, 1] in (0, 1)."""
    difference = x = keras.Input([None, None, features])
    for filters in (32, 16):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    mask = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype="float32")(x)
    return keras.Model(difference, mask, name="mask_network")


def halves_of(generator):
    """A generator's encoder and decoder, cut before its first residual block, for any size.

    Args:
        generator: Images [N, H, W, C] -> images of the same size, a network with residual blocks
            such as that of CycleGAN.

    Raises:
        BadInput: It has no residual blocks, or something leads around them.
    """
    channels = generator.input_shape[-1]
    network = clone_of(generator, keras.Input([None, None, channels]))
    sums = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    if not sums:
        raise BadInput(
            f"{generator.name} has no residual blocks, before which it could be cut in two halves."
        )
    features = sums[0].input[0]
    try:
        encoder = keras.Model(network.input, features, name="encoder")
        decoder = keras.Model(features, network.output, name="decoder")
    except ValueError as error:
        raise BadInput(
            f"{generator.name} cannot be cut in two halves before its first residual block: "
            "something leads around it."
        ) from error
    encoder.trainable = decoder.trainable = False
    return encoder, decoder


def open_halves(path, direction, image_channels, features):
    """The halves of the generator of a saved model, see `halves_of`.

    Args:
        path: A .keras file.
        direction: One of the model's directions; the main one for "".
        image_channels: Wanted number of channels of images.
        features: Wanted number of channels between the halves.
    """
    model = storage.read(path, compile=False)
    if model.data_kind == "label_maps":
        raise BadInput(
            f"The {type(model).__name__} in {path} paints label maps, and CoVST gets films of "
            "images: give a translator of images such as cyclegan, in model.generator. For films "
            "of label maps there is vid2vid."
        )
    ways = model.directions() if hasattr(model, "directions") else {}
    if direction and direction not in ways:
        raise BadInput(nearest(f"direction of {type(model).__name__}", direction, ways))
    _, generator = ways[direction or next(iter(ways))] if ways else (None, None)
    if not isinstance(generator, keras.Model):
        generator = getattr(model, "generator", None)
    shapes = generator and (generator.input_shape, generator.output_shape)
    if not shapes or any(type(s) is not tuple or s[3:] != (image_channels,) for s in shapes):
        raise BadInput(
            f"The {type(model).__name__} in {path} has no network from images to images of "
            f"{image_channels} channels. Give a translator such as cyclegan, in model.generator."
        )
    encoder, decoder = halves_of(generator)
    if encoder.output_shape[-1] != features:
        raise BadInput(
            f"The generator in {path} has {encoder.output_shape[-1]} channels between its halves, "
            f"and model.features is {features}: set model.features={encoder.output_shape[-1]}."
        )
    return encoder, decoder


def scaled(flow, size):
    """A flow [N, H, W, 2] in pixels as one of another size (height, width), in its pixels."""
    times = tf.cast(size, "float32") / tf.cast(tf.shape(flow)[1:3], "float32")
    return tf.image.resize(flow, size) * times[::-1]  # the horizontal part is first


def merged(clips):
    """The frames of all clips: [N, T, ...] -> [N T, ...]."""
    return tf.reshape(clips, [-1, *tf.unstack(tf.shape(clips))[2:]])


def masked_squares(mask, a, b):
    """Mean of mask (a - b)^2 over all pixels and channels."""
    return tf.reduce_mean(mask * tf.square(a - b))


@keras.saving.register_keras_serializable("tfgans")
class CoVST(BaseModel):
    """Makes the style of films steady that a given generator paints frame by frame.

    The generator is never trained. It is in exports, and in no snapshot or `.keras` file: these
    name its file and know its hash. A release has a copy of that file.

    Args:
        image_shape: (height, width, channels) of the frames in training; in use any size with sides
            that the generator takes.
        length: Frames of a clip in training.
        generator: Name of a release, or path of a release, run or .keras file, of the model that
            gives the style, such as a cyclegan; "" for random weights.
        direction: Direction of that model; its main one for "".
        features: Channels between the halves of the generator: 4 width for that of CycleGAN.
        flow_width: Channels of the first layer of the flow network.
        temporal_weight: Weight of the distance to the style of the frame before, where it is seen.
        style_weight: Weight of the distance to the frame's own style, where nothing was before.
        flow_weight: Weight of the distance of the flow.
        pretrain_steps: Steps of stage 0.
        decay_steps: Steps after which the learning rate is 0.8 times as large.
    """

    data_kind = "video"
    parts_of_clips = ("flow", "visible")

    def __init__(
        self,
        image_shape=(256, 256, 3),
        length=2,
        generator="",
        direction="",
        features=256,
        flow_width=16,
        temporal_weight=1e5,
        style_weight=2e4,
        flow_weight=10.0,
        pretrain_steps=20_000,
        decay_steps=20_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if length < 2:
            raise BadInput(f"model.length is 2 or more: a frame and those after it, not {length}.")
        self.image_shape, self.length, self.generator = image_shape, length, generator
        self.direction, self.features, self.flow_width = direction, features, flow_width
        self.temporal_weight, self.style_weight = temporal_weight, style_weight
        self.flow_weight, self.pretrain_steps = flow_weight, pretrain_steps
        self.decay_steps, self.stage_steps = decay_steps, (pretrain_steps,)
        channels = image_shape[2]
        self.flow_network = build_flow_network(channels, flow_width)
        self.mask_network = build_mask_network(features)
        if generator:
            build = functools.partial(
                open_halves, direction=direction, image_channels=channels, features=features
            )
            self.given = self.frozen(generator, build, storage.find, in_use=True)
        else:
            print(UNTRAINED)
            self.encoder, self.decoder = halves_of(
                build_resnet_generator((16, 16, channels), channels, features // 4, blocks=2)
            )

    def get_config(self):
        found = self.frozen_files() if self.generator else {}
        return super().get_config() | {"frozen": found}

    @classmethod
    def from_config(cls, config):
        found = config.pop("frozen", {})
        model = super().from_config(config)
        if model.generator:
            model.given.expected = found.get(model.generator)
        return model

    def players(self):
        return {"flow": [self.flow_network], "mask": [self.mask_network]}

    def default_optimizers(self):
        def adam():
            rate = keras.optimizers.schedules.ExponentialDecay(1e-4, self.decay_steps, 0.8, True)
            return Adam(rate)

        return {"flow": adam(), "mask": adam()}

    def halves(self):
        """Encoder and decoder of the generator."""
        if not self.generator:
            return self.encoder, self.decoder
        with tf.init_scope():  # not inside a graph that asks for them first
            self.given.load()
        return self.given.network

    def encode(self, frame):
        encoder, _ = self.halves()
        return encoder(frame, training=False)

    def decode(self, features):
        _, decoder = self.halves()
        return decoder(features, training=False)

    def flow(self, frame, before):
        """The flow from frames [N, H, W, C] to those before them, float32 [N, H, W, 2]."""
        size = tf.shape(frame)[1:3]
        whole = -(-size // 2**HALVINGS) * 2**HALVINGS
        pair = [tf.image.resize(x, whole) for x in (frame, before)]
        return scaled(self.flow_network(pair), size)

    def blend(self, features, past, flow):
        """Fo: features F [N, h, w, F], and those of the frame before where they agree with them.

        Args:
            features: F, those of the frame itself.
            past: Fo of the frame before.
            flow: From the frame to the one before, [N, H, W, 2] in pixels of the frame.
        """
        warped = warp(past, scaled(flow, tf.shape(features)[1:3]))
        mask = tf.cast(self.mask_network(tf.abs(warped - features)), features.dtype)
        return (1.0 - mask) * features + mask * warped

    def flow_loss(self, frame, before, true):
        return {"flow": self.flow_distance(self.flow(frame, before), true)}

    def flow_distance(self, flow, true):
        return self.flow_weight * tf.reduce_mean(tf.square(flow - true))

    def losses(self, video, true, visible):
        """The terms of both players, over all frames of the clips but the first.

        Args:
            video: Clips [N, T, H, W, C] in [-1, 1].
            true: Their flow, [N, T, H, W, 2] in pixels, to the frame before.
            visible: [N, T, H, W, 1], 1 where the flow holds.
        """
        features = self.encode(video[:, 0])
        style = self.decode(features)
        terms = {"temporal": 0.0, "style": 0.0, "flow": 0.0}
        for t in range(1, self.length):
            frame, before = video[:, t], video[:, t - 1]
            flow, own = self.flow(frame, before), self.encode(frame)
            features = self.blend(own, features, flow)
            made, last, style = self.decode(features), style, self.decode(own)
            seen, past = visible[:, t], warp(last, true[:, t])
            terms["temporal"] += self.temporal_weight * masked_squares(seen, made, past)
            terms["style"] += self.style_weight * masked_squares(1.0 - seen, made, style)
            terms["flow"] += self.flow_distance(flow, true[:, t])
        terms = {name: term / (self.length - 1) for name, term in terms.items()}
        return {"flow": terms, "mask": {k: v for k, v in terms.items() if k != "flow"}}

    def train_step(self, data):
        video, true, visible = (data[word] for word in ("video", "flow", "visible"))
        if self.stage == 0:
            pairs = (merged(x) for x in (video[:, 1:], video[:, :-1], true[:, 1:]))
            return self.update("flow", self.flow_loss, *pairs)
        return self.update_together(self.losses, video, true, visible)

    def per_frame(self, video):
        """The style of each frame of `video` [N, T, H, W, C] alone, as the generator paints it."""
        return tf.reshape(self.decode(self.encode(merged(video))), tf.shape(video))

    def first_frame(self, frame):
        """The style of first frames [N, H, W, C], and their features."""
        features = self.encode(frame)
        return self.decode(features), features

    def next_frame(self, frame, before, past):
        """The style of the next frames of films.

        Args:
            frame: [N, H, W, C] in [-1, 1].
            before: The frames before them.
            past: The features that came with the style of these.

        Returns:
            [N, H, W, C] in [-1, 1], and their features for the frames after them.
        """
        features = self.blend(self.encode(frame), past, self.flow(frame, before))
        return self.decode(features), features

    def stream(self, frames, steady=True):
        """Yields the style of one frame after the other of a film of any length.

        Args:
            frames: Frames [H, W, C] in [-1, 1] of one size, a list or an iterator.
            steady: False for the style of each frame alone.
        """
        self.halves()
        first = tf.function(self.first_frame, autograph=False)
        after = tf.function(self.next_frame, autograph=False)
        before = past = None
        for frame in frames:
            frame = tf.convert_to_tensor(frame, "float32")[tf.newaxis]
            if past is None or not steady:
                made, past = first(frame)
            else:
                made, past = after(frame, before, past)
            before = frame
            yield made[0].numpy()

    def stylize(self, video):
        """The style of `video` [N, T, H, W, C] in [-1, 1], of the same shape."""
        video = tf.convert_to_tensor(video)
        count = tf.shape(video)[1]
        first, features = self.first_frame(video[:, 0])
        made = tf.TensorArray("float32", count, element_shape=first.shape).write(0, first)

        def step(t, features, made):
            image, features = self.next_frame(video[:, t], video[:, t - 1], features)
            return t + 1, features, made.write(t, image)

        shapes = [tf.TensorShape([]), tf.TensorShape([None, None, None, self.features]), None]
        _, _, made = tf.while_loop(
            lambda t, *_: t < count, step, [1, features, made], shape_invariants=shapes
        )
        return tf.transpose(made.stack(), [1, 0, 2, 3, 4])

    def call(self, video):
        return self.stylize(video)

    def outputs(self, batch):
        """The films of a batch in the style, [N, T, H, W, C]."""
        return self.stylize(batch["video"])

    def preview(self, batch):
        """Rows of the last two frames of clips, the last one's own style, and the steady style."""
        video = tf.convert_to_tensor(batch["video"][:SHOWN])
        made = self.stylize(video)[:, -1]
        return table(video[:, -2], video[:, -1], self.per_frame(video)[:, -1], made)

    def endpoints(self):
        """`serving_default`: films in the style; `per_frame`: each frame alone."""
        self.halves()
        video = tf.TensorSpec([None, None, None, None, self.image_shape[2]], name="video")
        return {
            "serving_default": (lambda video: {"video": self.stylize(video)}, [video]),
            "per_frame": (lambda video: {"video": self.per_frame(video)}, [video]),
        }
