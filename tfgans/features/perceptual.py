"""Perceptual losses: distances between images in the layers of a fixed network.

Gatys, Ecker, Bethge, 2015, arXiv:1505.07376; Johnson, Alahi, Fei-Fei, ECCV 2016, arXiv:1603.08155.

The network is VGG16 or VGG19 from a file of weights; nothing is downloaded. Without a file it is a
stand-in, the convolutions of own-small, which ships with tfgans: block k of VGG is its k-th layer,
and the third for all deeper blocks. It has learned gray images, so it sees red, green and blue one
by one. Each layer is divided by its mean on textured scenes, so that weights of layers keep their
meaning.

A model takes it as `self.look = self.frozen(*perceptual.network(path, layers))`.
"""

import functools

import keras
import tensorflow as tf

from tfgans import keras_settings
from tfgans.features import own_small, vgg

LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
MEANS = (0.154, 0.209, 0.0930)  # of the stand-in's three layers, on scenes of 64x64 pixels
MEANS_BEFORE = (0.462, 0.647, 1.60)  # of their absolute values before the ReLU
NOTE = (
    "Perceptual loss: no weights of VGG are given, so the layers of own-small, a small classifier "
    "of digits and clothes, stand in for them."
)


def network(path="", layers=LAYERS, kind="VGG19", prepare=True, rectified=True, side=None) -> tuple:
    """The arguments of `BaseModel.frozen` for a network that a perceptual loss looks through.

    Args:
        path: Weights of VGG, of Keras (.h5) or torchvision (.pth); "" for the stand-in.
        layers: Keras' names of the wanted layers, such as "block5_conv4".
        kind: "VGG16" or "VGG19".
        prepare: False gives VGG the images in [-1, 1] as they are, as pix2pixHD does; else they get
            the range and mean that it was trained with.
        rectified: False for the layers before their ReLU.
        side: VGG sees the images with this height and width, resized bilinearly; None as they are.
            The stand-in, which has learned small images, always sees them as they are.

    Returns:
        Path and builder. The network maps images [N, H, W, 1 or 3] in [-1, 1] to the list of the
        activations, float32 under every policy.
    """
    given = {"layers": layers, "rectified": rectified}
    if path:
        build = functools.partial(vgg_layers, kind=kind, prepare=prepare, side=side, **given)
        return path, build
    return own_small.WEIGHTS, functools.partial(stand_in, **given)


def vgg_layers(path, layers, kind, prepare, rectified, side):
    """Layers of VGG with the weights of a file: images -> list of activations.

    Args:
        path: File with the weights that Keras publishes for ImageNet.
        layers: Names of the layers, such as "block3_conv3".
        kind: "VGG16" or "VGG19".
        prepare: Images come in [-1, 1], and become BGR minus the means of ImageNet.
        rectified: Activations after the ReLU; False: before it.
        side: Side to which images are resized, in pixels; None or 0: their own.
    """
    with keras_settings.policy("float32"):  # activations are too large for float16
        found, ready = vgg.build_layers(path, layers, kind)
        if not rectified:
            chosen = [found.get_layer(name) for name in layers]
            found = keras.Model(found.input, [unrectified(x, x.input) for x in chosen])

    def look(images):
        images = colored(images)
        if side:
            images = tf.image.resize(images, [side, side])
        return listed(found(ready(images) if prepare else images))

    return look


def stand_in(path, layers, rectified):
    """Layers of own-small in place of those of VGG: images -> list of activations.

    Args:
        path: File of own-small; "" for the one that ships with tfgans.
        layers: Names of VGG's layers, such as "block3_conv3"; the number of the block chooses one
            of own-small's three convolutions.
        rectified: Activations after the ReLU; False: before it.
    """
    print(NOTE)
    with keras_settings.policy("float32"):
        model = own_small.load(path)
        image = x = keras.Input([None, None, 3])
        blocks = []
        for layer in model.layers[1:6]:  # three convolutions, two poolings between them
            if isinstance(layer, keras.layers.Conv2D):
                blocks.append(layer(x) if rectified else unrectified(layer, x))
            x = layer(x)
        first = keras.Model(image, blocks)
    first.trainable = False
    chosen = [min(int(name[len("block")]), len(blocks)) - 1 for name in layers]
    means = MEANS if rectified else MEANS_BEFORE

    def look(images):
        planes = tf.split(colored(images), 3, axis=-1)  # red, green, blue
        found = first(tf.repeat(tf.concat(planes, axis=0), 3, axis=-1))
        found = [tf.concat(tf.split(x, 3, axis=0), axis=-1) for x in found]
        return [found[k] / means[k] for k in chosen]

    return look


def unrectified(layer, x):
    """A convolution of x without the ReLU behind it."""
    plain = keras.layers.Conv2D.from_config(
        layer.get_config() | {"activation": None, "name": f"{layer.name}_unrectified"}
    )
    found = plain(x)
    plain.set_weights(layer.get_weights())
    plain.trainable = False
    return found


def colored(images):
    """Gray or RGB images of any type as RGB in float32."""
    images = tf.cast(images, "float32")
    return tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def listed(outputs):
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


def distance(look, image, target, weights, norm=tf.abs):
    """The sum over layers of weight times mean distance; no gradient reaches the target.

    Args:
        look: Images -> list of activations.
        image: [N, H, W, C] in [-1, 1].
        target: Likewise.
        weights: A number for each layer.
        norm: `tf.abs` for the mean absolute error, `tf.square` for the mean squared one.
    """
    found, wanted = look(image), look(target)
    return tf.add_n(
        [
            weight * tf.reduce_mean(norm(a - tf.stop_gradient(b)))
            for weight, a, b in zip(weights, found, wanted, strict=True)
        ]
    )
