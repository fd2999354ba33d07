"""The words in which every game is written.

A model file says which networks there are, what each player minimizes, and in which order they
move. The words for that are here: gradients for one player only, replica arithmetic, loss scaling,
averaged weights, schedules. `stepping.py` makes Keras run them.
"""

import pathlib

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models import runtimes, serving
from tfgans.models.inputs import labels_of
from tfgans.models.stepping import Frozen, Stepping


class BaseModel(Stepping):
    """A game between networks: a `keras.Model` whose `train_step` is the paper's algorithm.

    A model writes `__init__` (each argument stored under its own name), `default_optimizers`,
    `<player>_loss` and `train_step`. It may write `players`, `call`, `preview`, `endpoints`,
    `stage_begins`, `choice`, and the class attributes. A model of latents is a `LatentModel`, a
    model of images a `TranslationModel`: they say how it is used, never how it is trained.

    Attributes:
        data_kind: The kind of data that `tfgans.data` feeds this model.
        num_classes: Number of classes, above 0 for batches with class labels.
        condition_dim: Length of the vectors (text, attributes) that the model is conditional on.
        uses: Methods beyond the endpoints that `tools/use.py` offers: name -> kind of the result,
            "image", "video" or "text".
        label_names: Names of the classes, or of the attributes, where `tfgans.models.load` has
            found them.
        label_kind: "classes", or "attributes" if several may hold at once.
        absent: Endpoints that others of this class have and this model lacks: name -> why, and
            what to do.
    """

    data_kind = "images"
    num_classes = 0
    condition_dim = 0
    label_names = ()
    label_kind = "classes"
    uses = {}
    absent = {}

    # A model may say these differently.

    @property
    def label_dim(self):
        """Length of the label vectors that outputs are made for; 0 where no label goes in."""
        return self.num_classes

    def players(self):
        """Player -> the networks that move together under one optimizer."""
        return {"discriminator": [self.discriminator], "generator": [self.generator]}

    def default_optimizers(self):
        """The paper's optimizers: player -> Keras optimizer."""
        raise NotImplementedError(f"{type(self).__name__} must write default_optimizers().")

    def stage_begins(self, stage):
        """Called before the first step of each stage."""

    def choice(self):
        """A decision of the host before each step, from saved states or from (seed, step).

        One of `choices`; `train_step` reads it as `self.chosen`, and each value is its own graph.
        It must not depend on anything that is not saved.
        """
        return None

    def stage_shape(self, stage):
        """(height, width, channels) of the images that a stage trains on; () without images."""
        return getattr(self, "image_shape", ())

    def stage_length(self, stage):
        """Frames of the clips, tokens or samples that a stage trains on; 0 without them."""
        return getattr(self, "length", 0)

    def outputs(self, batch):
        """The model's answer to a batch of its kind: [N, H, W, C] in [-1, 1], or tokens [N, T].

        Sample grids, the collapse monitor, metrics and tools ask for it, inside a random scope.
        """
        raise NotImplementedError(f"{type(self).__name__} must write outputs().")

    def preview(self, batch):
        """Anything of a batch that a person wants to see or hear while training.

        Pictures [n, H, W, C] in [-1, 1]; a table of them, [rows, columns, H, W, C], as
        `images.table` makes it; a text; a `tfgans.previews.Sound` or `Video`.
        Called with the same batch and inside the same random scope each time, so that pictures of
        different steps show the same latents.
        """
        return self.outputs(batch)

    def settle(self):
        """Takes numbers that a use of the model needs and training does not, such as BigGAN's.

        Called outside of training, before each preview, measurement and snapshot. It changes
        nothing that training depends on.
        """

    def watched(self):
        """Name -> number that the log holds at each tick beside the losses, as "player/number"."""
        return {}

    def endpoints(self):
        """All that the exported model offers: name -> (function, its input signature).

        A function takes tensors and returns a dict of named tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} must write endpoints().")

    # The words of a train_step.

    def update(self, player, loss, *tensors, n=None):
        """Moves one player one step down the sum of its loss's terms.

        Only the player's own weights move. Weights that the loss does not reach count as having a
        zero gradient, as in the reference implementations: Adam still forgets a little.

        Args:
            player: Its name.
            loss: Called with `tensors`, and with `n` where it is given. Returns a dict of scalar
                terms, or (terms, kept): tensors [N, ...], or nests of them, that the rest of the
                step needs.
            tensors: Tensors whose first axis is the batch: `accumulate` divides them. Anything
                else passes as it is.
            n: Number of examples that the loss makes itself; `accumulate` divides it.

        Returns:
            The terms, named "player/term"; or (terms, kept).
        """

        def losses(*tensors, **count):
            result = loss(*tensors, **count)
            terms, *kept = result if isinstance(result, tuple) else (result,)
            return ({player: terms}, *kept)

        return self._move([player], losses, tensors, n)

    def update_together(self, losses, *tensors, n=None, players=None):
        """Moves several players at once, each down its own loss of one common forward pass.

        Args:
            losses: Called as in `update`; returns player -> its dict of scalar terms, or (that,
                kept). All gradients are taken before any weight moves.
            tensors: See `update`.
            n: See `update`.
            players: Their names; all players without it.

        Returns:
            As `update`.
        """
        return self._move(list(players or self.optimizers), losses, tensors, n)

    def _move(self, players, losses, tensors, n):
        weights = {player: self.weights_of(player) for player in players}
        values = {player: [w.value for w in own] for player, own in weights.items()}
        gradients, logs, kept, done = {player: None for player in players}, {}, [], []
        count = {} if n is None else {"n": part_of_count(n, self.accumulate)}
        for part in random.parts(self.accumulate):
            # A part begins when the one before has left the memory.
            with tf.control_dependencies(done):
                own = part_of(tensors, part, self.accumulate)
                found, terms, *more = self._gradients(values, losses, own, count)
            for player, new in found.items():
                old = gradients[player]
                gradients[player] = [*map(tf.add_n, zip(old, new, strict=True))] if old else new
            logs |= {name: logs.get(name, 0.0) + value for name, value in terms.items()}
            kept += more
            done = [tf.group(gradients)]
        for player, found in gradients.items():
            self.optimizers[player].apply(found, weights[player])
        logs = {name: value / self.accumulate for name, value in logs.items()}
        if not kept:
            return logs
        return logs, tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *kept)

    def _gradients(self, values, losses, tensors, count):
        """The gradient of each player's loss, as its share of the global batch, and the terms."""
        totals, logs = {}, {}
        with tf.GradientTape(persistent=len(values) > 1, watch_accessed_variables=False) as tape:
            tape.watch(values)
            result = losses(*tensors, **count)
            terms_of, *kept = result if isinstance(result, tuple) else (result,)
            for player, terms in terms_of.items():
                total = tf.add_n(list(terms.values()))
                # Gradients of replicas and of parts are summed; the loss is a mean over all.
                total /= tf.distribute.get_strategy().num_replicas_in_sync * self.accumulate
                totals[player] = self.optimizers[player].scale_loss(total)
                logs |= {f"{player}/{name}": value for name, value in terms.items()}
        gradients = {
            player: tape.gradient(total, values[player], unconnected_gradients="zero")
            for player, total in totals.items()
        }
        return gradients, logs, *kept

    def decay(self, player, weight):
        """The term of a loss that holds weights near 0: {"decay": weight * sum of w^2 / 2}.

        Args:
            player: Its name; all its trained weights count, each once.
            weight: Weight of the term; without it there is none, {}.
        """
        if not weight:
            return {}
        squares = [tf.nn.l2_loss(w.value) for w in self.weights_of(player)]
        return {"decay": weight * tf.add_n(squares)}

    def due(self, every):
        """True in each `every`-th step: a plain bool, each answer its own graph."""
        self._periods.add(every)
        return self.now % every == 0

    def split(self, data):
        """The `batches_per_step` batches in the data of this step.

        Every k-th example goes to the same batch, so each batch spreads over all replicas.
        """
        self._was_split = True
        count = self.batches_per_step
        return [tf.nest.map_structure(lambda x, k=k: x[k::count], data) for k in range(count)]

    def add_state(self, name, value, shape=(), dtype="float32", aggregation="mean"):
        """A saved variable that a training step may assign; replicas agree by `aggregation`.

        Args:
            name: Its name.
            value: Its start, a number.
            shape: Its shape.
            dtype: Its type.
            aggregation: "mean", "sum" or "only_first_replica", as of a Keras weight.
        """
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation=aggregation,
        )

    def frozen(self, path, build, find=str, in_use=False):
        """A given network that a loss looks through, such as VGG or a classifier.

        It is loaded when training begins, and is no part of the model: it is in no snapshot, no
        player and no average. A snapshot holds the hash of its file; a training goes on only with
        the same file. A release needs it, and holds a copy of its file, only with `in_use`.

        Args:
            path: The file of its weights.
            build: Path -> a function of tensors, such as `tfgans.features.vgg.keras_vgg16`.
            find: `path` -> the file, where it is the name of a release or of a run.
            in_use: Uses of the model need it too; then the file is a `.keras` file.

        Returns:
            A function of tensors, to be called in losses.
        """
        network = Frozen(path, build, find, in_use)
        self._frozen.append(network)
        return network

    def ema_of(self, network):
        """A copy of `network` that `update_ema` lets follow it; its name ends with "_ema"."""
        if isinstance(network, keras.Model):
            copy = clone_of(network)
            copy.name = f"{network.name}_ema"
        else:
            copy = network.from_config(network.get_config() | {"name": f"{network.name}_ema"})
            copy.build_from_config(network.get_build_config())
            copy.set_weights(network.get_weights())
        copy.trainable = False
        return copy

    def update_ema(self, average, network, decay):
        """average <- decay * average + (1 - decay) * network; untrained weights are copied.

        Args:
            average: A copy that `ema_of` made.
            network: The network that it follows.
            decay: Share of the old value that it keeps, in [0, 1].
        """
        for mean, live in zip(average.weights, network.weights, strict=True):
            if live.trainable:
                mean.assign(live + tf.cast(decay, live.dtype) * (mean - live))
            else:
                mean.assign(live)

    # A model never writes these.

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
        label = labels_of(label, self.num_classes)
        return tf.one_hot(label, self.num_classes) if label.dtype.is_integer else label

    def export(self, path, more=None, to=(), machine="cpu"):
        """Writes a SavedModel with all `endpoints`, to be served or loaded without tfgans.

        Args:
            path: Folder.
            more: Endpoints beyond the model's own, in the same form.
            to: Further run times, keys of `runtimes.RUN_TIMES`: <path>/onnx/<endpoint>.onnx.
            machine: The one that will serve it, a key of `serving.MACHINES`.
        """
        runtimes.check(to)
        serving.export(self.endpoints() | (more or {}), path, made_for=machine)
        if to:
            runtimes.write(self, pathlib.Path(path), tuple(dict.fromkeys(to)))


def clone_of(network, inputs=None):
    """A copy of a functional network with its weights, on other inputs if given."""
    layers = list(network._flatten_layers())
    parts = [part for layer in layers for part in vars(layer).values()]
    starts = [part for part in parts if isinstance(part, keras.initializers.Initializer)]
    own = {type(part).__name__: type(part) for part in (*layers, *starts)}
    with keras.saving.custom_object_scope(own):
        copy = keras.models.clone_model(network, inputs)
    copy.set_weights(network.get_weights())
    return copy


def part_of(tensors, part, parts):
    """One of `parts` equal parts of each tensor among the arguments of a move."""

    def cut(value):
        if parts == 1 or not tf.is_tensor(value) or value.shape.rank == 0:
            return value
        size = part_of_count(value.shape[0], parts)
        return value[part * size : (part + 1) * size]

    return tf.nest.map_structure(cut, tensors)


def part_of_count(n, parts):
    """One of `parts` equal parts of n examples. Raises BadInput where n is no multiple."""
    if n % parts:
        raise BadInput(
            f"{n} examples on one device cannot be cut into accumulate = {parts} equal parts: "
            "change data.batch_size or train.accumulate."
        )
    return n // parts
