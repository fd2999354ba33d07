"""Models that turn images into images: how they are called, shown and served."""

import numpy as np
import tensorflow as tf

from tfgans import images, random
from tfgans.errors import BadInput, nearest
from tfgans.models.base import BaseModel
from tfgans.models.serving import SEED

PREVIEW = 8  # rows in a sample grid, at most
FIXED = 0  # seed of the noise where none is given


class TranslationModel(BaseModel):
    """A game whose generators translate images, with labels, maps, masks or styles if they want.

    A model writes `directions`.

    Attributes:
        noisy: A translation draws random numbers, such as pix2pix's dropout: endpoints take a seed.
    """

    noisy = False

    def directions(self):
        """The translations it offers, the main one first.

        Returns:
            Name, such as "a_to_b" -> (inputs, function). `inputs` is batch key -> TensorSpec of it,
            the image first, with the name that an endpoint gives it ("image", "label", "map",
            "mask", "style"); the function takes these tensors and returns images [N, H, W, C].
        """
        raise NotImplementedError(f"{type(self).__name__} must write directions().")

    def both_ways(self, there, back):
        """The directions of two domains.

        Args:
            there: Images of the batch's "a" -> images of its "b".
            back: The other way; None for a model that has none.
        """
        image = self.image_spec()
        found = {"a_to_b": ({"a": image}, there), "b_to_a": ({"b": image}, back)}
        return found if back is not None else {"a_to_b": found["a_to_b"]}

    def _function_of(self, direction):
        """(inputs, function) of a direction, of the main one for None. Raises BadInput."""
        found = self.directions()
        direction = direction or next(iter(found))
        if direction not in found:
            kind = f"direction of {type(self).__name__}"
            raise BadInput(self.absent.get(direction) or nearest(kind, direction, found))
        return found[direction]

    def image_spec(self, name="image", channels=None):
        """The TensorSpec of a batch of images, with another number of channels if given.

        Args:
            name: Name of the input.
            channels: Their number; those of `image_shape` if not given.
        """
        *size, own = self.image_shape
        return tf.TensorSpec([None, *size, channels or own], name=name)

    def call(self, *inputs):
        return self.translate(*inputs, seed=FIXED)

    def of_named(self, **named):
        wanted, _ = next(iter(self.directions().values()))
        return self(*(named[key] for key in wanted))

    def translate(self, *inputs, direction=None, seed=None):
        """Translates images.

        Args:
            inputs: As the direction wants them, images [N, H, W, C] in [-1, 1] first.
            direction: A name of `directions`; the main one if not given.
            seed: Seed of the noise, for a model that has some; without it that of the random scope.

        Returns:
            [N, H, W, C] in [-1, 1].

        Raises:
            BadInput: There is no such direction.
        """
        _, function = self._function_of(direction)
        if seed is None:
            return function(*inputs)
        with random.scope(seed):
            return function(*inputs)

    def outputs(self, batch, direction=None):
        """Translations of the inputs in a batch, [N, H, W, C] in [-1, 1].

        Args:
            batch: Key -> tensor, of the model's kind of data.
            direction: A name of `directions`; the main one if not given.
        """
        inputs, function = self._function_of(direction)
        return function(*(batch[key] for key in inputs))

    def preview(self, batch):
        """Rows of input, translation, and target or way back, for each direction."""
        rows, found = [], self.directions()
        batch = {key: value[: PREVIEW // len(found)] for key, value in batch.items()}
        for (inputs, function), (_, back) in zip(
            found.values(), reversed(found.values()), strict=True
        ):
            image = batch[next(iter(inputs))]
            output = function(*(batch[key] for key in inputs))
            columns = [image, output]
            if "target" in batch:
                columns.append(batch["target"])
            elif back is not function:
                columns.append(back(output))
            rows.append(images.table(*columns))
        return np.concatenate(rows)

    def endpoints(self):
        """Each direction by its name; the main one is also serving_default, with fixed noise."""
        found = {}
        for name, (inputs, function) in self.directions().items():
            found.setdefault("serving_default", self._endpoint(function, inputs, seeded=False))
            found[name] = self._endpoint(function, inputs, seeded=self.noisy)
        return found

    def _endpoint(self, function, inputs, seeded):
        def fixed(*given):
            with random.scope(FIXED):
                return {"image": function(*given)}

        def with_seed(*given):
            with random.scope(given[-1]):
                return {"image": function(*given[:-1])}

        signature = list(inputs.values())
        return (with_seed, [*signature, SEED]) if seeded else (fixed, signature)
