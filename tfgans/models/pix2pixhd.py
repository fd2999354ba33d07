"""pix2pixHD — High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs.

Wang et al., CVPR 2018, arXiv:1711.11585.

New here: photographs of 2048x1024 pixels from label maps. A generator learns at half the size; an
enhancer around it adds what the full size needs. Discriminators of one design judge the image at
several scales, and their own features are the measure of likeness (feature matching). The borders
between objects are an input beside the classes. An encoder can give each object a style: three
numbers, the means of its pixels, which are chosen by hand or at random afterwards.

    stage 0   the global generator (and the encoder) at half the size
    stage 1   the enhancer alone
    stage 2   generator and enhancer

Discriminator and generator move at once, from one forward pass.

Differs from the paper: features are matched as in the code, as a mean over scales. Without a file
of VGG19's weights a small network stands in for it, which is printed (`features/perceptual.py`).
Styles are clustered from those that the last training steps saw, not in a pass over the data
afterwards. The encoder sees half of the full size in all stages; the code stores its answers before
stage 1. The discriminators keep Adam's moments from stage to stage.

Reference: NVIDIA/pix2pixHD.
"""

import keras
import numpy as np
import tensorflow as tf
from scipy.cluster.vq import kmeans2

from tfgans import random
from tfgans.data.label_maps import in_colors
from tfgans.features import perceptual
from tfgans.images import table
from tfgans.layers.instance_norm import instance_norm
from tfgans.models.cyclegan import build_resnet_generator, conv, decode, residual, squared
from tfgans.models.pix2pix import initializer
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.ops.label_maps import means, of_objects, semantics
from tfgans.ops.resample import mean_pool, resize_nearest
from tfgans.optimizers import Adam, HoldThenDecay, InTurn
from tfgans.shapes import halved

VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
MEMORY = 128  # styles of each class that are remembered


def build_generator(input_shape, channels, width=64, blocks=9, downs=4):
    """Semantics (and styles) -> "image" in [-1, 1], and the "features" before its last layer."""
    whole = build_resnet_generator(input_shape, channels, width, blocks, downs)
    features = whole.layers[-3].output  # before a padding and the last convolution
    return keras.Model(whole.input, {"image": whole.output, "features": features}, name="generator")


def build_enhancer(input_shape, channels, width=64, blocks=3):
    """Semantics [N, 2H, 2W, ...], generator's features [N, H, W, width] -> images [N, 2H, 2W, C].

    Args:
        input_shape: (height, width, channels) of the semantics.
        channels: Channels of the images.
        width: Channels of the features; half as many at full resolution.
        blocks: Residual blocks.
    """

    def relu(x):
        return keras.layers.ReLU()(instance_norm()(x))

    rows, columns = halved(input_shape, 1)
    seen, features = keras.Input(input_shape), keras.Input([rows, columns, width])
    x = relu(conv(seen, width // 2, 7))
    x = relu(conv(x, width, strides=2))
    x = keras.layers.Add()([x, features])
    for _ in range(blocks):
        x = residual(x)
    image = decode(x, channels, ups=1)
    return keras.Model([seen, features], image, name="enhancer")


def build_discriminator(
    input_shape,
    width=64,
    halvings=3,
    normed=lambda conv: conv,
    use_bias=True,
    start=initializer,
    norm=instance_norm,
    name="discriminator",
):
    """A PatchGAN that shows its work: the "score" map, and the features "stage_1", "stage_2", ...

    Args:
        input_shape: (height, width, channels) of semantics and image together, at any scale.
        width: Channels of the first stage; they double up to 8 times that.
        halvings: Number of stages that halve the image; one more does not.
        normed: Convolution between the first and the last -> the same with its kernel normalized.
        use_bias: Give these a bias.
        start: Function that makes an initializer of kernels.
        norm: Function that makes a normalization layer.
        name: Name of the network.
    """

    def layer_of(filters, stride, use_bias=True, **kwargs):
        return keras.layers.Conv2D(
            filters, 4, stride, use_bias=use_bias, kernel_initializer=start(), **kwargs
        )

    def padded(x):
        return keras.layers.ZeroPadding2D(2)(x)  # maps grow by one or two cells, as in the code

    image = keras.Input(input_shape)
    x = keras.layers.LeakyReLU(0.2)(layer_of(width, 2)(padded(image)))
    found = {"stage_1": x}
    for i in range(1, halvings + 1):
        layer = normed(layer_of(width * min(2**i, 8), 2 if i < halvings else 1, use_bias))
        x = keras.layers.LeakyReLU(0.2)(norm()(layer(padded(x))))
        found[f"stage_{i + 1}"] = x
    found["score"] = layer_of(1, 1, dtype="float32")(padded(x))
    return keras.Model(image, found, name=name)


def judged(discriminators, seen, image):
    """The findings of discriminators at scale after scale, each half as large as the one before.

    Args:
        discriminators: The first one sees the image as it is.
        seen: Semantics, [N, H, W, ...].
        image: [N, H, W, C] in [-1, 1].
    """
    x, found = tf.concat([seen, image], axis=-1), []
    for k, discriminator in enumerate(discriminators):
        x = mean_pool(x) if k else x
        found.append(discriminator(x, training=True))
    return found


def feature_matching(fake, real):
    """The sum over stages of the mean distance of features; no gradient reaches the real ones."""
    return tf.add_n(
        [
            tf.reduce_mean(tf.abs(tf.cast(fake[name] - tf.stop_gradient(real[name]), "float32")))
            for name in fake
            if name != "score"
        ]
    )


def maps_of(model):
    """The inputs that every use of a model of label maps has: batch key -> TensorSpec."""
    names = ("map", "instances") if model.instances else ("map",)
    size = model.image_shape[:2]
    return {name: tf.TensorSpec([None, *size], "int32", name=name) for name in names}


class Styles(keras.layers.Layer):
    """Styles of objects that training has seen, and for each class some of them to choose from.

    Args:
        classes: Number of classes, unlabeled included.
        channels: Numbers of a style.
        clusters: Styles to choose from.
    """

    def __init__(self, classes, channels, clusters, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.classes, self.channels, self.clusters = classes, channels, clusters
        for name, shape in {
            "memory": (classes, MEMORY, channels),
            "count": (classes,),  # how many styles were remembered so far
            "centers": (classes, clusters, channels),
        }.items():
            own = {"trainable": False, "aggregation": "only_first_replica"}
            weight = self.add_weight(name=name, shape=shape, initializer="zeros", **own)
            setattr(self, name, weight)
        self.built = True

    def remember(self, labels, styles):
        """Keeps the style of a random pixel of each class: large objects come more often.

        Args:
            labels: One label map, int32 [1, H, W].
            styles: Its styles, [1, H, W, channels]; all pixels of an object have the same.
        """
        own = tf.reshape(tf.one_hot(labels, self.classes), [-1, self.classes])  # [H W, classes]
        pixel = tf.argmax(own * tf.reshape(random.uniform(labels.shape, 0.1), [-1, 1]), axis=0)
        found = tf.gather(tf.reshape(styles, [-1, self.channels]), pixel)
        found = tf.cast(found, "float32")[:, tf.newaxis]  # [classes, 1, channels]
        there = tf.reduce_max(own, axis=0)  # [classes]
        slot = tf.one_hot(tf.cast(self.count % MEMORY, "int32"), MEMORY) * there[:, tf.newaxis]
        slot = slot[..., tf.newaxis]
        self.memory.assign((1.0 - slot) * self.memory + slot * found)
        self.count.assign_add(there)

    def cluster(self):
        """Makes the centers of what is remembered of each class, by k-means."""
        centers = self.centers.numpy()
        pairs = zip(self.memory.numpy(), self.count.numpy(), strict=True)
        for k, (styles, count) in enumerate(pairs):
            styles = styles[: int(count)].astype("float64")
            if len(np.unique(styles, axis=0)) > self.clusters:
                centers[k], _ = kmeans2(styles, self.clusters, minit="++", missing="warn", seed=0)
            elif len(styles):
                centers[k] = np.resize(styles, centers[k].shape)
        self.centers.assign(centers)

    def drawn(self, labels, objects):
        """A random style of its class for each object: [N, H, W, channels]."""
        number = of_objects(random.uniform(tf.shape(labels)), objects) * self.clusters
        place = tf.stack([labels, tf.cast(number, "int32")], axis=-1)
        return tf.gather_nd(self.centers, place)


@keras.saving.register_keras_serializable("tfgans")
class Pix2PixHD(TranslationModel):
    """Makes photographs from label maps, in a style for each object if wanted.

    Args:
        image_shape: (height, width, channels) of the photographs.
        num_labels: Number of classes in the label maps.
        unlabeled: If true, pixels may have no class; they are one more channel.
        instances: If true, the borders between objects are an input.
        legend: Name and color of each class, [[name, [r, g, b]], ...], for pictures of label maps;
            without it they have colors of their own.
        width: Channels of the generator at its full resolution, and of the discriminators' first
            stage.
        blocks: Residual blocks of the generator.
        downs: Halvings of the generator.
        enhancer: If false, the generator makes the full size and there is stage 0 alone.
        enhancer_blocks: Residual blocks of the enhancer.
        scales: Scales that are judged in stage 0; one more with the enhancer.
        halvings: Stages of a discriminator that halve the image.
        style_channels: Numbers of an object's style, 3 in the paper; 0 for no styles.
        encoder_width: Channels of the encoder at the full resolution of stage 0.
        clusters: Styles of each class to choose from, by k-means.
        matching_weight: Weight of feature matching.
        perceptual_weight: Weight of the distance in VGG19; 0 leaves it out.
        vgg: Path of VGG19's weights, of Keras or torchvision; "" for the stand-in.
        global_steps: Steps of stage 0; the rate falls to 0 over the second half.
        enhancer_steps: Steps of stage 1.
        joint_steps: Steps of stages 1 and 2 together; the rate falls over their second half.
    """

    data_kind = "label_maps"

    def __init__(
        self,
        image_shape=(1024, 2048, 3),
        num_labels=35,
        unlabeled=False,
        instances=True,
        legend=None,
        width=64,
        blocks=9,
        downs=4,
        enhancer=True,
        enhancer_blocks=3,
        scales=2,
        halvings=3,
        style_channels=0,
        encoder_width=16,
        clusters=10,
        matching_weight=10.0,
        perceptual_weight=10.0,
        vgg="",
        global_steps=595_000,
        enhancer_steps=29_750,
        joint_steps=297_500,
        **kwargs,
    ):
        super().__init__(**kwargs)
        halved(image_shape, downs + enhancer, least=2)  # raises BadInput where that is not possible
        self.image_shape, self.num_labels, self.unlabeled = image_shape, num_labels, unlabeled
        self.instances, self.legend, self.width, self.blocks = instances, legend, width, blocks
        self.downs, self.enhancer_blocks, self.scales = downs, enhancer_blocks, scales
        self.halvings, self.style_channels, self.clusters = halvings, style_channels, clusters
        self.encoder_width = encoder_width
        self.matching_weight, self.perceptual_weight = matching_weight, perceptual_weight
        self.vgg, self.global_steps, self.enhancer_steps = vgg, global_steps, enhancer_steps
        self.joint_steps, self.enhancer = joint_steps, enhancer
        self.channels = num_labels + unlabeled
        self.stage_steps = (global_steps, enhancer_steps) if enhancer else ()
        small, colors = self.stage_shape(0)[:2], image_shape[2]
        seen = self.channels + instances
        self.generator = build_generator(
            (*small, seen + style_channels), colors, width, blocks, downs
        )
        if enhancer:
            full = (*image_shape[:2], seen + style_channels)
            self.local = build_enhancer(full, colors, width, enhancer_blocks)
        self.discriminators = [  # the finest scale first
            build_discriminator(
                (None, None, seen + colors), width, halvings, name=f"discriminator_{k + 1}"
            )
            for k in range(scales + enhancer)
        ]
        if style_channels:
            self.encoder = build_resnet_generator(
                (*small, colors), style_channels, encoder_width, 0, downs, name="encoder"
            )
            self.styles = Styles(self.channels, style_channels, clusters, name="styles")
        if perceptual_weight:
            self.look = self.frozen(*perceptual.network(vgg, prepare=False))

    @property
    def noisy(self):
        return bool(self.style_channels)

    def players(self):
        encoder = [self.encoder] if self.style_channels else []
        found = {"discriminators": self.discriminators, "generator": [self.generator, *encoder]}
        if self.enhancer:
            found["enhancer"] = [self.local]
            found["joint"] = [self.generator, self.local]
        return found

    def default_optimizers(self):
        def falling(steps, held=0):
            """The first half at the full rate, of which some steps are not counted here."""
            return HoldThenDecay(2e-4, steps - steps // 2 - held, steps // 2)

        rates = {"generator": falling(self.global_steps)}
        rates["discriminators"] = rates["generator"]
        if self.enhancer:
            later = falling(self.joint_steps)
            rates["discriminators"] = InTurn(rates["generator"], self.global_steps, later)
            rates["enhancer"] = 2e-4
            rates["joint"] = falling(self.joint_steps, held=self.enhancer_steps)
        return {player: Adam(rate, beta_1=0.5) for player, rate in rates.items()}

    def stage_shape(self, stage):
        if stage > 0 or not self.enhancer:
            return self.image_shape
        rows, columns, channels = self.image_shape
        return rows // 2, columns // 2, channels

    # The networks.

    def draw(self, seen, training=False):
        """Photographs of semantics (and styles), `seen`; half the size has the generator alone."""
        if not self.enhancer or seen.shape[1] < self.image_shape[0]:
            return self.generator(seen, training=training)["image"]
        features = self.generator(mean_pool(seen), training=training)["features"]
        return self.local([seen, features], training=training)

    def styles_of(self, image, objects, training=False):
        """Styles of an image's `objects`: [N, H, W, style_channels], equal in each object."""
        rows, columns = image.shape[1:3]
        small = self.encoder.input_shape[1:3]
        image = mean_pool(image) if (rows, columns) != small else image
        found = resize_nearest(self.encoder(image, training=training), rows, columns)
        return means(found, objects)

    def semantics(self, labels, instances=None):
        return semantics(labels, instances, self.channels)

    # The game.

    def losses(self, labels, instances, target):
        """The terms of both players of this stage, and the styles of the objects.

        Args:
            labels: Class numbers [N, H, W].
            instances: Numbers of the objects [N, H, W], or None.
            target: Photographs [N, H, W, C] in [-1, 1].
        """
        seen = drawn_from = self.semantics(labels, instances)
        styles = target[..., :0]
        if self.style_channels:
            objects = labels if instances is None else instances
            styles = self.styles_of(target, objects, training=True)
            drawn_from = tf.concat([seen, styles], axis=-1)
        fake = self.draw(drawn_from, training=True)
        # At half the size there is one scale less.
        judges = self.discriminators[1 if self.enhancer and self.stage == 0 else 0 :]
        # Each player's gradient is that of its own weights: fakes are judged once for both.
        real, made = judged(judges, seen, target), judged(judges, seen, fake)
        d = {  # halved; a sum over scales
            "real": tf.add_n([0.5 * squared(found["score"], 1.0) for found in real]),
            "fake": tf.add_n([0.5 * squared(found["score"], 0.0) for found in made]),
        }
        matching = [feature_matching(*pair) for pair in zip(made, real, strict=True)]
        share = 4 / (self.halvings + 1) / len(judges)
        g = {
            "fake": tf.add_n([squared(found["score"], 1.0) for found in made]),
            "features": self.matching_weight * share * tf.add_n(matching),
        }
        if self.perceptual_weight:
            distance = perceptual.distance(self.look, fake, target, VGG_WEIGHTS)
            g["perceptual"] = self.perceptual_weight * distance
        return {"discriminators": d, self.mover: g}, styles

    @property
    def mover(self):
        """The player that moves in this stage, beside the discriminators."""
        return ("generator", "enhancer", "joint")[self.stage]

    def train_step(self, data):
        # Sides that differ between stages are unknown in the batches.
        size = self.stage_shape(self.stage)
        labels, objects = (
            tf.ensure_shape(data[key], [None, *size[:2]]) if key in data else None
            for key in ("map", "instances")
        )
        target = tf.ensure_shape(data["target"], [None, *size])
        logs, styles = self.update_together(
            self.losses, labels, objects, target, players=["discriminators", self.mover]
        )
        if self.style_channels:
            self.styles.remember(labels[:1], styles[:1])
        return logs

    def settle(self):
        if self.style_channels:
            self.styles.cluster()

    # Use.

    def photograph(self, labels, *instances):
        """Photographs of label maps, in random styles if the model has styles.

        Args:
            labels: Class numbers, int32 [N, H, W]; unlabeled pixels have the number num_labels.
            instances: A number for each object, int32 [N, H, W], if the model takes them.
        """
        if self.is_early(labels):
            return self.enlarged(self.photograph, labels, *instances)
        seen = self.semantics(labels, *instances)
        if self.style_channels:
            styles = self.styles.drawn(labels, *instances or [labels])
            seen = tf.concat([seen, styles], axis=-1)
        return self.draw(seen)

    def restyle(self, labels, *rest):
        """Photographs of `labels` in styles of `rest`: instances, if any, and photographs."""
        if self.is_early(labels):
            return self.enlarged(self.restyle, labels, *rest)
        *instances, style = rest
        styles = self.styles_of(style, *instances or [labels])
        return self.draw(tf.concat([self.semantics(labels, *instances), styles], axis=-1))

    def is_early(self, labels):
        """True for `labels` of the full size in stage 0, where no network has learned that size."""
        return self.enhancer and self.stage == 0 and labels.shape[1] == self.image_shape[0]

    def enlarged(self, function, *given):
        """The answer of a function to half the size of what is `given`."""
        small = [x[:, ::2, ::2] if len(x.shape) == 3 else mean_pool(x) for x in given]
        return resize_nearest(function(*small), *self.image_shape[:2])

    def directions(self):
        inputs = maps_of(self)
        found = {"translate": (inputs, self.photograph)}
        if self.style_channels:
            found["restyle"] = (inputs | {"target": self.image_spec("style")}, self.restyle)
        return found

    def preview(self, batch):
        """Rows of map, photograph (two in different styles, if there are styles), and target."""
        given = [batch[key][:PREVIEW] for key in ("map", "instances") if key in batch]
        made = [self.photograph(*given) for _ in range(1 + self.noisy)]
        shown = in_colors(given[0], self.channels, self.legend)
        return table(shown, *made, batch["target"][:PREVIEW])
