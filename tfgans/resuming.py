"""How a run goes on: with its own settings and data, or with others by `--force`.

`unlike` compares the settings of a run with those of its snapshot; `moved` gives a new model, made
of other settings, the weights, moments and step of the snapshot. config.yaml and data.json in the
folder of a run tell with which settings and data it was started.
"""

import inspect
import itertools
import json
import pathlib
import re

import keras

from tfgans import config, durable, models, storage
from tfgans.errors import BadInput
from tfgans.labels import kept_facts
from tfgans.models.stepping import plain
from tfgans.storage import Refused
from tfgans.strategy import is_chief


def unlike(model, settings) -> bool:
    """True if a loaded model is not the one that the settings make, apart from its weights."""
    if type(model) is not models.get(settings.architecture):
        return True
    given = settings.model | {"dtype": settings.train.precision}
    parameters = inspect.signature(type(model).__init__).parameters
    for word, value in model.get_config().items():
        default = parameters[word].default if word in parameters else value
        if plain(given.get(word, default)) != value:
            return True
    for player, paper in model.default_optimizers().items():
        changes = settings.optimizers.get(player, {})
        wanted = type(paper).from_config(paper.get_config() | changes)
        if optimizer_settings(wanted) != optimizer_settings(model.optimizers[player]):
            return True
    return False


def inner(optimizer):
    """The optimizer inside the one that scales losses for float16."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def optimizer_settings(optimizer) -> dict:
    """The settings of an optimizer without its name, which Keras numbers."""
    optimizer = inner(optimizer)
    return {"class": type(optimizer)} | optimizer.get_config() | {"name": None}


def moved(old, new, run) -> keras.Model:
    """A new model with the weights, the moments of the optimizers and the step of an old one.

    Args:
        old: The model of a snapshot.
        new: A model of the same architecture with other settings.
        run: Folder of the run, for the message.

    Raises:
        Refused: The new model has other weights, or is in another stage at this step. The message
            names the changed settings.
    """
    pairs = [(old.weights, new.weights)]
    for player in old.optimizers.keys() | new.optimizers.keys():
        both = [model.optimizers.get(player) for model in (old, new)]
        if all(isinstance(o, keras.optimizers.LossScaleOptimizer) for o in both):
            pairs.append([[o.step_counter, o.dynamic_scale] for o in both])
        both = [inner(optimizer) for optimizer in both]
        pairs.append([states(optimizer) for optimizer in both])
        if type(both[0]) is not type(both[1]):
            pairs.append(([], [None]))  # of different lengths: refused
    step = int(old.step.numpy())
    pairs = [pair for members in pairs for pair in itertools.zip_longest(*members)]
    if old.stage_of(step) != new.stage_of(step) or not all(same_place(*pair) for pair in pairs):
        changed = changed_settings(old, new)
        raise Refused(
            f"The weights of {run} do not fit the new settings: {'; '.join(changed)}. "
            "Take these back, or start a new run: --run FOLDER"
        )
    for before, now in pairs:
        now.assign(before.numpy())
    new.restarts = old.restarts
    return new


def states(optimizer) -> list:
    """The variables of an optimizer but its learning rate, which is a setting."""
    return [v for v in optimizer.variables if v.name != "learning_rate"] if optimizer else []


def same_place(old, new) -> bool:
    """True if two variables have the same shape and path, apart from the numbers of Keras."""
    if old is None or new is None:
        return False
    paths = {re.sub(r"_\d+(?=[/_]|$)", "", variable.path) for variable in (old, new)}
    return len(paths) == 1 and tuple(old.shape) == tuple(new.shape)


def changed_settings(old, new) -> list:
    """A line "key: old -> new" for each setting of two models that differs."""
    if type(old) is not type(new):
        return [f"architecture: {type(old).__name__} -> {type(new).__name__}"]
    was, now = ({"model": model.get_config()} for model in (old, new))
    for settings, model in ((was, old), (now, new)):
        del settings["model"]["name"]
        settings["optimizers"] = {
            player: optimizer_settings(optimizer) for player, optimizer in model.optimizers.items()
        }
    return config.lines(was, now)


def refuse_changes(run, settings, force):
    """Raises Refused for a run that was started with other settings, unless `force` is true."""
    path = pathlib.Path(run) / "config.yaml"
    if path.exists() and not force:
        try:
            old = config.Config.from_dict(config.parse(path.read_bytes(), path))
        except BadInput as error:
            raise Refused(
                f"{path} is not the configuration of a run: {error} Give another folder: --run "
                "FOLDER"
            ) from None
        if changed := config.differences(old, settings):
            raise Refused(
                f"{run} was started with other settings: {'; '.join(changed)}. To start a new run: "
                "--run FOLDER. To go on with the new settings: --force."
            )


def write_settings(run, settings):
    """Writes config.yaml, for the next start."""
    if is_chief():
        path = pathlib.Path(run) / "config.yaml"
        with storage.writing(run):
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write_text(path, settings.to_yaml())


def facts_of(source, settings) -> dict:
    """The facts that a run keeps of its data: "images" of each set, and "classes", their names."""
    sets = getattr(source, "sets", [source])
    classes = getattr(source, "label_names", None) if settings.data.labels else None
    return {"images": [len(part) for part in sets], "classes": list(classes or [])}


def check_data(run, facts, force):
    """Refuses to continue a run with other classes; says where the number of images changed.

    Args:
        run: Folder of the run.
        facts: `facts_of` its data now.
        force: Go on with other classes.
    """
    old = kept_facts(run)
    if old is None:
        return
    pairs = itertools.zip_longest(old["classes"], facts["classes"], fillvalue="absent")
    for number, (was, now) in enumerate(pairs):
        if was != now and not force:
            raise Refused(
                f"The classes of {run} have changed: class {number} was {was!r}, is {now!r}. Give "
                "the data their old classes, or start a new run: --run FOLDER. To go on with the "
                "new ones: --force."
            )
    if old["images"] != facts["images"]:
        was, now = (" and ".join(f"{n:,}" for n in some["images"]) for some in (old, facts))
        print(f"{run} began with {was} images; the data now hold {now}.")


def write_data(run, facts):
    """Writes data.json, for the next start."""
    if is_chief():
        with storage.writing(run):
            durable.write_text(pathlib.Path(run) / "data.json", json.dumps(facts) + "\n")
