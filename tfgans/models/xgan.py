"""XGAN — Unsupervised Image-to-Image Translation for Many-to-Many Mappings.

Royer, Bousmalis, Gouws, Bertsch, Mosseri, Cole, Murphy, 2017, arXiv:1711.05139.

New here: an image and its translation must have the same code. Two autoencoders share the layers
next to the code, and a critic of codes, behind a layer of gradient reversal, lets no code show its
domain. The semantic loss encodes the translation again and compares the codes, where CycleGAN
compares pixels after the way there and back: so a translation may change all that is no meaning,
and many images of one domain can belong to many of the other.

    rec    |x - d(e(x))|, the distance of an image from its reconstruction
    dann   cross-entropy of the critic that names the domain of a code; encoders climb it
    sem    |e1(x1) - e2(d2(e1(x1)))| and its mirror image; the first code is the goal and stands
           still, so that translations follow meaning, and meaning does not follow translations
    gan    a discriminator of images for each domain
    teach  |T(x1) - e1(x1)|, where there is a teacher T for the first domain

Differs from the paper: weights and learning rates are those of a public re-implementation, since
the paper's were not found in code; there the critic is that of WGAN-GP, here it is the paper's.
Discriminators judge both directions; the paper's runs from faces to cartoons need one.

Not verified: sizes and terms are the paper's as known; those of the convolutions agree with a
second re-implementation, from which the codes of length 1 come.

Reference: dajimmy1120/AvatarGAN (configs/config.json), for weights and rates. The authors published
no code.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.gradient_reversal import GradientReversal
from tfgans.models.pix2pix import initializer
from tfgans.models.translation import TranslationModel
from tfgans.models.unit import encoders_of, rows_by_codes
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings

OWN = 2  # convolutions at each end that a domain does not share


def conv(x, filters, size=4, transposed=False, **kwargs):
    """A convolution that halves or doubles a map; of another size, one that covers a whole map."""
    kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
    step = {"strides": 2, "padding": "same"} if size == 4 else {}
    return kind(filters, size, kernel_initializer=initializer(), **step, **kwargs)(x)


def normalized(x, slope):
    """Batch normalization and a leaky ReLU, or a ReLU for slope 0."""
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return keras.layers.LeakyReLU(slope)(x) if slope else keras.layers.ReLU()(x)


def down(x, filters):
    return normalized(conv(x, filters, use_bias=False), 0.2)


def up(x, filters):
    return normalized(conv(x, filters, transposed=True, use_bias=False), 0.0)


def build_encoder(image_shape, width, name):
    """Images in [-1, 1] -> maps [N, H / 4, W / 4, 2 width]: the own part of an encoder."""
    image = x = keras.Input(image_shape, name="image")
    for k in range(OWN):
        x = down(x, width << k)
    return keras.Model(image, x, name=name)


def build_shared_encoder(image_shape, width, code_dim):
    """Maps of either domain -> codes [N, code_dim] of length 1."""
    times = halvings(image_shape, fewest=OWN)
    maps = x = keras.Input([*halved(image_shape, OWN), width << OWN - 1])
    for k in range(OWN, times):
        x = down(x, width << k)
    x = keras.layers.Dense(code_dim, use_bias=False, kernel_initializer=initializer())(
        keras.layers.Flatten()(x)
    )
    x = keras.layers.Dense(code_dim, kernel_initializer=initializer(), dtype="float32")(
        normalized(x, 0.2)
    )
    return keras.Model(
        maps, keras.layers.UnitNormalization(dtype="float32")(x), name="encoder_shared"
    )


def build_shared_decoder(image_shape, width, code_dim):
    """Codes [N, code_dim] -> maps for the decoders of both domains."""
    times = halvings(image_shape, fewest=OWN)
    rows, columns = halved(image_shape, times)
    width <<= times
    code = keras.Input([code_dim], name="code")
    x = keras.layers.Dense(
        rows * columns * width, use_bias=False, kernel_initializer=initializer()
    )(code)
    x = keras.layers.Reshape([rows, columns, width])(x)
    return keras.Model(code, up(normalized(x, 0.0), width // 2), name="decoder_shared")


def build_decoder(map_shape, image_shape, name):
    """Maps -> images in [-1, 1]: the own part of a decoder."""
    maps = x = keras.Input(map_shape)
    while x.shape[1] < image_shape[0] // 2:
        x = up(x, x.shape[-1] // 2)
    image = conv(x, image_shape[2], transposed=True, activation="tanh", dtype="float32")
    return keras.Model(maps, image, name=name)


def build_discriminator(image_shape, width, name):
    """Images -> scores [N, 1]; convolutions of width, 2 width, 2 width, ... channels."""
    image = x = keras.Input(image_shape, name="image")
    for k in range(halvings(image_shape, fewest=OWN)):
        x = keras.layers.LeakyReLU(0.2)(conv(x, width << min(k, 1)))
    score = keras.layers.Dense(1, kernel_initializer=initializer(), dtype="float32")(
        keras.layers.Flatten()(x)
    )
    return keras.Model(image, score, name=name)


def build_critic(code_dim):
    """Codes -> logits [N, 1], above 0 for the second domain."""
    code = x = keras.Input([code_dim], name="code")
    for units in (code_dim // 4, code_dim // 16):
        x = keras.layers.Dense(max(units, 1), activation="relu")(x)
    return keras.Model(code, keras.layers.Dense(1, dtype="float32")(x), name="domain_critic")


def l2_distance(x, y):
    """The mean over images of the L2 norm of a difference."""
    squares = tf.reduce_sum(tf.square(x - y), axis=range(1, len(x.shape)))
    return tf.reduce_mean(tf.sqrt(squares + 1e-12))


def l1_distance(x, y):
    """The mean over codes of the L1 norm of a difference."""
    return tf.reduce_mean(tf.reduce_sum(tf.abs(x - y), axis=1))


@keras.saving.register_keras_serializable("tfgans")
class XGAN(TranslationModel):
    """Two autoencoders with one code, whose translations keep it, for faces and cartoons at 64x64.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels of the encoders after their first halving; they double with each further
            one.
        code_dim: Length of the codes.
        discriminator_width: Channels of D's first convolution; the others have twice as many.
        reconstruction_weight: Weight of "rec".
        dann_weight: Weight of "dann" for the encoders.
        semantic_weight: Weight of "sem", the paper's w_s.
        adversarial_weight: Weight of "gan", its w_g.
        teacher_weight: Weight of "teach", its w_t.
        teacher: A `.keras` file: a network from images of the first domain to code_dim numbers,
            which are brought to length 1. None for no teacher.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(64, 64, 3),
        width=32,
        code_dim=1024,
        discriminator_width=16,
        reconstruction_weight=1.0,
        dann_weight=1.0,
        semantic_weight=0.5,
        adversarial_weight=1.0,
        teacher_weight=0.75,
        teacher=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.width, self.code_dim = image_shape, width, code_dim
        self.discriminator_width = discriminator_width
        self.reconstruction_weight, self.dann_weight = reconstruction_weight, dann_weight
        self.semantic_weight, self.adversarial_weight = semantic_weight, adversarial_weight
        self.teacher_weight, self.teacher = teacher_weight, teacher
        halved(image_shape, halvings(image_shape, fewest=OWN))  # raises BadInput
        self.encoder_a, self.encoder_b = (
            build_encoder(image_shape, width, name) for name in ("encoder_a", "encoder_b")
        )
        self.encoder_shared = build_shared_encoder(image_shape, width, code_dim)
        self.decoder_shared = build_shared_decoder(image_shape, width, code_dim)
        maps = self.decoder_shared.output.shape[1:]
        self.decoder_a, self.decoder_b = (
            build_decoder(maps, image_shape, name) for name in ("decoder_a", "decoder_b")
        )
        self.discriminator_a, self.discriminator_b = (
            build_discriminator(image_shape, discriminator_width, name)
            for name in ("discriminator_a", "discriminator_b")
        )
        self.domain_critic, self.reverse = build_critic(code_dim), GradientReversal()
        self.known = None if teacher is None else self.frozen(teacher, load_teacher)

    def players(self):
        encoders = [self.encoder_a, self.encoder_b, self.encoder_shared]
        decoders = [self.decoder_shared, self.decoder_a, self.decoder_b]
        return {
            "discriminators": [self.discriminator_a, self.discriminator_b],
            "generators": [*encoders, *decoders],
            "critic": [self.domain_critic],
        }

    def default_optimizers(self):
        rates = {"discriminators": 1e-3, "generators": 1e-4, "critic": 2e-4}
        return {player: Adam(rate, beta_1=0.5) for player, rate in rates.items()}

    def codes(self, a, b):
        """The codes of images `a` and `b`, [N, code_dim] each, in training.

        The shared layers see both in one batch, as their averages do, which use takes.
        """
        maps = [self.encoder_a(a, training=True), self.encoder_b(b, training=True)]
        return tf.split(self.encoder_shared(tf.concat(maps, axis=0), training=True), 2)

    def crossed(self, code_a, code_b):
        """Reconstructions (a, b) and translations (to a, to b) of `code_a` and `code_b`."""
        codes = tf.concat([code_a, code_b], axis=0)
        maps = self.decoder_shared(codes, training=True)
        same_a, fake_a = tf.split(self.decoder_a(maps, training=True), 2)
        fake_b, same_b = tf.split(self.decoder_b(maps, training=True), 2)
        return (same_a, same_b), (fake_a, fake_b)

    def domain_loss(self, code_a, code_b):
        """The critic's cross-entropy of `code_a` and `code_b`, which get its gradient reversed."""
        logits = [
            self.domain_critic(self.reverse(code), training=True) for code in (code_a, code_b)
        ]
        return 0.5 * (
            tf.reduce_mean(tf.nn.softplus(logits[0])) + tf.reduce_mean(tf.nn.softplus(-logits[1]))
        )

    def semantic_loss(self, code_a, code_b, again_a, again_b):
        """The distance of codes from those of their translations; the codes are the goals.

        Args:
            code_a, code_b: Codes [N, code_dim], the goals, without a gradient.
            again_a, again_b: Codes of their translations.
        """
        return l1_distance(tf.stop_gradient(code_a), again_a) + l1_distance(
            tf.stop_gradient(code_b), again_b
        )

    def discriminators_loss(self, a, b):
        _, (fake_a, fake_b) = self.crossed(*self.codes(a, b))
        terms = {}
        for word, judge, real, fake in (
            ("a", self.discriminator_a, a, fake_a),
            ("b", self.discriminator_b, b, fake_b),
        ):
            real_score, fake_score = judge(real, training=True), judge(fake, training=True)
            terms[word] = tf.reduce_mean(tf.nn.softplus(-real_score)) + tf.reduce_mean(
                tf.nn.softplus(fake_score)
            )
        return terms

    def losses(self, a, b):
        """The terms of the generators and of the critic on `a` and `b`, from one forward pass."""
        code_a, code_b = self.codes(a, b)
        (same_a, same_b), (fake_a, fake_b) = self.crossed(code_a, code_b)
        # A translation to A has the code of an image of B, and the other way round.
        again_b, again_a = self.codes(fake_a, fake_b)
        domain = self.domain_loss(code_a, code_b)
        scores = (
            self.discriminator_a(fake_a, training=True),
            self.discriminator_b(fake_b, training=True),
        )
        fooled = tf.add_n([tf.reduce_mean(tf.nn.softplus(-score)) for score in scores])
        rebuilt = l2_distance(same_a, a) + l2_distance(same_b, b)
        semantic = self.semantic_loss(code_a, code_b, again_a, again_b)
        terms = {
            "rec": self.reconstruction_weight * rebuilt,
            "dann": self.dann_weight * domain,
            "sem": self.semantic_weight * semantic,
            "gan": self.adversarial_weight * fooled,
        }
        if self.known is not None:
            taught = tf.math.l2_normalize(tf.cast(self.known(a), "float32"), axis=1)
            terms["teach"] = self.teacher_weight * l1_distance(taught, code_a)
        return {"generators": terms, "critic": {"dann": domain}}

    def train_step(self, data):
        a, b = data["a"], data["b"]
        d = self.update("discriminators", self.discriminators_loss, a, b)
        return d | self.update_together(self.losses, a, b, players=["generators", "critic"])

    def encode(self, image, domain="a"):
        """The codes of images, [N, code_dim], of length 1.

        Args:
            image: [N, H, W, C] in [-1, 1].
            domain: "a" or "b", that of the images.
        """
        encoder = self.encoder_a if domain == "a" else self.encoder_b
        return self.encoder_shared(encoder(image, training=False), training=False)

    def decode(self, code, domain="b"):
        """The images of a domain that codes stand for, [N, H, W, C] in [-1, 1].

        Args:
            code: [N, code_dim], of images of either domain.
            domain: "a" or "b", that of the result.
        """
        decoder = self.decoder_a if domain == "a" else self.decoder_b
        return decoder(self.decoder_shared(code, training=False), training=False)

    def directions(self):
        return self.both_ways(
            lambda image: self.decode(self.encode(image, "a"), "b"),
            lambda image: self.decode(self.encode(image, "b"), "a"),
        )

    def domain_accuracy(self, a, b):
        """Share of `a` and `b` whose domain the critic reads from their codes; 0.5 is chance."""
        right = [
            self.domain_critic(self.encode(a, "a")) < 0,
            self.domain_critic(self.encode(b, "b")) > 0,
        ]
        return float(tf.reduce_mean(tf.cast(tf.concat(right, axis=0), "float32")))

    def preview(self, batch):
        """For each domain rows of image, reconstruction, translation, and the way back."""
        return rows_by_codes(self, batch)

    def endpoints(self):
        """Both directions; `encode` takes images of the first domain, `encode_b` of the second."""
        return super().endpoints() | encoders_of(self)


def load_teacher(path):
    """A network of a `.keras` file, for use. Raises BadInput where it is none."""
    try:
        network = keras.models.load_model(path, compile=False)
    except ValueError as error:
        raise BadInput(
            f"model.teacher takes a network as a .keras file, not {path}: {error}"
        ) from None
    return lambda image: network(image, training=False)
