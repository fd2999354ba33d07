"""Image2StyleGAN: embeds an image in the extended latent space W+, and edits it there.

Abdal et al., ICCV 2019, arXiv:1904.03189. Each layer has a w of its own. Adam minimizes a
perceptual distance plus the mean squared difference of pixels. W+ can represent images that no
single w gives, even of objects that the generator never saw, so a good reconstruction does not
imply latents that are good for editing.

Reference: the paper; its perceptual features are conv1_1, conv1_2, conv3_2 and conv4_2 of VGG16.
"""

import numpy as np
import tensorflow as tf

from tfgans.features import vgg
from tfgans.latents.search import Search, variable


class Image2StyleGAN(Search):
    """Finds one w per layer with the stored noise images. See `Search` for the arguments."""

    steps = 5000
    noise = "const"
    reduce = staticmethod(tf.reduce_mean)  # 1/N_j |F_j(a) - F_j(b)|^2 of each layer j

    @staticmethod
    def features_of(vgg_path, lpips_path=None):
        return vgg_features(vgg_path)

    def start(self):
        mean, _ = self.mean_w()
        shape = [self.target.shape[0], self.space.num_ws, mean.shape[1]]
        self.latents = variable(np.broadcast_to(mean[:, None], shape))
        return [self.latents], 0.01

    @property
    def ws(self):
        return tf.convert_to_tensor(self.latents.value)

    def move(self, step):
        def loss():
            image = self.space.synthesize(self.ws, self.noise)
            pixels = tf.reduce_mean((image - self.target) ** 2, [1, 2, 3])
            return tf.reduce_sum(self.distance(image) + pixels)  # both have weight 1

        self.descend(loss)


def vgg_features(path):
    """Image2StyleGAN's features: conv1_1, conv1_2, conv3_2 and conv4_2 of VGG16, rectified.

    Args:
        path: Weights of VGG16, as `tfgans.features.vgg.LPIPS` takes them.

    Returns:
        Images [n, H, W, 1 or 3] in [-1, 1] -> list of features [n, h, w, c].
    """
    names = ("block1_conv1", "block1_conv2", "block3_conv2", "block4_conv2")
    layers, prepare = vgg.build_layers(vgg.given(path, "TFGANS_VGG16", "VGG16"), names)

    def features(images):
        return layers(prepare(tf.repeat(images, 3 // images.shape[-1], axis=-1)))

    return features


def morph(ws_a, ws_b, part):
    """Interpolates: (1 - part) a + part b, `part` in [0, 1].

    Args:
        ws_a, ws_b: Latents in W+, [..., num_ws, D].
        part: Number in [0, 1].
    """
    return (1.0 - part) * ws_a + part * ws_b


def transfer_style(ws_content, ws_style):
    """Takes the coarser half of the layers from one image, the finer half from the other.

    Args:
        ws_content: Latents in W+ of the one, [..., num_ws, D].
        ws_style: Those of the other.
    """
    half = ws_content.shape[-2] // 2
    return np.concatenate([ws_content[..., :half, :], ws_style[..., half:, :]], axis=-2)


def transfer_expression(ws, ws_neutral, ws_expressive, strength=1.0):
    """Adds the difference between an expressive and a neutral image of one person.

    Args:
        ws: Latents in W+ to change, [..., num_ws, D].
        ws_neutral: Those of the neutral image.
        ws_expressive: Those of the expressive one.
        strength: Factor of the difference.
    """
    return ws + strength * (ws_expressive - ws_neutral)


PARTS = np.linspace(0, 1, 9)
USES = {  # name -> (number of images, function of their ws -> list of ws)
    "morph": (2, lambda a, b: [morph(a, b, part) for part in PARTS]),
    "style": (2, lambda a, b: [a, transfer_style(a, b), b]),
    "expression": (3, lambda *abc: [transfer_expression(*abc, part) for part in PARTS]),
}
