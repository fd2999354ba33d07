"""InstaGAN — InstaGAN: Instance-aware Image-to-Image Translation.

Mo, Cho, Shin, ICLR 2019, arXiv:1812.10889.

New here: an image is translated together with the set of the masks of its instances, in CycleGAN's
game. One encoder reads all masks, and their codes are summed, so that no order of instances counts;
each mask is decoded from its own code, that of the image and the sum. A context loss keeps the
ground: pixels outside of all masks, before and after, shall not change. Instances are translated
two at a time, the largest first, each time in the image of the last pass: so the memory of a step
does not grow with their number.

Differs from the paper: all examples of a batch take all passes; one without instances left stays
as it is, has no part in the losses of that pass, and D's pool takes its last fake again. The code,
with batches of one, leaves such a pass out. A mask is empty if it is -1 everywhere.

Not verified: the number of images of the paper's sheep and giraffes, and so the length of its
training; `hold_steps` and `decay_steps` are 100 passes over 2,500 images each.

Reference: sangwoomo/instagan (models/insta_gan_model.py, models/networks.py).
"""

import keras
import tensorflow as tf

from tfgans.data.instance_masks import EMPTY
from tfgans.errors import BadInput
from tfgans.images import table
from tfgans.layers.image_pool import ImagePool
from tfgans.layers.instance_norm import instance_norm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.cyclegan import CycleGAN, decode, encode
from tfgans.models.pix2pix import initializer
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.ops.pointwise import choose
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved


def present(masks):
    """The masks that are not empty: [N, H, W, M] -> [N, M]."""
    return tf.reduce_any(masks > EMPTY, axis=[1, 2])


def one_at_least(masks):
    """The masks that a network reads, [N, M]: those present, or else the first one."""
    found = present(masks)
    none = tf.logical_not(tf.reduce_any(found, axis=1, keepdims=True))
    return found | (none & (tf.range(masks.shape[3]) == 0))


def fold(masks):
    """Masks as images of their own: [N, H, W, M] -> [N M, H, W, 1]."""
    _, rows, columns, _ = masks.shape
    return tf.reshape(tf.transpose(masks, [0, 3, 1, 2]), [-1, rows, columns, 1])


def by_mask(x, count):
    """[N M, H, W, C] -> [N, M, H, W, C], for M = count."""
    return tf.reshape(x, [-1, count, *x.shape[1:]])


def sum_of(codes, read):
    """The sum of the codes [N, M, H, W, C] of those masks that are read, [N, M]."""
    return tf.reduce_sum(codes * tf.cast(read, codes.dtype)[:, :, None, None, None], axis=1)


class SetGenerator(keras.layers.Layer):
    """An image with masks -> the same, translated: [N, H, W, C + M], for any M of at least 1.

    Args:
        image_shape: (height, width, channels) of the images.
        width: Channels of each encoder at full resolution.
        blocks: Residual blocks of each encoder.
    """

    def __init__(self, image_shape, width=64, blocks=9, **kwargs):
        super().__init__(autocast=False, **kwargs)
        rows, columns = halved(
            image_shape, 2, least=2
        )  # raises BadInput where that is not possible
        *size, self.channels = image_shape

        def encoder(channels):
            image = keras.Input([*size, channels])
            return keras.Model(image, encode(image, width, blocks))

        def decoder(codes, channels):
            code = keras.Input([rows, columns, 4 * width * codes])
            return keras.Model(code, decode(code, channels))

        self.encode_image, self.encode_mask = encoder(self.channels), encoder(1)
        self.decode_image, self.decode_mask = decoder(2, self.channels), decoder(3, 1)
        self.built = True

    def call(self, x, training=False):
        image, masks = x[..., : self.channels], x[..., self.channels :]
        read, count = one_at_least(masks), masks.shape[3]
        of_image = self.encode_image(image)
        of_mask = by_mask(self.encode_mask(fold(masks)), count)  # [N, M, H / 4, W / 4, C]
        common = tf.concat([of_image, sum_of(of_mask, read)], axis=-1)
        each = tf.concat([of_mask, tf.repeat(common[:, None], count, axis=1)], axis=-1)
        made = by_mask(self.decode_mask(tf.reshape(each, [-1, *each.shape[2:]])), count)
        made = tf.transpose(made[..., 0], [0, 2, 3, 1])  # [N, H, W, M]
        made = choose(read[:, None, None], made, masks)
        return tf.concat([self.decode_image(common), made], axis=-1)


class SetDiscriminator(keras.layers.Layer):
    """An image with masks, [N, H, W, C + M] -> maps of scores.

    Args:
        image_shape: (height, width, channels) of the images.
        width: Channels of the first layer.
        layers: Number of layers that halve the image.
    """

    def __init__(self, image_shape, width=64, layers=3, **kwargs):
        super().__init__(autocast=False, **kwargs)
        *size, self.channels = image_shape
        if min(size) >> layers < 3:
            raise BadInput(
                f"A discriminator that halves {layers} times needs images of at least "
                f"{3 << layers} pixels, not {size[0]}x{size[1]}. Lower model.patch_layers."
            )

        def conv(x, filters, strides=1, **kwargs):
            layer = keras.layers.Conv2D(
                filters, 4, strides, kernel_initializer=initializer(), **kwargs
            )
            return SpectralNorm(layer, **kwargs)(keras.layers.ZeroPadding2D(1)(x))

        def leaky(x):
            return keras.layers.LeakyReLU(0.2)(x)

        def features(channels):
            image = keras.Input([*size, channels])
            x = leaky(conv(image, width, 2))
            for k in range(1, layers):
                x = leaky(instance_norm()(conv(x, width * min(2**k, 8), 2)))
            return keras.Model(image, x)

        self.image_features, self.mask_features = features(self.channels), features(1)
        *size, channels = self.image_features.output.shape[1:]
        both = keras.Input([*size, 2 * channels])
        x = leaky(instance_norm()(conv(both, 2 * width * min(2**layers, 8))))
        self.judge = keras.Model(both, conv(x, 1, dtype="float32"))
        self.built = True

    def call(self, x, training=False):
        image, masks = x[..., : self.channels], x[..., self.channels :]
        of_image = self.image_features(image, training=training)
        of_mask = by_mask(self.mask_features(fold(masks), training=training), masks.shape[3])
        whole = sum_of(of_mask, one_at_least(masks))
        return self.judge(tf.concat([of_image, whole], axis=-1), training=training)


def mean_of(active, values):
    """The mean over a batch in which only active examples count: [N], [N, ...] -> a number."""
    each = tf.reduce_mean(values, axis=range(1, values.shape.rank))
    return tf.reduce_mean(tf.cast(active, each.dtype) * each)


def background(*masks):
    """1 where all masks are empty, 0 where one is full: [N, H, W, 1]."""
    union = tf.reduce_sum((tf.concat(masks, axis=-1) + 1.0) / 2.0, axis=-1, keepdims=True)
    return 1.0 - tf.clip_by_value(union, 0.0, 1.0)


@keras.saving.register_keras_serializable("tfgans")
class InstaGAN(TranslationModel):
    """Translates the instances of images between two domains, learned without pairs.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels at full resolution, of all networks.
        blocks: Residual blocks of each encoder.
        patch_layers: Number of halvings in the discriminators.
        instances: Instances of an image that training uses, the largest ones.
        per_pass: Instances that are translated at once.
        most_instances: Masks that the data hold for each image, at most.
        cycle_weight: Weight of the cycle consistency, the paper's lambda_cyc.
        identity_weight: Weight of the identity terms, as a part of `cycle_weight`.
        context_weight: Weight of the change of the ground, as a part of `cycle_weight`.
        pool_size: Number of past fakes in the pool of each discriminator.
        hold_steps: Steps at the full learning rate.
        decay_steps: Steps over which it then falls to 0.
    """

    data_kind = "instance_masks"

    def __init__(
        self,
        image_shape=(200, 200, 3),
        width=64,
        blocks=9,
        patch_layers=3,
        instances=4,
        per_pass=2,
        most_instances=20,
        cycle_weight=10.0,
        identity_weight=1.0,
        context_weight=1.0,
        pool_size=50,
        hold_steps=250_000,
        decay_steps=250_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if per_pass < 1 or instances < 1 or instances % per_pass or most_instances < instances:
            raise BadInput(
                "model.instances is a multiple of model.per_pass, and at most "
                f"model.most_instances; not {instances}, {per_pass} and {most_instances}."
            )
        self.image_shape, self.width, self.blocks = image_shape, width, blocks
        self.patch_layers, self.instances, self.per_pass = patch_layers, instances, per_pass
        self.most_instances, self.cycle_weight = most_instances, cycle_weight
        self.identity_weight, self.context_weight = identity_weight, context_weight
        self.pool_size, self.hold_steps, self.decay_steps = pool_size, hold_steps, decay_steps
        self.generator_ab, self.generator_ba = (
            SetGenerator(image_shape, width, blocks, name=name)
            for name in ("generator_ab", "generator_ba")
        )
        self.discriminator_a, self.discriminator_b = (
            SetDiscriminator(image_shape, width, patch_layers, name=name)
            for name in ("discriminator_a", "discriminator_b")
        )
        *size, channels = image_shape
        self.pool_a, self.pool_b = (
            ImagePool(pool_size, (*size, channels + instances), name=name)
            for name in ("pool_a", "pool_b")
        )

    players = CycleGAN.players

    @property
    def passes(self):
        """Moves of each player in a step."""
        return self.instances // self.per_pass

    def default_optimizers(self):
        def adam():
            hold, decay = self.passes * self.hold_steps, self.passes * self.decay_steps
            return Adam(HoldThenDecay(2e-4, hold, decay), beta_1=0.5)

        return {"discriminators": adam(), "generators": adam()}

    def apart(self, x):
        """An image and its masks, which x [N, H, W, C + M] holds together."""
        channels = self.image_shape[2]
        return x[..., :channels], x[..., channels:]

    def largest(self, image, masks):
        """An image with the masks of its largest instances, [N, H, W, C + instances]."""
        order = by_area(masks)[:, : self.instances]
        return tf.concat([image, tf.gather(masks, order, axis=3, batch_dims=1)], axis=-1)

    def shown(self, fake, before):
        """A fake with the masks `before` it and its own, those to come empty, as D sees it."""
        image, masks = self.apart(fake)
        masks = tf.concat([*before, masks], axis=-1)
        missing = self.instances - masks.shape[3]
        empty = tf.fill([*masks.shape[:3], missing], EMPTY)
        return tf.concat([image, masks, empty], axis=-1)

    def one_way(self, x, there, back, judge, before):
        """The terms of one direction, and the translation.

        Args:
            x: Image and masks of this pass.
            there: Generator to the other domain.
            back: Generator from there.
            judge: Discriminator of the other domain.
            before: The translated masks of earlier passes.
        """
        image, masks = self.apart(x)
        active = tf.reduce_any(present(masks), axis=1)
        fake = choose(active[:, None, None, None], there(x, training=True), x)
        fake_image, fake_masks = self.apart(fake)
        score = judge(self.shown(fake, before), training=True)
        returned, same = back(fake, training=True), back(x, training=True)
        ground = background(masks, fake_masks)
        identity = self.identity_weight * self.cycle_weight
        context = self.context_weight * self.cycle_weight
        terms = {
            "fake": mean_of(active, tf.square(score - 1.0)),
            "cycle": self.cycle_weight * mean_of(active, tf.abs(returned - x)),
            "identity": identity * mean_of(active, tf.abs(same - x)),
            "context": context * mean_of(active, ground * tf.abs(image - fake_image)),
        }
        return terms, fake

    def generators_loss(self, a, b, before_a, before_b):
        """The terms of both directions, and the translations.

        Args:
            a, b: Images with masks, [N, H, W, C + M].
            before_a, before_b: Lists of the masks of the passes before.
        """
        ab, ba = self.generator_ab, self.generator_ba
        to_b, fake_b = self.one_way(a, ab, ba, self.discriminator_b, before_b)
        to_a, fake_a = self.one_way(b, ba, ab, self.discriminator_a, before_a)
        return {name: term + to_a[name] for name, term in to_b.items()}, (fake_a, fake_b)

    def discriminators_loss(self, a, b, old_a, old_b, active_a, active_b):
        """Each judges the translations of the other domain, where that has instances left.

        Args:
            a, b: Images with masks, [N, H, W, C + M].
            old_a, old_b: Translations out of the pools, as a discriminator sees them.
            active_a, active_b: bool [N]: the image has an instance left in this pass.
        """
        real_a = self.discriminator_a(a, training=True)
        real_b = self.discriminator_b(b, training=True)
        fake_a = self.discriminator_a(old_a, training=True)
        fake_b = self.discriminator_b(old_b, training=True)

        def halved_sum(active, real, fake):
            return 0.5 * (mean_of(active, tf.square(real - 1.0)) + mean_of(active, tf.square(fake)))

        return {
            "a": halved_sum(active_b, real_a, fake_a),
            "b": halved_sum(active_a, real_b, fake_b),
        }

    def train_step(self, data):
        a, b = (self.largest(data[key], data[f"{key}_masks"]) for key in "ab")
        (image_a, masks_a), (image_b, masks_b) = self.apart(a), self.apart(b)
        before_a, before_b, logs = [], [], []
        for k in range(self.passes):
            now = slice(k * self.per_pass, (k + 1) * self.per_pass)
            left_a, left_b = masks_a[..., now], masks_b[..., now]
            x_a = tf.concat([image_a, left_a], axis=-1)
            x_b = tf.concat([image_b, left_b], axis=-1)
            g, (fake_a, fake_b) = self.update(
                "generators", self.generators_loss, x_a, x_b, before_a, before_b
            )
            old_a = self.pool_a(self.shown(fake_a, before_a))  # fakes of before this move
            old_b = self.pool_b(self.shown(fake_b, before_b))
            active = [tf.reduce_any(present(masks), axis=1) for masks in (left_a, left_b)]
            d = self.update("discriminators", self.discriminators_loss, a, b, old_a, old_b, *active)
            image_b, next_a = self.apart(fake_a)  # the image of b is on its way to a
            image_a, next_b = self.apart(fake_b)
            before_a, before_b = [*before_a, next_a], [*before_b, next_b]
            logs.append(g | d)
        return {name: tf.add_n([log[name] for log in logs]) / len(logs) for name in logs[0]}

    def translated(self, generator, image, masks):
        """Translates all instances, the largest first, `per_pass` at a time.

        Args:
            generator: That of the direction.
            image: [N, H, W, C] in [-1, 1].
            masks: [N, H, W, M] in [-1, 1], any number in any order; empty ones are -1 everywhere.

        Returns:
            The image, and the masks in the same order. Without instances it is the image given.
        """
        order, each = by_area(masks), self.per_pass
        # Without rests of negative numbers, which run times round in two ways.
        beyond = (each - tf.shape(masks)[3] % each) % each
        ordered = tf.gather(masks, order, axis=3, batch_dims=1)
        ordered = tf.pad(ordered, [[0, 0], [0, 0], [0, 0], [0, beyond]], constant_values=EMPTY)
        slots = tf.range(tf.shape(ordered)[3])
        most = tf.reduce_max(tf.reduce_sum(tf.cast(present(masks), "int32"), axis=1))

        def one_pass(k, image, found):
            now = tf.gather(ordered, k * each + tf.range(each), axis=3)
            now.set_shape([None, *image.shape[1:3], each])
            x = tf.concat([image, now], axis=-1)
            active = tf.reduce_any(present(now), axis=1)
            image, made = self.apart(
                tf.where(active[:, None, None, None], generator(x, training=False), x)
            )
            here = tf.gather(made, slots % each, axis=3)
            return k + 1, image, tf.where(slots // each == k, here, found)

        _, image, found = tf.while_loop(
            lambda k, *_: k * each < most,
            one_pass,
            (0, tf.convert_to_tensor(image), ordered),
        )
        return image, tf.gather(found, tf.argsort(order), axis=3, batch_dims=1)

    def both(self):
        """Direction -> (inputs, function that returns image and masks)."""
        image = self.image_spec()
        masks = tf.TensorSpec([None, *self.image_shape[:2], None], name="masks")
        generators = {"a_to_b": self.generator_ab, "b_to_a": self.generator_ba}
        return {
            name: (
                {name[0]: image, f"{name[0]}_masks": masks},
                lambda image, masks, generator=generator: self.translated(generator, image, masks),
            )
            for name, generator in generators.items()
        }

    def directions(self):
        return {
            name: (inputs, lambda *given, function=function: function(*given)[0])
            for name, (inputs, function) in self.both().items()
        }

    def endpoints(self):
        """The directions give the translated masks, too; serving_default gives the image alone."""
        return super().endpoints() | {
            name: (
                lambda *given, function=function: dict(
                    zip(("image", "masks"), function(*given), strict=True)
                ),
                list(inputs.values()),
            )
            for name, (inputs, function) in self.both().items()
        }

    def preview(self, batch):
        """For each direction rows of image and masks, their translations, and the way back."""
        rows, found = [], self.both()
        for name, back in (("a_to_b", "b_to_a"), ("b_to_a", "a_to_b")):
            inputs, function = found[name]
            image, masks = (batch[key][: PREVIEW // 2] for key in inputs)
            fake, fake_masks = function(image, masks)
            returned, _ = found[back][1](fake, fake_masks)
            rows.append(table(image, seen(masks), fake, seen(fake_masks), returned))
        return tf.concat(rows, axis=0)


def by_area(masks):
    """The numbers of masks, the largest first: [N, H, W, M] -> [N, M]."""
    return tf.argsort(tf.reduce_mean(masks, axis=[1, 2]), direction="DESCENDING", stable=True)


def seen(masks):
    """All masks as one picture, [N, H, W, 1] in [-1, 1]."""
    return 1.0 - 2.0 * background(tf.convert_to_tensor(masks))
