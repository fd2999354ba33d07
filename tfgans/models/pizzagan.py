"""PizzaGAN — How to make a pizza: Learning a compositional layer-based GAN model.

Papadopoulos, Tamaazousti, Ofli, Weber, Torralba, CVPR 2019, arXiv:1906.02839.

New here: an image is a stack of layers, and each class of layers has a module that adds one and a
module that takes one off. A module makes an appearance A and a mask M, and its result is
M A + (1 - M) x: where the mask is 0 the image stays as it is, bit for bit. All that is told about
an image is the classes of its layers. Adding and taking off again must return the image. The layer
on top has the largest mask, so layers can be taken off one after another, and their order is found.

A step is about one class, drawn for it: its module for adding gets the images without the class,
its module for taking off the others. All other modules stand still, bit for bit.

Differs from the paper: D scores patches and reads classes in two heads of StarGAN's trunk. Both
modules see all images of a batch, and each counts only its own, so that a step has one graph for
each class. Images of one batch are judged as those before the modules moved.

Not verified: weights of the terms, batch size and number of toppings are those of the paper as
known; they agree with a third-party port, whose mask term has a wrong sign on one side.

Reference: huangrt01/PizzaGAN-PyTorch (unofficial, incomplete).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.images import table
from tfgans.layers.instance_norm import instance_norm
from tfgans.models.combogan import by_number
from tfgans.models.cyclegan import conv, encode, grown, l1, squared
from tfgans.models.inputs import need_classes
from tfgans.models.stargan import build_discriminator, of_attributes
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.ops.pointwise import choose
from tfgans.optimizers import Adam
from tfgans.shapes import halved

CLASS = 3  # random stream of the classes


def build_module(image_shape, width=64, blocks=9, name="module"):
    """Images -> appearance in [-1, 1] and, in one channel more, the mask in [0, 1].

    The network is CycleGAN's generator with two heads.
    """
    halved(image_shape, 2, least=2)  # raises BadInput where that is not possible
    image = keras.Input(image_shape)
    x = grown(encode(image, width, blocks, norm=instance_norm))
    appearance = conv(x, image_shape[2], 7, activation="tanh", dtype="float32")
    mask = conv(x, 1, 7, activation="sigmoid", dtype="float32")
    both = keras.layers.Concatenate(dtype="float32")([appearance, mask])
    return keras.Model(image, both, name=name)


def composed(image, both):
    """The image with a layer more or less, and the mask of it [N, H, W, 1].

    Args:
        image: [N, H, W, C] in [-1, 1].
        both: Appearance and mask of a module, [N, H, W, C + 1].
    """
    appearance, mask = both[..., :-1], both[..., -1:]
    return mask * appearance + (1.0 - mask) * image, mask


@keras.saving.register_keras_serializable("tfgans")
class PizzaGAN(TranslationModel):
    """Adds layers to images and takes them off, learned from the classes of their layers alone.

    Args:
        image_shape: (height, width, channels) of the images.
        num_classes: Number of classes of layers; a label is a vector of 0 and 1.
        width: Channels of the modules at full resolution, and of D after its first halving.
        blocks: Residual blocks of the modules: 9 at 256x256, 6 at 128x128.
        class_weight: Weight of the cross-entropy of the classes, for all players.
        cycle_weight: Weight of the L1 distance after the way there and back.
        mask_weight: Weight of the mean of both masks.
    """

    data_kind = "images"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        num_classes=10,
        width=64,
        blocks=9,
        class_weight=1.0,
        cycle_weight=10.0,
        mask_weight=0.01,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes, self.width = image_shape, num_classes, width
        need_classes(self)
        self.blocks, self.class_weight = blocks, class_weight
        self.cycle_weight, self.mask_weight = cycle_weight, mask_weight
        self.adders, self.removers = (
            [build_module(image_shape, width, blocks, f"{name}_{k}") for k in range(num_classes)]
            for name in ("adder", "remover")
        )
        self.discriminator = build_discriminator(image_shape, num_classes, width)

    @property
    def choices(self):
        """The numbers of the classes."""
        return [*range(self.num_classes)]

    def choice(self):
        """The class of this step."""
        draws = np.random.default_rng([self.draw_seed, self.now, CLASS])
        return int(draws.integers(self.num_classes))

    def players(self):
        modules = {network.name: [network] for network in (*self.adders, *self.removers)}
        return {"discriminator": [self.discriminator]} | modules

    def default_optimizers(self):
        return {player: Adam(2e-4, beta_1=0.5, beta_2=0.999) for player in self.players()}

    def toggled(self, k, image, there, training):
        """The images without a layer of class k if they have one, else with one; and its mask.

        Args:
            k: Number of the class.
            image: [N, H, W, C] in [-1, 1].
            there: If each image has such a layer, boolean [N].
            training: The modules are in training.
        """
        added = self.adders[k](image, training=training)
        removed = self.removers[k](image, training=training)
        return composed(image, choose(there[:, None, None, None], removed, added))

    def reading_error(self, logits, label):
        """Cross-entropy of `logits` and a `label`: summed over classes, averaged over images."""
        return tf.reduce_mean(of_attributes(logits, label))

    def modules_loss(self, k, image, label):
        """The terms of class k, the same for both modules, and the images that they make.

        Args:
            k: Number of the class.
            image: Images [N, H, W, C] in [-1, 1].
            label: Vectors [N, num_classes] of 0 and 1.
        """
        there = label[:, k] > 0.5
        wanted = tf.abs(label - tf.one_hot(k, self.num_classes))
        fake, mask = self.toggled(k, image, there, training=True)
        back, other_mask = self.toggled(k, fake, tf.logical_not(there), training=True)
        score, logits = self.discriminator(fake, training=True)
        masks = tf.reduce_mean(mask) + tf.reduce_mean(other_mask)
        terms = {
            "fake": squared(score, 1.0),
            "class": self.class_weight * self.reading_error(logits, wanted),
            "cycle": self.cycle_weight * l1(back, image),
            "mask": self.mask_weight * masks,
        }
        return {f"adder_{k}": terms, f"remover_{k}": terms}, fake

    def discriminator_loss(self, real, label, fake):
        real_score, logits = self.discriminator(real, training=True)
        fake_score, _ = self.discriminator(fake, training=True)  # classes count on real ones only
        return {
            "real": squared(real_score, 1.0),
            "fake": squared(fake_score, 0.0),
            "class": self.class_weight * self.reading_error(logits, label),
        }

    def train_step(self, data):
        k, image, label = self.chosen, data["image"], self.one_hot(data["label"])
        players = [f"adder_{k}", f"remover_{k}"]
        logs, fake = self.update_together(self.modules_loss, k, image, label, players=players)
        return logs | self.update("discriminator", self.discriminator_loss, image, label, fake)

    def add(self, image, layer):
        """Images [N, H, W, C] with a layer more, and its mask [N, H, W, 1] in [0, 1].

        Args:
            image: [N, H, W, C] in [-1, 1].
            layer: Numbers of the classes, [N] or one for all.
        """
        image = tf.convert_to_tensor(image)
        return composed(image, by_number(self.adders, image, layer, "Layers"))

    def remove(self, image, layer):
        """Images without their layer of a class, and its mask; see `add`."""
        image = tf.convert_to_tensor(image)
        return composed(image, by_number(self.removers, image, layer, "Layers"))

    def peel(self, image):
        """Takes all layers off, each time the one that shows most.

        The classes of the layers are those that D reads. The layer on top is seen whole, so its
        mask is the largest where layers are of one size: it has the most pixels above 1/2.

        Args:
            image: [N, H, W, C] in [-1, 1].

        Returns:
            Numbers of the classes from the top down, int32 [N, num_classes], -1 after the last one;
            the masks in this order, [N, H, W, num_classes] in [0, 1]; the images after each layer,
            [N, num_classes, H, W, C].
        """
        image = tf.convert_to_tensor(image)
        _, logits = self.discriminator(image, training=False)
        left, order, masks, images = logits > 0.0, [], [], []
        for _ in range(self.num_classes):
            made = [composed(image, network(image, training=False)) for network in self.removers]
            bare, mask = (tf.stack(part, axis=1) for part in zip(*made, strict=True))  # [N, K, ...]
            size = tf.reduce_mean(tf.cast(mask > 0.5, "float32"), axis=[2, 3, 4])
            top = tf.argmax(tf.where(left, size, -1.0), axis=1, output_type="int32")
            some = tf.reduce_any(left, axis=1)
            chosen = some[:, None, None, None]
            image = tf.where(chosen, tf.gather(bare, top, axis=1, batch_dims=1), image)
            masks.append(tf.where(chosen, tf.gather(mask, top, axis=1, batch_dims=1), 0.0))
            order.append(tf.where(some, top, -1))
            images.append(image)
            left &= tf.one_hot(top, self.num_classes, on_value=False, off_value=True, dtype="bool")
        return tf.stack(order, axis=1), tf.concat(masks, axis=-1), tf.stack(images, axis=1)

    def directions(self):
        inputs = {"image": self.image_spec(), "layer": tf.TensorSpec([None], "int32", "layer")}
        return {
            name: (inputs, lambda *given, function=function: function(*given)[0])
            for name, function in (("add", self.add), ("remove", self.remove))
        }

    def endpoints(self):
        """Adding and removing give the mask, too; `order` is `peel`, without its images."""
        found = super().endpoints()
        for name, function in (("add", self.add), ("remove", self.remove)):

            def with_mask(image, layer, function=function):
                return dict(zip(("image", "mask"), function(image, layer), strict=True))

            found[name] = with_mask, found[name][1]

        def order(image):
            return dict(zip(("order", "masks"), self.peel(image), strict=False))

        return found | {"order": (order, [self.image_spec()])}

    def outputs(self, batch, direction=None):
        """Each image with a layer more or less: of class 0 for the first one, then 1, and so on."""
        image, label = tf.convert_to_tensor(batch["image"]), self.one_hot(batch["label"])
        layer = tf.range(tf.shape(image)[0]) % self.num_classes
        there = tf.gather(label, layer, axis=1, batch_dims=1) > 0.5
        added, removed = self.add(image, layer)[0], self.remove(image, layer)[0]
        return tf.where(there[:, None, None, None], removed, added)

    def preview(self, batch):
        """A row for each image: its layers taken off, then one of each class added.

        Each layer is a pair of its mask and the image after it.
        """
        image = tf.convert_to_tensor(batch["image"][:PREVIEW])
        _, masks, images = self.peel(image)
        columns = [image]
        for k in range(self.num_classes):
            columns += [seen(masks[..., k : k + 1]), images[:, k]]
        bare = columns[-1]
        for k in range(self.num_classes):
            bare, mask = self.add(bare, k)
            columns += [seen(mask), bare]
        return table(*columns)


def seen(mask):
    """Masks [N, H, W, 1] in [0, 1] as pictures in [-1, 1]."""
    return 2.0 * mask - 1.0
