"""How far an image is from a target, for searches in latent space."""

import functools
import pathlib

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.features.pixel_pyramid import pixel_pyramid_l2

LARGEST = 256  # feature networks see images of this side at most


def distance_to(target, features=None, reduce=tf.reduce_sum):
    """A function of images [n, H, W, C] that tells their distances [n] to `target`.

    Args:
        target: [n, H, W, C] in [-1, 1].
        features: Images [n, H, W, C] in [-1, 1] -> list of features [n, ...], such as LPIPS' or
            layers of VGG; they see images averaged down to 256 pixels. None for
            `pixel_pyramid_l2`, which needs no weights and is not comparable with them.
        reduce: What is done with the squared differences of each feature: `tf.reduce_sum` gives the
            squared Euclidean distance, `tf.reduce_mean` weighs all features alike.
    """
    if features is None:
        return functools.partial(pixel_pyramid_l2, target)
    wanted = features(shrink(target))

    def distance(images):
        found = features(shrink(images))
        pairs = zip(found, wanted, strict=True)
        return tf.add_n([reduce((a - b) ** 2, range(1, len(a.shape))) for a, b in pairs])

    return distance


def shrink(images):
    """Averages images of more than 256 pixels down, by a whole factor."""
    factor = max(images.shape[1:3]) // LARGEST
    return tf.nn.avg_pool2d(images, factor, factor, "VALID") if factor > 1 else images


def vgg_layers(path, names=("block1_conv1", "block1_conv2", "block3_conv2", "block4_conv2")):
    """Layers of VGG16 after their rectifiers, as `distance_to` takes them.

    Args:
        path: The weights of `keras.applications.VGG16` without its top (the .h5 file whose name
            ends in notop.h5).
        names: Keras' names; the default is Image2StyleGAN's conv1_1, conv1_2, conv3_2 and conv4_2.

    Returns:
        Images [n, H, W, 1 or 3] in [-1, 1] -> list of features [n, h, w, c].
    """
    if not pathlib.Path(path).is_file():
        raise BadInput(f"There is no file {path}; wanted are the weights of VGG16, without top.")
    network = keras.applications.VGG16(include_top=False, weights=str(path))
    network.trainable = False
    layers = keras.Model(network.input, [network.get_layer(name).output for name in names])

    def features(images):
        images = tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        return layers(keras.applications.vgg16.preprocess_input((images + 1.0) * 127.5))

    return features
