"""From a configuration to a trained, exported model: what `tools/train.py` runs.

A run is a folder: config.yaml (resolved), data.json (number of images, names of the classes),
snapshots/, samples/, log.csv, curves.png, tensorboard/; with metrics also metrics/, metrics.csv,
metrics.png, best.keras.
Starting a run that exists continues it.
"""

import contextlib
import os
import pathlib

import keras
import tensorflow as tf

from tfgans import callbacks, config, data, metrics, models, storage
from tfgans.errors import BadInput
from tfgans.models.translation import TranslationModel
from tfgans.resuming import (
    changed_settings,
    check_data,
    facts_of,
    moved,
    refuse_changes,
    unlike,
    write_data,
    write_settings,
)
from tfgans.storage import Refused
from tfgans.strategy import choose_strategy, is_chief

PREVIEW = 64  # images in a sample grid, at most
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
RELOADS = 3  # times that a run goes back to a snapshot when numbers are not finite any more


class WorkerLost(BadInput):
    """Another worker of the cluster has ended: what to do."""


def resolve(settings: config.Config):
    """Opens the data of `settings`, and takes from them what these leave open.

    Args:
        settings: A `tfgans.config.Config`; arguments of the model that follow from the data, such
            as the shape of images, are added to its `model`.
    """
    return data.resolve(settings, models.get(settings.architecture))


def build(settings: config.Config) -> keras.Model:
    """A new model of `settings`, compiled, its weights a function of the seed.

    Args:
        settings: A `tfgans.config.Config` that `resolve` has completed. Its precision becomes
            Keras' global dtype policy.
    """
    keras.utils.set_random_seed(settings.train.seed)
    keras.config.set_dtype_policy(settings.train.precision)
    model = models.get(settings.architecture)(**settings.model)
    model.compile(settings.optimizers, seed=settings.train.seed)
    model.accumulate = settings.train.accumulate
    return model


def begin(run, settings) -> keras.Model:
    """The model of a run where it goes on: from its newest whole snapshot, or a new one.

    Raises:
        Refused: The settings need other weights than those of the snapshot.
    """
    model = storage.resume(run)
    if model is None:
        model = build(settings)
    elif unlike(model, settings):
        # Settings by --force, or defaults that were others in the version that began the run.
        saved, model = model, build(settings)
        print(f"Not as in the snapshot: {'; '.join(changed_settings(saved, model))}.")
        model = moved(saved, model, run)
    model.accumulate, model.seed = settings.train.accumulate, settings.train.seed
    return model


def batches(strategy, model, source, settings):
    """The data from the model's step on, each worker and replica its own part of each batch."""
    replicas, start = strategy.num_replicas_in_sync, int(model.step.numpy())
    whole = settings.data.batch_size * model.batches_per_step
    if settings.data.batch_size % replicas:
        raise data.DataError(
            f"A batch of {settings.data.batch_size} cannot be shared by {replicas} devices.",
            f"Set data.batch_size to a multiple of {replicas}.",
        )

    def pipeline(context):
        shard = (context.input_pipeline_id, context.num_input_pipelines)
        dataset = data.batches(
            model, source, settings.data, model.draw_seed, start=start, shard=shard
        )
        dataset = dataset.rebatch(whole // replicas, drop_remainder=True)
        # Known to be endless, it keeps its static batch size on several workers too.
        return dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return strategy.distribute_datasets_from_function(pipeline)


def preview_batch(model, source, settings):
    """Up to 64 fixed examples for the sample grid."""
    plain = {"batch_size": PREVIEW, "flip": False, "jitter": 0}
    some = config.Data(**vars(settings.data) | plain)
    last = len(model.stage_steps)
    batch = next(iter(data.batches(model, source, some, settings.train.seed, stage=last)))
    return {name: value[:PREVIEW].numpy() for name, value in batch.items()}


def begin_together(strategy, run, settings) -> keras.Model:
    """`begin` on all workers, or on none of them where they would begin at different steps."""

    def check(step):
        steps = strategy.gather(strategy.run(lambda: tf.constant([step])), axis=0).numpy()
        if min(steps) < max(steps):
            raise Refused(
                f"The workers would go on from the steps {sorted(set(steps.tolist()))}: they do "
                f"not see the same snapshots. Put {run} on a file system that all of them share."
            )

    with strategy.scope():
        saved = storage.snapshots(run)
        check(int(saved[-1].stem) if saved else 0)  # a new model and a loaded one never meet
        model = begin(run, settings)
        check(int(model.step.numpy()))  # one of them may have passed over a damaged snapshot
    return model


def train(settings: config.Config, run, force: bool = False, strategy: str = "auto") -> bool:
    """Trains to the end of the run, from its last snapshot if there is one.

    Args:
        settings: The configuration.
        run: Folder of the run.
        force: Continue a run although its settings were others: with its weights, the moments of
            its optimizers, and the new settings.
        strategy: See `choose_strategy`.

    Returns:
        True if the run reached its end, False if Ctrl-C or SIGTERM stopped it before.

    Raises:
        BadInput: The strategy has nothing to run on.
        Refused: The run was started with other settings or other classes, or its weights do not
            fit the new settings, or it cannot be written, or the workers see different snapshots.
        WorkerLost: Another worker of the cluster has ended.
        FloatingPointError: A loss or a weight is not finite any more.
    """
    run, strategy = pathlib.Path(run), choose_strategy(strategy)
    storage.refuse_foreign(run, settings.data.path)
    source = resolve(settings)
    with storage.in_use(run) if is_chief() else contextlib.nullcontext():
        return train_in(run, source, settings, force, strategy)


def train_in(run, source, settings, force, strategy) -> bool:
    """`train` in a folder that no other process uses, with the data of `source`."""
    facts = facts_of(source, settings)
    refuse_changes(run, settings, force)
    check_data(run, facts, force)
    model = begin_together(strategy, run, settings)
    left = settings.train.steps - int(model.step.numpy())
    if left <= 0:
        step = int(model.step.numpy())
        print(f"{run} has reached step {step}; --set train.steps=... goes further.")
        return True
    rows = callbacks.read_rows(run / "metrics.csv", int(model.step.numpy()))
    if callbacks.no_better(rows, settings.metrics):
        print(f"{run} stopped early; --force --set metrics.patience=0 goes further.")
        return True
    write_settings(run, settings)  # only now that the run goes on with these settings
    write_data(run, facts)
    signals = callbacks.StopOnSignal()
    try:  # outside of the scope, in which saving would create variables on one worker only
        while True:
            try:
                fit(strategy, model, source, settings, run, signals)
                return not signals.stopped
            except FloatingPointError as error:
                restarts = model.restarts + 1
                if settings.train.on_nan == "stop" or restarts > RELOADS:
                    raise
                print(
                    f"{error}\nRestart {restarts} of at most {RELOADS}, with other random numbers:"
                )
            model = begin_together(strategy, run, settings)
            # Counted from the training that failed, not from the snapshot: a run that is killed and
            # resumed goes through the same restarts again.
            model.restarts = restarts
    finally:
        signals.give_back()


def fit(strategy, model, source, settings, run, signals):
    """Trains from the model's step to the end of the run."""
    left = settings.train.steps - int(model.step.numpy())
    try:
        with storage.writing(run):  # errors of reading the data come as TensorFlow's
            watchers = [signals, *watch(model, source, settings, run)]
            dataset = batches(strategy, model, source, settings)
            model.fit(dataset, steps_per_epoch=left, callbacks=watchers, shuffle=False, verbose=0)
    except tf.errors.OpError as error:
        if source.failure:  # the reader's own words, without TensorFlow's around them
            raise source.failure from None
        if isinstance(error, GONE) and "TF_CONFIG" in os.environ:
            raise WorkerLost(
                "Another worker of the cluster has ended. Start all again with the same command: "
                "they go on from the last snapshot."
            ) from None
        raise


def watch(model, source, settings, run):
    """The callbacks of a run; of several workers only the first writes files."""
    tick, seed = settings.train.tick, settings.train.seed
    kind = data.KINDS[model.data_kind].Reader
    seen = settings.data.batch_size * model.batches_per_step, kind.unit
    watchers = [
        callbacks.StopOnNaN(tick),
        callbacks.Progress(tick, settings.train.steps, *seen),
    ]
    if is_chief():
        examples = preview_batch(model, source, settings)
        log = callbacks.Log(tick, run, *seen)
        watchers += [log, callbacks.SampleGrid(tick, run / "samples", examples, seed, log)]
        if examples[kind.real].ndim == 4:  # pictures
            watchers.append(callbacks.CollapseMonitor(tick, examples, kind.real, seed))
        if settings.metrics.names:
            measure = evaluator(model, source, settings)
            watchers.append(callbacks.Measure(tick, run, seen[0], measure, settings.metrics))
        watchers += [callbacks.given_callback(x, tick) for x in settings.train.callbacks]
        watchers.append(callbacks.Snapshot(tick, run, settings.train.keep))
    return watchers


def evaluator(model, source, settings):
    """The evaluator that measures the model while it trains."""
    chosen = settings.metrics
    metrics.check_model(model, chosen.names)
    if chosen.patience and "TF_CONFIG" in os.environ:
        raise Refused("metrics.patience would stop one worker and not the others: leave it at 0.")
    measure = metrics.Evaluator(
        settings=settings.data,
        image_shape=model.image_shape,
        num_classes=model.num_classes,
        metrics=chosen.names,
        extractor=chosen.extractor,
        samples=chosen.samples,
        seeds=1,
        inputs=source if isinstance(model, TranslationModel) else None,
    )
    if metrics.METRICS[chosen.names[0]].best is None:
        raise BadInput(f"metrics.names begins with {chosen.names[0]}, which ranks no models.")
    return measure
