"""What every model shares: how players move, what a step is, how a model is saved and served.

A model file says which networks there are, what each player minimizes, and in which order they
move. This file does the rest, once: gradients for one player only, replica arithmetic, loss
scaling, averaged weights, schedules, configuration, export.
"""

import inspect
import itertools

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.digests import Digest, check_saved, variables_of
from tfgans.errors import BadInput, nearest
from tfgans.ops.exporting import exporting


class BaseModel(keras.Model):
    """A game between networks: a `keras.Model` whose `train_step` is the paper's algorithm.

    A model writes `__init__` (each argument stored under its own name), `default_optimizers`,
    `<player>_loss` and `train_step`. It may write `players`, `latents`, `call`, `preview`,
    `endpoints`, `stage_begins`, and the class attributes below.

    Attributes:
        data_kind: Which kind of data `tfgans.data` feeds this model.
        num_classes: Above 0, batches hold labels too.
        n_critic: How many batches one training step takes (`split` hands them out).
        stage_steps: Lengths in steps of all stages but the last.
        step: How many training steps were made; saved.
        now: The same as a plain integer, while training.
        seed: Every random draw in training is a function of it; saved.
        accumulate: In how many parts each move takes its batch, to save memory.
    """

    data_kind = "images"
    num_classes = 0
    n_critic = 1
    stage_steps = ()
    accumulate = 1

    def __init__(self, name=None):
        super().__init__(name=name, autocast=False)  # z and label as given; the layers cast
        self.optimizers = {}
        self.step = self.add_state("step", 0, dtype="int64", aggregation="only_first_replica")
        self.now = 0
        self._periods = set()  # every `due(every)` met so far
        self._was_split = False  # whether `train_step` has called `split`
        self.built = True  # the networks are built by the constructor
        # Keras saves and loads attributes in the order of their names, private ones last. This one
        # is the last of all; it is no layer of the game, so it is set past Keras' own tracking.
        object.__setattr__(self, "_z_digest", Digest(lambda: variables_of(self)))

    # What a model may say differently.

    def players(self):
        """Who moves: name -> the networks that move together under one optimizer."""
        return {"discriminator": [self.discriminator], "generator": [self.generator]}

    def default_optimizers(self):
        """The paper's optimizers: player -> Keras optimizer."""
        raise NotImplementedError(f"{type(self).__name__} must write default_optimizers().")

    def latents(self, n):
        """Draws n latent vectors z ~ N(0, I), [n, latent_dim]."""
        if not hasattr(self, "latent_dim"):
            raise BadInput(
                f"{type(self).__name__} makes images from images, not from a latent vector: call "
                "it with images, model(images), or use tools/translate.py."
            )
        return random.normal([n, self.latent_dim])

    def call(self, z):
        return self.sampling_generator(z, training=False)

    def preview(self, data):
        """The pictures a person wants to see while training: [n, H, W, C] in [-1, 1], or a text.

        Or a table of them, [rows, columns, H, W, C], as `images.table` makes it.
        Called with the same batch and inside the same random scope each time, so that pictures of
        different steps show the same latents.
        """
        return self(self.latents(len(data["image"])), *self.labels_of(data))

    def sample(self, n, seed=None, labels=None):
        """Makes n images, [n, H, W, C] in [-1, 1]; the same ones for the same seed.

        A model with classes makes images of the given ones; without labels of each class in turn.
        """
        with random.scope(fresh_seed() if seed is None else seed):
            return self(self.latents(n), *self.labels_for(n, labels))

    def endpoints(self):
        """What the exported model offers: name -> (function, its input signature).

        A function takes tensors and returns a dict of named tensors.
        """
        inputs = [tf.TensorSpec([None, self.latent_dim], name="z")]
        if self.num_classes:
            inputs.append(tf.TensorSpec([None, self.num_classes], name="label"))
        seed, n = (tf.TensorSpec([], "int64", name=name) for name in ("seed", "n"))
        return {
            "serving_default": (lambda *inputs: {"image": self(*inputs)}, inputs),
            "uint8": (lambda *inputs: {"image": to_uint8(self(*inputs))}, inputs),
            "sample": (lambda seed, n: {"image": self.sample(n, seed)}, [seed, n]),
        }

    def stage_begins(self, stage):
        """Called before the first step of each stage."""

    # The words a train_step is written in.

    def update(self, player, loss, *args):
        """Moves one player one step down the sum of `loss(*args)`, a dict of scalar terms.

        Only the player's own weights move. Weights that the loss does not reach count as having a
        zero gradient, as in the reference implementations: Adam still forgets a little.

        Args:
            player: Its name.
            loss: Bound with `functools.partial` to all it needs that is not of the batch.
            args: Tensors whose first axis is the batch, numbers of examples to make, or None;
                `accumulate` divides them.

        Returns:
            The terms, named "player/term".
        """
        return self._move([player], lambda *args: {player: loss(*args)}, args)

    def update_together(self, losses, *args):
        """Moves all players at once, each down its own loss of one common forward pass.

        Args:
            losses: Called with `args`; returns player -> its dict of scalar terms. All gradients
                are taken before any weight moves.
            args: As for `update`.

        Returns:
            The terms, named "player/term".
        """
        return self._move(list(self.optimizers), losses, args)

    def _move(self, players, losses, args):
        weights = {player: self.weights_of(player) for player in players}
        values = {player: [w.value for w in own] for player, own in weights.items()}
        gradients, logs, done = {player: None for player in players}, {}, []
        for part in random.parts(self.accumulate):
            # A part begins when the one before has left the memory.
            with tf.control_dependencies(done):
                found, terms = self._gradients(values, losses, part_of(args, part, self.accumulate))
                for player, new in found.items():
                    old = gradients[player]
                    gradients[player] = [*map(tf.add_n, zip(old, new, strict=True))] if old else new
                logs |= {name: logs.get(name, 0.0) + value for name, value in terms.items()}
                done = [tf.group(gradients)]
        for player, found in gradients.items():
            self.optimizers[player].apply(found, weights[player])
        return {name: value / self.accumulate for name, value in logs.items()}

    def _gradients(self, values, losses, args):
        """The gradient of each player's loss, as its share of the global batch, and the terms."""
        totals, logs = {}, {}
        with tf.GradientTape(persistent=len(values) > 1, watch_accessed_variables=False) as tape:
            tape.watch(values)
            for player, terms in losses(*args).items():
                total = tf.add_n(list(terms.values()))
                # Gradients of replicas and of parts are summed; the loss is a mean over all.
                total /= tf.distribute.get_strategy().num_replicas_in_sync * self.accumulate
                totals[player] = self.optimizers[player].scale_loss(total)
                logs |= {f"{player}/{name}": value for name, value in terms.items()}
        gradients = {
            player: tape.gradient(total, values[player], unconnected_gradients="zero")
            for player, total in totals.items()
        }
        return gradients, logs

    def due(self, every):
        """Whether this step is a multiple of `every`: a plain bool, each answer its own graph."""
        self._periods.add(every)
        return self.now % every == 0

    @property
    def stage(self):
        """Number of the current stage, a plain int; each stage is its own graph."""
        return sum(self.now >= end for end in itertools.accumulate(self.stage_steps))

    def split(self, data):
        """The `n_critic` batches of this step.

        Every n-th example goes to the same batch, so each batch spreads over all replicas.
        """
        self._was_split = True
        return [
            tf.nest.map_structure(lambda x, k=k: x[k :: self.n_critic], data)
            for k in range(self.n_critic)
        ]

    def add_state(self, name, value, shape=(), dtype="float32", aggregation="mean"):
        """A saved variable that a training step may assign; replicas agree by `aggregation`."""
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation=aggregation,
        )

    def ema_of(self, network):
        """A copy of `network` that `update_ema` lets follow it."""
        if isinstance(network, keras.Model):
            copy = keras.models.clone_model(network)
        else:
            copy = network.from_config(network.get_config())
            copy.build_from_config(network.get_build_config())
        copy.set_weights(network.get_weights())
        copy.trainable = False
        return copy

    def update_ema(self, average, network, decay):
        """average <- decay * average + (1 - decay) * network; what is not trained is copied."""
        for mean, live in zip(average.weights, network.weights, strict=True):
            if live.trainable:
                mean.assign(live + tf.cast(decay, live.dtype) * (mean - live))
            else:
                mean.assign(live)

    # What a model never writes.

    @property
    def sampling_generator(self):
        """The averaged generator where there is one."""
        return getattr(self, "generator_ema", self.generator)

    def weights_of(self, player):
        """The trainable weights of one player, each once."""
        weights = [w for network in self.players()[player] for w in network.trainable_variables]
        return list({id(w): w for w in weights}.values())

    def one_hot(self, label):
        """Class numbers or label vectors -> label vectors [N, num_classes], or None -> None."""
        if (label is None) == bool(self.num_classes):
            given = "No labels" if label is None else "Labels"
            raise BadInput(f"{given} were given, and this model has {self.num_classes} classes.")
        if label is None:
            return None
        label = tf.convert_to_tensor(label)
        if label.dtype.is_integer:
            return tf.one_hot(label, self.num_classes)
        return tf.cast(label, "float32")

    def labels_of(self, data):
        """(label,) of a batch where this model has classes, else ()."""
        return (data["label"],) if self.num_classes else ()

    def labels_for(self, n, labels=None):
        """(label,) for n images: the given ones, checked, or each class in turn. Else ()."""
        if not self.num_classes:
            if labels is not None:
                raise BadInput(f"{type(self).__name__} has no classes here, and takes no labels.")
            return ()
        if labels is None:
            return (tf.range(tf.cast(n, "int32")) % self.num_classes,)
        if np.ndim(labels) == 1 and not set(labels) <= set(range(self.num_classes)):
            raise BadInput(f"Labels are numbers below {self.num_classes}, not {list(labels)}.")
        return (tf.convert_to_tensor(labels),)

    def compile(self, optimizers=None, seed=0, run_eagerly=False):
        """Gives each player its optimizer.

        Args:
            optimizers: Player -> a Keras optimizer, or a dict of settings that replace some of the
                paper's, such as `{"generator": {"learning_rate": 1e-3}}`.
            seed: Start of all randomness in training.
            run_eagerly: Run `train_step` without compiling it, to debug it.
        """
        # XLA is off: Keras would turn it on by itself on a GPU and each pattern of `due` answers
        # would be compiled for minutes. One step per execution: `due` and `stage` count steps.
        super().compile(optimizer=None, jit_compile=False, run_eagerly=run_eagerly)
        self.seed = int(seed)
        self.optimizers = self.default_optimizers()
        for player, given in (optimizers or {}).items():
            if player not in self.optimizers:
                raise BadInput(nearest(f"player of {type(self).__name__}", player, self.optimizers))
            if isinstance(given, dict):
                paper = self.optimizers[player]
                unknown = set(given) - set(paper.get_config())
                for word in unknown:
                    kind = f"setting of the {player}'s {type(paper).__name__}"
                    raise BadInput(nearest(kind, word, paper.get_config()))
                given = type(paper).from_config(paper.get_config() | given)
            self.optimizers[player] = given
        for player, optimizer in self.optimizers.items():
            scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            if self.dtype_policy.compute_dtype == "float16" and not scaled:
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(self.weights_of(player))
            self.optimizers[player] = optimizer

    def _pattern(self):
        """What decides the graph of a step: the stage and the answers of `due`."""
        return self.stage, *(self.now % every == 0 for every in sorted(self._periods))

    def make_train_function(self, force=False):
        """One compiled graph for each stage and each pattern of `due` answers."""
        self.now = int(self.step.numpy())
        if self.train_function is not None and not force:
            return self.train_function
        compiled, logs = {}, {}

        def train_function(iterator):
            if self.now in itertools.accumulate(self.stage_steps):
                self.stage_begins(self.stage)
            function, spec, step = compiled.get(self._pattern(), (None, None, None))
            if spec != iterator.element_spec:
                function = function or self._make_step()
                # The graph itself: to find it by its arguments takes half a millisecond each time.
                step = function if self.run_eagerly else function.get_concrete_function(iterator)
                # Under a pattern with all periods that tracing has met.
                compiled[self._pattern()] = function, iterator.element_spec, step
            logs.update(step(iterator))
            self.now += 1
            return dict(logs)  # terms that were not due keep their last value

        self.train_function = train_function
        return train_function

    def _make_step(self):
        """A step on the next batch of an iterator; it returns means over the replicas."""
        strategy = self.distribute_strategy

        def step(iterator):
            logs = strategy.run(self._seeded_train_step, args=(next(iterator),))
            logs = {name: strategy.reduce("MEAN", term, axis=None) for name, term in logs.items()}
            with tf.control_dependencies(logs.values()):  # no step without a batch
                self.step.assign_add(1)
            return logs

        if self.run_eagerly:
            return step
        return tf.function(step, autograph=False)

    def _maybe_symbolic_build(self, **kwargs):
        """Builds nothing: Keras' own reads a batch for it, and fails where there are workers."""

    def _seeded_train_step(self, data):
        if not all(value.shape[:1].is_fully_defined() for value in tf.nest.flatten(data)):
            raise BadInput(
                "The graph of a step has a fixed number of examples, and these batches may differ "
                "in theirs. Take whole ones: dataset.batch(n, drop_remainder=True)."
            )
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with random.scope(self.seed, self.step, replica):
            logs = self.train_step(data)
        if self.n_critic > 1 and not self._was_split:
            raise BadInput(
                f"n_critic is {self.n_critic}, so each step gets {self.n_critic} batches as one, "
                f"and {type(self).__name__}.train_step used them all in every move. Take them "
                "apart: `for batch in self.split(data): self.update(...)`."
            )
        return logs

    def get_config(self):
        # Keras' own would report the default arguments instead of the given ones.
        arguments = [
            name
            for name, parameter in inspect.signature(type(self).__init__).parameters.items()
            if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        config = {name: plain(getattr(self, name)) for name in arguments}
        return config | {"name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(config.pop("dtype"))
        try:
            return cls(**config)
        finally:
            keras.config.set_dtype_policy(policy)

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.optimizers.serialize
        return {
            "optimizers": {player: serialize(opt) for player, opt in self.optimizers.items()},
            "seed": self.seed,
        }

    def compile_from_config(self, config):
        deserialize = keras.optimizers.deserialize
        optimizers = {player: deserialize(opt) for player, opt in config["optimizers"].items()}
        self.compile(optimizers, config["seed"])

    def save(self, filepath, *args, **kwargs):
        """Saves as `keras.Model.save` does, and reads the file back to prove that it is whole.

        Raises:
            Altered: A variable is not in the file as it is in the model.
        """
        super().save(filepath, *args, **kwargs)
        check_saved(self, filepath)

    def export(self, path, more=None):
        """Writes a SavedModel with all `endpoints`, to be served or loaded without tfgans.

        It holds only the networks that the endpoints read, their weights in part as the layers need
        them (`ops.exporting`).

        Args:
            path: Folder.
            more: Endpoints beyond the model's own, in the same form.
        """
        archive = keras.export.ExportArchive()
        with exporting():
            for name, (function, signature) in (self.endpoints() | (more or {})).items():
                archive.add_endpoint(name, function, input_signature=signature)
            archive.write_out(str(path), verbose=False)


def part_of(args, part, parts):
    """One of `parts` equal parts of a move's arguments: counts, batches, None."""

    def cut(value):
        if value is None or parts == 1:
            return value
        n = value if isinstance(value, int) else value.shape[0]
        if n % parts:
            raise BadInput(
                f"{n} examples on one device cannot be cut into accumulate = {parts} equal parts: "
                "change data.batch_size or train.accumulate."
            )
        size = n // parts
        return size if isinstance(value, int) else value[part * size : (part + 1) * size]

    return tf.nest.map_structure(cut, args)


def plain(value):
    """Lists and tuples of Keras' tracking wrappers as Python lists, arrays as numbers."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def fresh_seed():
    """A seed nobody has used before."""
    return int(np.random.SeedSequence().entropy % 2**40)


def to_uint8(images):
    """[-1, 1] to 0..255 as the StyleGAN code does it: 127.5 x + 128, cut to integers."""
    return tf.cast(tf.clip_by_value(images * 127.5 + 128.0, 0.0, 255.0), "uint8")
