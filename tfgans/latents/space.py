"""The latent spaces of a trained generator: z -> w -> image."""

import numpy as np
import tensorflow as tf

from tfgans import labels, random
from tfgans.errors import BadInput, command
from tfgans.models.latent import LatentModel


class Space:
    """The latent spaces of a trained model.

    A style generator maps z to w and gives each of its `num_ws` layers a w of its own (W+). In any
    other generator z takes the place of w: one layer, the identity as mapping, mean 0.

    Args:
        model: A model that makes images from z, and from a class where it has classes.
        label: Class of all images, if the model has classes: its number or its name; or their label
            vector [num_classes].
            Without it seed i has the class i modulo the number of classes.

    Attributes:
        num_ws: Layers that have a w of their own.
        dims: Length of a code: {"z": latent_dim, "w": style_dim}.
        noise_shapes: [H, W, 1] of each noise image that `synthesize` takes.

    Raises:
        BadInput: The model makes something else, or needs a condition; or it has no such label.
    """

    def __init__(self, model, label=None):
        if model.data_kind == "tokens" or not isinstance(model, LatentModel):
            raise BadInput(f"{type(model).__name__} does not make images from latents.")
        if model.makes != "image":
            raise BadInput(
                f"{type(model).__name__} makes a {model.makes}: a space belongs to a model of "
                "images."
            )
        if model.condition_dim:
            raise BadInput(
                f"Each image of {type(model).__name__} needs a condition of its own, such as a "
                "text: a space belongs to a model of latents alone, or with classes. "
                f"`{command('sample')}` makes images of conditions."
            )
        if isinstance(label, str):
            label = labels.number(model, label)
        if label is not None and np.ndim(label):
            if len(label) != model.label_dim or any(isinstance(value, str) for value in label):
                raise BadInput(
                    f"A label vector of the model has {model.label_dim} numbers, not {len(label)}."
                )
            label = [float(value) for value in label]
        elif label is not None and label not in range(model.label_dim):
            raise BadInput(f"There is no class {label}: the model has {model.label_dim} classes.")
        self.model, self.label = model, label
        self.generator = model.sampling_generator
        self.has_styles = hasattr(self.generator, "styles")
        if model.label_dim and label is None and not self.has_styles:
            raise BadInput(f"{type(model).__name__} needs one class for all images: give a label.")
        self.num_ws = self.generator.synthesis.num_ws if self.has_styles else 1
        style_dim = model.style_dim if self.has_styles else model.latent_dim
        self.dims = {"z": model.latent_dim, "w": style_dim}
        convs = self.generator.synthesis.convs if self.has_styles else []
        self.noise_shapes = [[*conv.size, 1] for conv in convs]

    @property
    def gaussian(self):
        """True if z ~ N(0, I)."""
        return self.model.prior == "normal"

    def sample_z(self, n, seed):
        """Draws n z, [n, latent_dim]: `RandomState(seed).randn(n, latent_dim)`.

        If z is not N(0, I), the model draws as in training.
        """
        if self.gaussian:
            return np.random.RandomState(seed).randn(n, self.model.latent_dim).astype("float32")
        with random.scope(seed):
            return self.model.latents(n).numpy()

    def z(self, seeds):
        """The z of each seed, [n, latent_dim]: `sample_z(1, seed)`.

        NVIDIA's tools draw in the same way, so with official weights published seeds give the
        published pictures.
        """
        return np.concatenate([self.sample_z(1, seed) for seed in seeds])

    def labels(self, seeds):
        """Label vectors [n, num_classes] of the seeds, or None without classes."""
        if not self.model.label_dim:
            return None
        if np.ndim(self.label):
            return np.tile(np.asarray(self.label, "float32"), [len(seeds), 1])
        classes = [i % self.model.label_dim if self.label is None else self.label for i in seeds]
        return np.eye(self.model.label_dim, dtype="float32")[classes]

    def w(self, z, label=None):
        """z [n, latent_dim], label [n, num_classes] -> w [n, D]."""
        return (
            self.generator.mapping(z, label=label) if self.has_styles else tf.convert_to_tensor(z)
        )

    def ws(self, z, label=None, truncation=None, cutoff=None):
        """z, label -> one w per layer, [n, num_ws, D], truncated.

        Args:
            z: [n, latent_dim].
            label: [n, num_classes], if the model has classes.
            truncation: psi, a number or [n]: w_avg + psi (w - w_avg) (StyleGAN, arXiv:1812.04948).
                Without a mapping, psi scales z.
            cutoff: Truncate only the first `cutoff` layers.
        """
        if self.has_styles:
            return self.generator.styles(z, label, truncation, cutoff)
        psi = 1.0 if truncation is None else tf.reshape(tf.cast(truncation, "float32"), [-1, 1, 1])
        return psi * tf.convert_to_tensor(z)[:, None]

    def of_seeds(self, seeds, truncation=None):
        """One w per layer of each of the seeds, [n, num_ws, D], with a truncation as in `ws`."""
        return self.ws(self.z(seeds), self.labels(seeds), truncation)

    def synthesize(self, ws, noise="const"):
        """ws [n, num_ws, D] -> images [n, H, W, C] in about [-1, 1].

        Args:
            ws: One w per layer.
            noise: "const" (the stored noise images), "random", "none", or a list of images
                [n or 1, H, W, 1]. Generators without noise images ignore it.
        """
        if self.has_styles:
            return self.generator.synthesis(ws, noise=noise)
        if self.label is None:
            return self.model(ws[:, 0])
        return self.model(ws[:, 0], tf.repeat(self.labels([0]), tf.shape(ws)[0], axis=0))

    def images(self, ws, batch=32):
        """Images of any number of ws, `batch` at a time, with the stored noise, in NumPy."""
        parts = [self.synthesize(ws[i : i + batch]).numpy() for i in range(0, len(ws), batch)]
        return np.concatenate(parts)
