"""Models that make something of latent vectors: how they are sampled, shown and served."""

import numpy as np
import tensorflow as tf

from tfgans import images, random
from tfgans.errors import BadInput
from tfgans.models.base import BaseModel
from tfgans.models.inputs import labels_of
from tfgans.models.serving import COUNT, SEED, drawing, to_uint8
from tfgans.previews import Video

WIDEST = 16  # columns of a preview
CLIPS = 8  # of a preview, at most


class LatentModel(BaseModel):
    """A game whose generator turns latent vectors z into images.

    Attributes:
        prior: "normal" for z ~ N(0, I), or (lowest, highest) for uniform z; None for a model that
            writes `latents`.
        latent_dim: Length of z.
        makes: Name of the outputs: "image", or "video" for clips [N, T, H, W, C].
    """

    prior = "normal"
    makes = "image"

    def latents(self, n):
        """Draws n latent vectors from the prior, [n, latent_dim]."""
        if self.prior == "normal":
            return random.normal([n, self.latent_dim])
        return random.uniform([n, self.latent_dim], *self.prior)

    def random_label(self, n):
        """Draws n label vectors, [n, num_classes], each class with the same probability."""
        return tf.one_hot(random.uniform([n], 0, self.num_classes, "int32"), self.num_classes)

    def call(self, z, label=None):
        """Makes images, [N, H, W, C] in [-1, 1].

        Args:
            z: [N, latent_dim].
            label: For a model with classes: their numbers [N], or label vectors [N, num_classes].
        """
        if not self.label_dim and label is None:
            return self.sampling_generator(z, training=False)
        return self.sampling_generator([z, self.one_hot(label)], training=False)

    @property
    def sampling_generator(self):
        """The averaged generator where there is one."""
        return getattr(self, "generator_ema", self.generator)

    def outputs(self, batch):
        """Images of new latents under the conditions of a batch, [N, H, W, C] in [-1, 1]."""
        n = len(next(iter(batch.values())))
        return self(self.latents(n), *self.condition_of(batch))

    def preview(self, batch):
        """Pictures of new latents; with up to 16 classes each column has one of them.

        Pictures of all classes with the same latent stand side by side.
        """
        classes = self.label_dim
        if self.makes == "video":
            batch = {name: value[:CLIPS] for name, value in batch.items()}
            return Video(self.outputs(batch))
        if not 0 < classes <= WIDEST or np.ndim(batch["label"]) != 1:
            return self.outputs(batch)
        columns = classes * max(WIDEST // (2 * classes), 1)
        rows = max(len(batch["label"]) // columns, 1)
        z = tf.repeat(self.latents(rows * columns // classes), classes, axis=0)
        made = self(z, *self.condition_for(rows * columns))
        return tf.reshape(made, [rows, columns, *made.shape[1:]])

    def reconstructions_and_samples(self, image):
        """Rows of eight: images above their reconstructions, three times; two rows of samples.

        The preview of a model that has a method `reconstruct`: images -> images.
        """
        real = tf.convert_to_tensor(image[:24])
        pairs = images.rows(real, self.reconstruct(real))
        return tf.concat([pairs, self(self.latents(16))], axis=0)

    def sample(self, n, seed=None, *, labels=None, condition=None, **options):
        """Makes n images, [n, H, W, C] in [-1, 1]; the same ones for the same seed.

        The values of a generator without a bound at its end, such as StyleGAN2's, are clipped.

        Args:
            n: Number of images.
            seed: Seed of the latents; without it new ones each time.
            labels: For a model with classes: class numbers [n], one class number for all, or label
                vectors [n, num_classes]; without them each class in turn.
            condition: For a model with a condition: its vectors, [n, condition_dim].
            options: Further arguments of `call`.
        """
        with drawing(seed, n):
            inputs = self.latents(n), *self.condition_for(n, labels, condition)
            return self.bounded(self(*inputs, **options))

    def bounded(self, made):
        """Images that were made, clipped to [-1, 1]; tokens as they are."""
        return tf.clip_by_value(made, -1.0, 1.0) if made.dtype.is_floating else made

    def condition_of(self, batch):
        """(label,) or (condition,) of a batch where this model is conditional, else ()."""
        if self.label_dim:
            return (batch["label"],)
        return (batch["condition"],) if self.condition_dim else ()

    def condition_for(self, n, labels=None, condition=None):
        """(label,) or (condition,) for n images, checked. Else ().

        Args:
            n: Number of images.
            labels: As `sample`.
            condition: As `sample`.

        Raises:
            BadInput: There are others than n; or they are missing, or not wanted.
        """
        for word, argument, given, known in (
            ("classes", "labels", labels, self.label_dim),
            ("condition", "condition", condition, self.condition_dim),
        ):
            if given is not None and not known:
                kind = type(self).__name__
                raise BadInput(f"{kind} has no {word} here, and takes no {argument}.")
        if self.condition_dim:
            if condition is None or tuple(np.shape(condition)) != (n, self.condition_dim):
                came = "none" if condition is None else f"the shape {np.shape(condition)}"
                raise BadInput(
                    f"{type(self).__name__} needs a condition for each of {n} images, an array "
                    f"[{n}, {self.condition_dim}]; given was {came}."
                )
            return (tf.convert_to_tensor(condition, "float32"),)
        if not self.label_dim:
            return ()
        if labels is None:
            label = tf.range(tf.cast(n, "int32")) % self.label_dim
            return (tf.one_hot(label, self.label_dim),)
        label = labels_of([labels] * n if np.ndim(labels) == 0 else labels, self.label_dim)
        if len(label) != n:
            raise BadInput(f"{n} images need {n} labels, or one for all; given were {len(label)}.")
        return (label,)

    def endpoints(self):
        """serving_default and uint8 of z and its condition; sample of a seed and a number."""
        inputs = [tf.TensorSpec([None, self.latent_dim], name="z")]
        if self.label_dim:
            inputs.append(tf.TensorSpec([None, self.label_dim], name="label"))
        if self.condition_dim:
            inputs.append(tf.TensorSpec([None, self.condition_dim], name="condition"))
        found = {
            "serving_default": (lambda *inputs: {self.makes: self(*inputs)}, inputs),
            "uint8": (lambda *inputs: {self.makes: to_uint8(self(*inputs))}, inputs),
        }
        if not self.condition_dim:  # nobody can draw a text
            found["sample"] = (lambda seed, n: {self.makes: self.sample(n, seed)}, [SEED, COUNT])
        return found
