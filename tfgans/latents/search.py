"""Gradient descent in latent space towards given images; a search can be stopped and resumed."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.durable import publish
from tfgans.errors import BadInput
from tfgans.latents.perceptual import distance_to
from tfgans.optimizers import Adam


class Search:
    """Base of the searches; each image of the target is searched for independently.

    A subclass defines `start` (its variables and learning rate), `move` (one step), and
    `features_of` (the features of its paper, from the weights files of VGG16 and LPIPS).

    Args:
        space: A `Space`.
        target: Images [n, H, W, C] in [-1, 1].
        features: See `distance_to`; None for the stand-in `pixel_pyramid_l2`.
        steps: Length of the search; schedules stretch to it.
        seed: Seed of all random numbers of the search.

    Attributes:
        ws: The latents found so far, [n, num_ws, D].
        noise: Their noise images, as `Space.synthesize` takes them.
        step: Number of steps done.
        history: List of (step, ws [n, num_ws, D], distances [n] of their images).
    """

    reduce = staticmethod(tf.reduce_sum)

    def __init__(self, space, target, features=None, steps=None, seed=0):
        self.space, self.target = space, tf.convert_to_tensor(target, "float32")
        self.features, self.steps, self.seed = features, steps or self.steps, seed
        self.step, self.history = 0, []
        self.distance = distance_to(self.target, features, self.reduce)
        self.variables, rate = self.start()
        self.optimizer = Adam(rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
        self.optimizer.build(self.variables)
        self.compiled_move = tf.function(self.seeded_move)

    def mean_w(self, samples=10_000):
        """Mean of w [1, D] over `samples`, and its deviation sqrt(E|w - mean|^2), one number."""
        z = self.space.sample_z(samples, seed=123)
        w = self.space.w(z, self.space.labels(range(samples))).numpy()
        mean = w.mean(axis=0, keepdims=True)
        return mean, np.sqrt(np.sum((w - mean) ** 2) / samples)

    def descend(self, loss):
        """One step of Adam down a loss: a function without arguments that returns a scalar."""
        values = [v.value for v in self.variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            total = loss()
        gradients = tape.gradient(total, values, unconnected_gradients="zero")
        self.optimizer.apply(gradients, self.variables)

    def seeded_move(self, step):
        with random.scope(self.seed, step):
            self.move(step)

    def note(self):
        """Appends the current state to the history."""
        distance = self.distance(self.space.synthesize(self.ws, self.noise))
        self.history.append((self.step, self.ws.numpy(), distance.numpy()))

    def run(self, path=None, every=50, show=None, stop=lambda: False):
        """Runs the search to its end.

        Args:
            path: File of the state, written every `every` steps; the search resumes from an
                existing file. None to write nothing.
            every: Steps between two entries of the history.
            show: Called with (step, distances [n]) for each entry.
            stop: Called before each step; if it returns True, the search saves its state and stops.

        Raises:
            BadInput: The file belongs to another search.
        """
        if path is not None and pathlib.Path(path).exists():
            self.restore(path)
        while True:
            noted, ends = self.step % every == 0, self.step == self.steps or stop()
            if noted or self.step == self.steps:
                if not self.history or self.history[-1][0] < self.step:
                    self.note()
                if show is not None:
                    show(self.step, self.history[-1][2])
            if path is not None and (noted or ends):
                self.save(path)
            if ends:
                return self
            self.compiled_move(tf.constant(self.step))
            self.step += 1

    @property
    def measure(self):
        """Name of the distance that the search minimizes."""
        if self.features is None:
            return "pixel_pyramid_l2, the stand-in for perceptual features"
        return "perceptual features"

    def settings(self):
        """The settings that a file of this search must share."""
        return [type(self).__name__, self.measure, self.steps, self.seed, self.space.label]

    def save(self, path):
        """Writes the state to a path; an old file is replaced only when the new one is complete."""
        steps, ws, distances = zip(*self.history, strict=True)
        state = {f"variable{k}": v.numpy() for k, v in enumerate(self.state())}
        path = pathlib.Path(path)
        partial = path.with_name(f"partial-{path.name}")
        np.savez(
            partial,
            settings=str(self.settings()),
            target=self.target,
            step=self.step,
            ws=self.ws,
            steps=steps,
            history=ws,
            distances=distances,
            **state,
        )
        publish(partial, path)

    def restore(self, path):
        """Restores the state that `save` wrote to a path.

        Raises:
            BadInput: It belongs to another search, model or image.
        """
        with np.load(path) as file:
            same = str(file["settings"]) == str(self.settings())
            same = same and np.array_equal(file["target"], self.target)
            if not same or not np.allclose(file["history"][0], self.ws, atol=1e-4):
                raise BadInput(
                    f"{path} belongs to another search, model or images: {file['settings']}, not "
                    f"{self.settings()}. Use another folder, or delete the file."
                )
            self.step = int(file["step"])
            self.history = list(zip(file["steps"], file["history"], file["distances"], strict=True))
            for k, variable in enumerate(self.state()):
                variable.assign(file[f"variable{k}"])

    def state(self):
        return [*self.variables, *self.optimizer.variables]


def variable(value):
    """A float32 variable of a search."""
    return keras.Variable(value, dtype="float32")
