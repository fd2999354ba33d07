"""Feature disentangling — two encoders, one of which must hide what the other one tells.

After Hung-yi Lee's lectures on GANs and Chen, Huang, Shen, Lee, Lee, "Phonetic-and-Semantic
Embedding of Spoken Words with Applications in Spoken Content Retrieval", SLT 2018,
arXiv:1807.08089.

New here: images come in groups, such as words of one speaker or shapes of one color. A style
encoder S learns what a group has in common: its codes lie together within a group and apart between
groups. A content encoder C learns the rest: a critic tries to tell from two content codes if their
images are of one group, and through gradient reversal C makes it fail. A decoder rebuilds each
image from both codes, so that nothing is lost. The style of one image then goes with the content of
another.

Differs from the paper: it has embeddings of audio, and further losses that are not built. The loss
and all weights are this project's choice, as are the networks: the encoders and the decoder are
DCGAN's convolutions.

Not verified: the paper's own settings; only its idea is taken, as known.

Reference: none; the formulas stand in the losses below.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.layers.gradient_reversal import GradientReversal
from tfgans.models.base import BaseModel
from tfgans.models.dcgan import TORCH, build_generator, convs, initializer
from tfgans.optimizers import Adam
from tfgans.shapes import halvings


def build_encoder(image_shape, code_dim, width, name):
    """Images in [-1, 1] -> codes [N, code_dim]."""
    image = keras.Input(image_shape, name="image")
    x = convs(image, halvings(image_shape, fewest=1), width, use_bias=True, **TORCH)
    x = keras.layers.Flatten()(x)
    code = keras.layers.Dense(code_dim, kernel_initializer=initializer(), dtype="float32")(x)
    return keras.Model(image, code, name=name)


def build_critic(content_dim, units):
    """Two content codes side by side [N, 2 content_dim] -> scores [N, 1], high for one group."""
    x = codes = keras.Input([2 * content_dim])
    for count in units:
        x = keras.layers.Dense(count, activation="relu")(x)
    return keras.Model(codes, keras.layers.Dense(1, dtype="float32")(x), name="critic")


@keras.saving.register_keras_serializable("tfgans")
class Disentangle(BaseModel):
    """Autoencoder with a code for the group of an image and one for all else.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        content_dim: Length of a content code.
        style_dim: Length of a style code; a long one can carry the content too.
        width: Channels of the layers nearest to the image; they double away from it.
        critic_units: Units of the critic's hidden layers.
        margin: Distance that style codes of two groups keep at least.
        reversal: Factor of the critic's gradient in the content encoder, before it is reversed; 0
            for a content that hides nothing.
    """

    data_kind = "groups"

    def __init__(
        self,
        image_shape=(32, 32, 3),
        content_dim=64,
        style_dim=16,
        width=64,
        critic_units=(128, 128),
        margin=1.0,
        reversal=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.content_dim, self.style_dim = image_shape, content_dim, style_dim
        self.width, self.critic_units = width, critic_units
        self.margin, self.reversal = margin, reversal
        self.content = build_encoder(image_shape, content_dim, width, "content")
        self.style = build_encoder(image_shape, style_dim, width, "style")
        self.decoder = build_generator(image_shape, content_dim + style_dim, width, **TORCH)
        self.critic = build_critic(content_dim, critic_units)
        self.reverse = GradientReversal()

    def players(self):
        return {
            "autoencoder": [self.content, self.style, self.decoder],
            "critic": [self.critic],
        }

    def default_optimizers(self):
        return {"autoencoder": Adam(1e-3), "critic": Adam(1e-3)}

    def decode(self, content, style, training=False):
        """Images [N, H, W, C] of `content` [N, content_dim] and `style` [N, style_dim]."""
        return self.decoder(tf.concat([content, style], axis=1), training=training)

    def style_loss(self, of_a, of_b, same):
        """|S_a - S_b|^2 within a group, [margin - |S_a - S_b|]+^2 between groups; the mean.

        Args:
            of_a, of_b: Style codes of pairs, [N, style_dim].
            same: [N], 1 for a pair of one group, 0 for two groups.
        """
        square = tf.reduce_sum(tf.square(of_a - of_b), axis=1)
        missing = tf.nn.relu(self.margin - tf.sqrt(square + 1e-12))  # a slope at 0 too
        return tf.reduce_mean(same * square + (1.0 - same) * tf.square(missing))

    def critic_loss(self, contents, same):
        """Cross entropy of `same`, 1 or 0 for two groups, from pairs of codes in `contents`."""
        score = self.critic(self.reverse(contents, strength=self.reversal), training=True)[:, 0]
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(same, score))

    def losses(self, a, b, same):
        both = tf.concat([a, b], axis=0)
        content, style = self.content(both, training=True), self.style(both, training=True)
        rebuilt = self.decode(content, style, training=True)
        critic = self.critic_loss(tf.concat(tf.split(content, 2), axis=1), same)
        return {
            "autoencoder": {
                "reconstruction": tf.reduce_mean(tf.square(both - rebuilt)),
                "style": self.style_loss(*tf.split(style, 2), same),
                "critic": critic,  # climbed by the content encoder, for it is reversed
            },
            "critic": {"critic": critic},
        }

    def train_step(self, data):
        same = tf.cast(data["same"], "float32")
        return self.update_together(self.losses, data["a"], data["b"], same)

    def call(self, image, style):
        """Images with the contents of the first ones and the styles of the second ones.

        Args:
            image: [N, H, W, C] in [-1, 1].
            style: [N, H, W, C] in [-1, 1].
        """
        return self.decode(self.content(image, training=False), self.style(style, training=False))

    def encode(self, image):
        """The two codes of images: {"content": [N, content_dim], "style": [N, style_dim]}."""
        return {
            "content": self.content(image, training=False),
            "style": self.style(image, training=False),
        }

    def outputs(self, batch):
        return self(batch["a"], batch["b"])

    def swaps(self, contents, styles):
        """A table of all contents, by rows, in all styles, by columns.

        Args:
            contents: [rows, H, W, C] in [-1, 1].
            styles: [columns, H, W, C] in [-1, 1].

        Returns:
            [rows + 1, columns + 1, H, W, C]: the images themselves stand on the left and above.
        """
        rows = [np.concatenate([np.ones([1, *self.image_shape], "float32"), styles])]
        for image in contents:
            made = self(tf.repeat(image[None], len(styles), axis=0), styles)
            rows.append(np.concatenate([image[None], made]))
        return np.stack(rows)

    def preview(self, batch):
        """The first images "a" by rows, in the styles of the first images "b" by columns."""
        return self.swaps(batch["a"][:6], batch["b"][:6])

    def endpoints(self):
        image, style = (
            tf.TensorSpec([None, *self.image_shape], name=name) for name in ("image", "style")
        )
        swap = (lambda image, style: {"image": self(image, style)}, [image, style])
        return {"serving_default": swap, "swap": swap, "encode": (self.encode, [image])}
