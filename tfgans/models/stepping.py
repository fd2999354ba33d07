"""The machinery of a model: compiling its players, the graphs of its steps, its configuration.

`BaseModel` says in which words a game is written. This file makes Keras run such a game: one graph
for each stage and each answer of `due`, one optimizer for each player, a configuration that holds
the constructor's arguments, and files that prove to be whole.
"""

import inspect
import itertools
import json
import math
import pathlib
import shutil
import weakref

import keras
import numpy as np
import tensorflow as tf

from tfgans import durable, keras_settings, random
from tfgans.data import at_exit, signature
from tfgans.digests import Digest, check_saved, variables_of
from tfgans.errors import BadInput, command, nearest
from tfgans.models import inputs
from tfgans.models.compiling import CompiledStep, whole_moves
from tfgans.ops import checking, machine

MEASURE = (
    "The losses of a game do not tell how good its images are: tfgans.metrics and "
    f"`{command('evaluate')}` measure them, and `metrics.names` in a configuration while training."
)
RESTART = 2**32  # distance of the seeds of the random numbers before and after a restart


class Stepping(keras.Model):
    """A `keras.Model` that trains by `train_step`, one compiled graph for each kind of step.

    Attributes:
        step: Number of training steps made; saved.
        seed: Every random draw in training is a function of it; saved.
        restarts: How often the training went back to a snapshot to go on with other random
            numbers; saved.
        batches_per_step: Number of batches that one step takes (`split` hands them out).
        stage_steps: Lengths in steps of all stages but the last.
        choices: All values that `choice` may return.
        chosen: The value of `choice` for the current step.
        accumulate: Number of parts in which each move takes its batch, to save memory.
    """

    batches_per_step = 1
    stage_steps = ()
    choices = (None,)
    accumulate = 1

    def __init__(self, name=None, **unknown):
        for word in unknown:
            raise BadInput(nearest(f"argument of {type(self).__name__}", word, own_arguments(self)))
        keras_settings.check()
        super().__init__(name=name, autocast=False)  # z and label as given; the layers cast
        self.optimizers = {}
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._now = self.chosen = None  # both are set by a training
        self.seed = self.restarts = 0
        self._periods = set()  # every `due(every)` met so far
        self._was_split = False  # True once `train_step` has called `split`
        self._alone = not tf.distribute.has_strategy()
        self._iterator = None  # a weak reference to the data of the latest step
        self._frozen = []  # networks from files, see `BaseModel.frozen`
        self.built = True  # the networks are built by the constructor
        # Keras saves and loads attributes in the order of their names, private ones last. This one
        # is the last of all; it is no layer of the game, so it is set past Keras' own tracking.
        object.__setattr__(self, "_z_digest", Digest(lambda: variables_of(self)))

    # Players and their optimizers.

    def compile(self, optimizers=None, seed=0, run_eagerly=False, **others):
        """Gives each player its optimizer, and loads the networks that losses look through.

        Args:
            optimizers: Player -> a Keras optimizer, or a dict of settings that replace some of the
                paper's, such as `{"generator": {"learning_rate": 1e-3}}`.
            seed: Start of all randomness in training.
            run_eagerly: Run `train_step` without compiling it, to debug it.

        Raises:
            BadInput: No such player or setting; or an argument of Keras' `compile` that a game of
                several players does not have, such as one optimizer or a loss.
        """
        if others or not isinstance(optimizers, (dict, type(None))):
            given = ", ".join(others) or f"a {type(optimizers).__name__}"
            players = ", ".join(f"{player!r}: ..." for player in self.players())
            raise BadInput(
                f"{type(self).__name__} has its own losses, and an optimizer for each player: "
                f"compile({{{players}}}), not {given}."
            )
        # XLA is off: Keras would turn it on by itself on a GPU; `ops.machine` decides that. One
        # step per execution: `due` and `stage` count steps.
        super().compile(optimizer=None, jit_compile=False, run_eagerly=run_eagerly)
        self.seed, self.restarts = int(seed), 0
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
            if not isinstance(given, keras.optimizers.Optimizer):
                raise BadInput(
                    f"The optimizer of the {player} is a Keras optimizer or a dict of settings, "
                    f"not {given!r}."
                )
            if any(given is other for other in self.optimizers.values()):
                raise BadInput("Two players have the same optimizer: give each its own.")
            self.optimizers[player] = given
        for player, optimizer in self.optimizers.items():
            scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            if self.dtype_policy.compute_dtype == "float16" and not scaled:
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(self.weights_of(player))
            self.optimizers[player] = optimizer
        for network in self._frozen:
            network.load()

    # Steps.

    @property
    def now(self):
        """`step` as a plain integer, in a graph too. A training counts it, for speed."""
        if self._now is not None:
            return self._now
        with tf.init_scope():
            return int(self.step.numpy())

    @now.setter
    def now(self, step):
        self._now = step

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self._now = int(self.step.numpy())

    @property
    def stage(self):
        """Number of the current stage, a plain int; each stage is its own graph."""
        return self.stage_of(self.now)

    def stage_of(self, step):
        """Number of the stage to which a step belongs."""
        return sum(step >= end for end in itertools.accumulate(self.stage_steps))

    @property
    def draw_seed(self):
        """The seed of all draws since the last restart."""
        return self.seed + RESTART * self.restarts

    def pattern(self, step):
        """All that decides the graph of a step: its stage, the choice, the answers of `due`.

        The answers are those to the questions that tracing has met so far.
        """
        due = (step % every == 0 for every in sorted(self._periods))
        return self.stage_of(step), self.chosen, *due

    @property
    def period(self):
        """Number of steps after which the answers of `due` repeat, those that tracing has met."""
        return math.lcm(*self._periods)

    def make_train_function(self, force=False):
        """One compiled graph for each stage, choice, and pattern of `due` answers."""
        self._now = int(self.step.numpy())
        if self.train_function is not None and not force:
            return self.train_function
        compiled, logs = {}, {}

        def train_function(iterator):
            self._iterator = weakref.ref(iterator)
            if self.now in itertools.accumulate(self.stage_steps):
                self.stage_begins(self.stage)
            self.chosen = self.choice()
            made, spec = compiled.get(self.pattern(self.now), ()), iterator.element_spec
            step = next((step for known, step in made if known == spec), None)
            if step is None:
                step = self._make_step(iterator)
                # Tracing may have met new periods; the pattern now has them all.
                compiled.setdefault(self.pattern(self.now), []).append((spec, step))
            try:
                logs.update(step(iterator))
            except tf.errors.InvalidArgumentError as error:
                if sentence := checking.reason(error):
                    raise BadInput(sentence) from None
                raise
            self._now += 1
            return dict(logs)  # terms that were not due keep their last value

        self.train_function = train_function
        return train_function

    def _make_step(self, iterator):
        """A step on the next batch of an iterator; it returns means over the replicas."""
        strategy = self.distribute_strategy

        def graph(moves):
            def step(iterator):
                logs = strategy.run(self._seeded_train_step, args=(next(iterator), moves))
                logs = {k: strategy.reduce("MEAN", term, axis=None) for k, term in logs.items()}
                with tf.control_dependencies(logs.values()):  # no step without a batch
                    self.step.assign_add(1)
                return logs

            if self.run_eagerly:
                return step
            # The graph itself: to find it by its arguments takes half a millisecond each time.
            return tf.function(step, autograph=False).get_concrete_function(iterator)

        if machine.kind() in machine.WHOLE and not self.run_eagerly:
            if self._alone:
                return CompiledStep(self, self._zeros(iterator.element_spec), graph)
            print("XLA compiles no step as a whole under a distribution strategy.", flush=True)
        return graph(self._moves)

    def graphs(self, batch, whole=True):
        """The graphs of a training on one device, traced without running them.

        Args:
            batch: The data of one step, a dict of tensors or TensorSpecs; or a function of a
                stage's number that returns it, where stages differ in their data.
            whole: Compiled as a whole where the machine wants that; False for graphs to be counted.

        Returns:
            Pattern -> a concrete function of a batch, in the order in which a training meets them.
        """
        found, now, chosen = {}, self._now, self.chosen
        for stage, begin in enumerate((0, *itertools.accumulate(self.stage_steps))):
            own = batch(stage) if callable(batch) else batch
            self._now = begin
            while self.now < begin + self.period:
                for choice in self.choices:
                    self.chosen = choice
                    if self.pattern(self.now) not in found:
                        moves = self._moves_for(own) if whole else self._moves
                        found[self.pattern(self.now)] = self._graph(own, moves)
                        # Tracing may have met new periods; the pattern has them all.
                self._now += 1
        self._now, self.chosen = now, chosen
        return found

    def _graph(self, batch, moves):
        """The graph of the current step, of a batch."""
        step = tf.function(lambda data: self._seeded_train_step(data, moves), autograph=False)
        return step.get_concrete_function(batch)

    def _maybe_symbolic_build(self, **kwargs):
        """Builds nothing: Keras' own reads a batch for it, and fails where there are workers."""

    def _moves_for(self, spec):
        """`_moves`; compiled by XLA where the machine wants that. A line says where XLA cannot."""
        if machine.kind() not in machine.WHOLE:
            return self._moves
        zeros = self._zeros(spec)
        whole, reason = machine.whole(self._moves, zeros)
        if reason:
            print(f"Step {self.now:,} is not compiled as a whole: {reason}", flush=True)
            return self._moves
        return whole_moves(whole, zeros)

    def _zeros(self, spec):
        """A batch as `_moves` takes it, of zeros; sides that differ between stages are known."""
        check_count(spec)
        wanted = signature(self, self.stage)
        zeros = {}
        for key, value in inputs.named(type(self).__name__, spec, wanted).items():
            sides = value.shape[1:]
            if key in wanted and not sides.is_fully_defined():
                sides = wanted[key].shape
            zeros[key] = tf.zeros([value.shape[0], *sides], value.dtype)
        return inputs.batch_of(self, zeros)

    def _seeded_train_step(self, data, moves):
        check_count(data)
        return moves(inputs.batch_of(self, data))

    def _moves(self, batch):
        """`train_step` with the random numbers of this step and this replica."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with random.scope(self.draw_seed, self.step, replica):
            logs = self.train_step(batch)
        if self.batches_per_step > 1 and not self._was_split:
            raise BadInput(
                f"A step takes {self.batches_per_step} batches as one (n_critic or "
                f"batches_per_step), and {type(self).__name__}.train_step used them all in every "
                "move. Take them apart: `for batch in self.split(data): self.update(...)`."
            )
        return logs

    # Keras' ways to use a model.

    def fit(self, x=None, y=None, batch_size=32, epochs=1, verbose="auto", callbacks=None, **more):
        """Trains as `keras.Model.fit` does.

        Args:
            x: A `tf.data.Dataset` of whole batches, or arrays: images [n, H, W, C], or a dict of
                arrays. `inputs.py` says the rules for both.
            y: Labels, for a model with classes and an array x.
            batch_size: Examples of one batch of an array. A step takes `batches_per_step` of them;
                a rest that fills no step is left out until the next shuffle.
            epochs, verbose, callbacks: As in Keras, and so are all others.

        Raises:
            BadInput: The data do not fit the model; or an argument that a game does not have, such
                as validation data.
        """
        for word in ("validation_data", "validation_split", "class_weight", "sample_weight"):
            value = more.pop(word, None)
            if not (value is None or isinstance(value, float) and value == 0.0):
                raise BadInput(f"{type(self).__name__} has no use for {word}. {MEASURE}")
        if x is None:
            raise BadInput("fit takes data: a tf.data.Dataset of whole batches, or arrays.")
        data = tuple(x) if isinstance(x, list) else x
        data = data if y is None else (data, np.asarray(y) if isinstance(y, list) else y)
        if inputs.are_arrays(data):
            repeat = more.get("steps_per_epoch") is not None
            count = batch_size * self.batches_per_step
            x, y = inputs.whole_batches(data, count, repeat, self.seed), None
            more["shuffle"] = False
        try:
            return super().fit(x, y, None, epochs, verbose, callbacks, **more)
        except BaseException:
            if self._iterator and (iterator := self._iterator()) is not None:
                at_exit.hold(iterator)
            raise

    def train_on_batch(self, x, y=None, **more):
        """Makes one training step on a batch: `batches_per_step` times as many examples.

        Args:
            x: A batch as `fit`'s data sets hold them, or its images.
            y: Its labels, for a model with classes and an x of images.

        Returns:
            The terms, name -> number.
        """
        if any(value is not None for word, value in more.items() if word != "return_dict"):
            raise BadInput(f"train_on_batch takes x and y, not {', '.join(more)}.")
        batch = x if y is None else (x, y)
        step = self.make_train_function()
        logs = step(iter(tf.data.Dataset.from_tensors(batch)))
        return {name: float(value) for name, value in logs.items()}

    def evaluate(self, *args, **kwargs):
        """Raises BadInput: the losses of a game do not tell how good its images are."""
        raise BadInput(f"{type(self).__name__} has no evaluate(). {MEASURE}")

    test_on_batch = evaluate

    def predict_step(self, data):
        """The model of a batch of its inputs: one tensor, a list or tuple of them, or a dict."""
        while isinstance(data, (list, tuple)) and len(data) == 1:
            (data,) = data
        if isinstance(data, dict):
            return self.of_named(**data)
        return self(*data) if isinstance(data, (list, tuple)) else self(data)

    def of_named(self, **named):
        """The model of inputs that are given by their names."""
        return self(**named)

    # Configuration and files.

    def get_config(self):
        # Keras' own would report the default arguments instead of the given ones.
        config = {name: plain(getattr(self, name)) for name in own_arguments(self)}
        return config | {"name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        with keras_settings.policy(config.pop("dtype")):
            return cls(**config)

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.optimizers.serialize
        return {
            "optimizers": {player: serialize(opt) for player, opt in self.optimizers.items()},
            "seed": self.seed,
            "restarts": self.restarts,
            "frozen": self.frozen_files(),
        }

    def frozen_files(self) -> dict:
        """Path -> SHA-256 of the networks that losses look through; None if one is not loaded."""
        return {network.path: network.sha256 or network.expected for network in self._frozen}

    def copy_frozen(self, folder):
        """Copies the given networks that uses of the model need into the folder of a release."""
        for network in self._frozen:
            if network.in_use:
                network.load()
                folder.mkdir(exist_ok=True)
                shutil.copyfile(network.file, folder / network.copy)

    def find_frozen(self, folder):
        """Says in which folder of a release the copies of given networks lie."""
        for network in self._frozen:
            network.folder = folder

    def without_paths(self, config: str) -> str:
        """The `config`, JSON of this model, with the names of given networks for their paths."""
        for network in self._frozen:
            config = config.replace(json.dumps(network.path), json.dumps(network.name))
        return config

    def compile_from_config(self, config):
        for network in self._frozen:
            network.expected = config.get("frozen", {}).get(network.path)
        deserialize = keras.optimizers.deserialize
        optimizers = {player: deserialize(opt) for player, opt in config["optimizers"].items()}
        restarts, seed = divmod(config["seed"], RESTART)  # version 0.1 counted in the upper bits
        self.compile(optimizers, seed)
        self.restarts = config.get("restarts", restarts)

    def save(self, filepath, *args, **kwargs):
        """Saves as `keras.Model.save` does, and reads the file back to prove that it is whole.

        Raises:
            Altered: A variable is not in the file as it is in the model.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise BadInput(f"A model is saved as a .keras file, not as {filepath}.")
        super().save(filepath, *args, **kwargs)
        check_saved(self, filepath)


class Frozen:
    """A given network that losses look through, such as VGG; see `BaseModel.frozen`.

    Args:
        path: The file of its weights.
        build: Path -> a function of tensors, its weights included.
        find: `path` -> the file.
        in_use: Uses of the model need it too.

    Attributes:
        file: The file, once it is loaded.
        sha256: Hash of the file, once it is loaded.
        expected: Hash that it must have, for a training that goes on; None for any.
        folder: Folder of a release with a copy of the file; None outside of a release.
    """

    def __init__(self, path, build, find, in_use):
        self.path, self.build, self.find, self.in_use = str(path), build, find, in_use
        self.network = self.file = self.sha256 = self.expected = self.folder = None

    @property
    def copy(self):
        """Name of the copy in the folder of a release."""
        return f"{self.sha256 or self.expected}.keras"

    @property
    def name(self):
        """The last part of the path: a release does not tell where its files once lay."""
        return pathlib.PurePath(self.path).name

    def load(self):
        """Loads the network, once. Raises BadInput where it is another one than before."""
        if self.network is None:
            copied = self.folder is not None and (self.folder / self.copy).is_file()
            file = self.folder / self.copy if copied else pathlib.Path(self.find(self.path))
            self.sha256 = durable.sha256(file)
            if self.expected not in (None, self.sha256):
                raise BadInput(
                    f"{self.path} is another file than the one that this training began with: its "
                    f"SHA-256 was {self.expected[:16]}..., and is {self.sha256[:16]}... Put the "
                    "first one back, or begin a new run."
                )
            self.network, self.file = self.build(file), file

    def __call__(self, *args, **kwargs):
        if self.network is None:
            raise BadInput(f"{self.path} is loaded when training begins: call compile() before.")
        return self.network(*args, **kwargs)


def own_arguments(model):
    """The names of the arguments of a model's constructor."""
    parameters = inspect.signature(type(model).__init__).parameters.items()
    return [
        name
        for name, parameter in parameters
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def check_count(data):
    """Raises BadInput where the number of examples in a batch is not fixed."""
    if not all(value.shape[:1].is_fully_defined() for value in tf.nest.flatten(data)):
        raise BadInput(
            "The graph of a step has a fixed number of examples, and these batches may differ "
            "in theirs. Take whole ones: dataset.batch(n, drop_remainder=True)."
        )


def plain(value):
    """Lists and tuples of Keras' tracking wrappers as Python lists."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value
