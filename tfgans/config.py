"""Configurations: one YAML file per run. An unknown word is an error.

The constructor of a model has the settings of its paper as defaults. A configuration holds the
data, the length of the run, and the settings that differ from the paper.
"""

import copy
import dataclasses
import inspect
import math
import pathlib
import re
import typing

import yaml

from tfgans.data.settings import Data
from tfgans.errors import BadInput, nearest, plain
from tfgans.models import ALIASES as MODEL_ALIASES
from tfgans.models import get

PACKAGE = pathlib.Path(__file__).resolve().parent
CONFIGS = (PACKAGE.parent / "configs", PACKAGE / "configs")  # in a clone, in an installation

ALIASES = MODEL_ALIASES | {  # other names -> configurations
    "ali": "bigan-ali",
    "s2gan": "s3gan-s2gan",
    "ssgan": "s3gan-ssgan",
}

LIMITS = {  # least and greatest value
    "data.batch_size": (1, math.inf),
    "data.jitter": (0, math.inf),
    "data.polygons": (1, math.inf),
    "data.every_nth": (1, math.inf),
    "train.steps": (1, math.inf),
    "train.tick": (1, math.inf),
    "train.keep": (1, math.inf),
    "train.seed": (0, 2**32 - 1),
    "train.accumulate": (1, math.inf),
    "metrics.every": (1, math.inf),
    "metrics.samples": (1, math.inf),
    "metrics.patience": (0, math.inf),
}
RATES = {  # the same for the settings of all optimizers
    "learning_rate": (0, math.inf),
    "beta_1": (0, 1),
    "beta_2": (0, 1),
    "momentum": (0, 1),
    "rho": (0, 1),
    "epsilon": (0, math.inf),
    "weight_decay": (0, math.inf),
    "clipnorm": (0, math.inf),
    "clipvalue": (0, math.inf),
    "global_clipnorm": (0, math.inf),
    "ema_momentum": (0, 1),
}
COUNTS = re.compile(  # at least 1 each
    r"(width|widths|channels|_dim|_every|_moves|n_critic|decay_steps|halving_steps|epoch_steps)$"
)
CHOICES = {
    "data.degrade": (
        "auto",
        "gray",
        "grain",
        "lightness",
        "jpeg",
        "bicubic4",
        "noise",
        "hole",
        "blobs",
    ),
    "data.direction": ("a_to_b", "b_to_a"),
    "data.drawn": ("scenes", "turned", "cartoons", "noisy", "digits"),
    "data.broken": ("skip", "fail"),
    "train.precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "train.on_nan": ("stop", "reload"),
}


@dataclasses.dataclass
class Train:
    """Length and mode of training.

    Args:
        steps: Length of the run in steps. A step is one call of `train_step`.
        tick: Steps between two log lines, sample grids and snapshots.
        keep: Number of snapshots to keep.
        seed: Seed of the weights, the data order and all noise.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        accumulate: Number of parts of a batch. Each update takes them one after the other and
            averages their gradients: the same step in less memory. See docs/scale.md.
        on_nan: Action when a loss or a weight is NaN or infinite. "stop" ends the run. "reload"
            goes back to the last snapshot and continues with other random numbers and another
            order of the data, up to three times in a run.
        callbacks: Further callbacks, each a mapping of `class`, the dotted name of a Keras
            callback, and its arguments. A `tfgans.callbacks.OnTick` gets the tick by itself. See
            docs/keras.md.
    """

    steps: int = 10_000
    tick: int = 500
    keep: int = 2
    seed: int = 0
    precision: str = "float32"
    accumulate: int = 1
    on_nan: str = "stop"
    callbacks: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Metrics:
    """Metrics that are measured while training.

    Args:
        names: Metrics, see `tools/evaluate.py --help`. The first one selects the best model.
        every: Ticks between evaluations.
        extractor: Feature network: a path, or "own-small".
        samples: Number of images to generate for each evaluation.
        patience: Training stops after this many evaluations without improvement; 0 for never.
    """

    names: list = dataclasses.field(default_factory=list)
    every: int = 1
    extractor: str | None = None
    samples: int = 10_000
    patience: int = 0


@dataclasses.dataclass
class Config:
    """A complete configuration.

    Args:
        architecture: Name of the model.
        model: Arguments of the constructor that differ from the paper.
        optimizers: Player -> settings of its optimizer that differ from the paper.
        data: See `Data`.
        train: See `Train`.
        metrics: See `Metrics`.
    """

    architecture: str
    model: dict = dataclasses.field(default_factory=dict)
    optimizers: dict = dataclasses.field(default_factory=dict)
    data: Data = dataclasses.field(default_factory=Data)
    train: Train = dataclasses.field(default_factory=Train)
    metrics: Metrics = dataclasses.field(default_factory=Metrics)

    @classmethod
    def load(cls, name, section: str | None = None, changes=()) -> "Config":
        """Reads a configuration.

        Args:
            name: Name of a file in configs/, or a path to a file.
            section: "demo" or "tiny": the section whose settings replace others of the file.
            changes: Strings "section.key=value", as for `--set`.
        """
        file = find(name)
        tree = mapping(file, parse(file.read_bytes(), file))
        sections = {word: tree.pop(word, None) for word in ("demo", "tiny")}
        if section:
            if sections[section] is None:
                raise BadInput(f"{file} has no section {section!r}.")
            merge(tree, mapping(section, sections[section]))
        for change in changes:
            key, equals, value = change.partition("=")
            if not equals:
                raise BadInput(f"--set takes section.key=value, not {change!r}.")
            value = parse(value, f"--set {change}")
            for word in reversed(key.split(".")):
                value = {word: value}
            merge(tree, value)
        return cls.from_dict(tree)

    @classmethod
    def from_dict(cls, tree: dict) -> "Config":
        """Builds and checks a configuration; `to_dict` returns the same tree."""
        tree = copy.deepcopy(mapping("A configuration", tree))
        check_words("section", tree, [f.name for f in dataclasses.fields(cls)])
        if "architecture" not in tree:
            raise BadInput("A configuration must name its model, for example `architecture: gan`.")
        check_type("architecture", tree["architecture"], (str,))
        arguments = inspect.signature(get(tree["architecture"]).__init__).parameters
        known = [word for word in arguments if word not in ("self", "kwargs")]
        model = mapping("model", tree.get("model"))
        check_words(f"argument of {tree['architecture']}", model, known)
        for word, value in model.items():
            check_argument(f"model.{word}", value, arguments[word].default)
        optimizers = mapping("optimizers", tree.get("optimizers"))
        return cls(
            architecture=tree["architecture"],
            model=model,
            optimizers={
                player: rates(f"optimizers.{player}", mapping(f"optimizers.{player}", given))
                for player, given in optimizers.items()
            },
            data=section_of(Data, "data", tree),
            train=section_of(Train, "train", tree),
            metrics=section_of(Metrics, "metrics", tree),
        )

    def to_dict(self) -> dict:
        """Returns the configuration as plain lists and dicts, for YAML."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def find(name) -> pathlib.Path:
    """Finds the file of a configuration. Raises FileNotFoundError with the nearest name."""
    if pathlib.Path(name).suffix in (".yaml", ".yml"):
        if not pathlib.Path(name).is_file():
            raise FileNotFoundError(f"There is no configuration file {name}.")
        return pathlib.Path(name)
    files = {path.stem: path for folder in CONFIGS for path in folder.glob("*.yaml")}
    known = {plain(stem): path for stem, path in files.items()}
    known |= {plain(word): files[stem] for word, stem in ALIASES.items()}
    if plain(str(name)) not in known:
        raise FileNotFoundError(nearest("configuration", str(name), files))
    return known[plain(str(name))]


def names() -> list:
    """Returns the names of all configurations."""
    return sorted({path.stem for folder in CONFIGS for path in folder.glob("*.yaml")})


def differences(old: Config, new: Config) -> list:
    """Returns a line "key: old -> new" for each setting that differs and can change the weights."""
    return lines(old.to_dict(), new.to_dict())


def lines(old: dict, new: dict) -> list:
    """Returns a line "key: old -> new" for each leaf that differs and can change the weights."""
    flat = [flatten(tree) for tree in (old, new)]
    keys = [key for key in flat[0] | flat[1] if key not in ("train.steps", "train.callbacks")]
    absent = "not given"
    pairs = [(key, flat[0].get(key, absent), flat[1].get(key, absent)) for key in keys]
    return [f"{key}: {was} -> {now}" for key, was, now in pairs if was != now]


def flatten(tree, prefix=""):
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def merge(tree, changes):
    """Merges `changes` into `tree`, dict by dict."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            merge(tree[key], value)
        else:
            tree[key] = value


def mapping(name, tree) -> dict:
    """Returns the dict `tree`, or an empty dict for None. Raises BadInput for anything else."""
    if not isinstance(tree, (dict, type(None))):
        raise BadInput(f"{name} must be a mapping, `key: value`, not {tree!r:.80}.")
    return tree or {}


def check_words(kind, given, known):
    for word in given:
        if word not in known:
            raise BadInput(nearest(kind, str(word), known))


def check_type(key, value, kinds):
    if type(value) not in kinds:
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise BadInput(f"{key} must be {names}, not {value!r:.80}.")


def check_argument(key, value, default):
    """Checks the type of a model's argument against its default. None passes."""
    if value is None:
        return
    if isinstance(default, (tuple, list)):
        check_type(key, value, (list, tuple))
        for part in value:
            if part is None:
                raise BadInput(f"{key} must not hold None, as in {value!r:.80}.")
            check_argument(key, part, default[0])
        if key == "model.image_shape" and (len(value) != 3 or min(value) < 1):
            raise BadInput(f"{key} must be [height, width, channels], not {value!r:.80}.")
    elif isinstance(default, float):
        check_type(key, value, (float, int))
        check_range(key, value, -math.inf, math.inf)
    elif isinstance(default, (bool, int, str)):
        check_type(key, value, (type(default),))
        if type(default) is int:
            check_range(key, value, 1 if COUNTS.search(key) else min(default, 0), math.inf)


def check_range(key, value, least, most):
    if not least <= value <= most or not -math.inf < value < math.inf:
        limits = f" of {least} or more" if least > -math.inf else ""
        limits = f" from {least} to {most}" if most < math.inf else limits
        raise BadInput(f"{key} must be a finite number{limits}, not {value}.")


def rates(key, given) -> dict:
    """The settings of an optimizer; Keras wants floats also where a user writes 0 or 1."""
    for word, value in given.items():
        if word in RATES and not isinstance(value, (dict, type(None))):  # a schedule is a dict
            check_type(f"{key}.{word}", value, (float, int))
            check_range(f"{key}.{word}", value, *RATES[word])
    return {k: float(v) if k in RATES and type(v) is int else v for k, v in given.items()}


def section_of(cls, name, tree):
    """Makes a dataclass from its section of the tree, and checks its words and types."""
    given = mapping(name, tree.get(name))
    fields = {field.name: field for field in dataclasses.fields(cls)}
    check_words(f"setting in {name}:", given, fields)
    for word, value in given.items():
        key, kind = f"{name}.{word}", fields[word].type
        check_type(key, value, typing.get_args(kind) or (kind,))
        if key in LIMITS:
            check_range(key, value, *LIMITS[key])
        if key in CHOICES and value not in CHOICES[key]:
            raise BadInput(nearest(key, value, CHOICES[key]))
        if key == "data.value_range" and value is not None:
            numbers = [type(v) in (int, float) and abs(v) < math.inf for v in value]
            if numbers != [True, True] or not value[0] < value[1]:
                raise BadInput(f"{key} must be [lowest, highest], not {value!r:.80}.")
        if key == "train.callbacks":
            for entry in value:
                if not (isinstance(entry, dict) and isinstance(entry.get("class"), str)):
                    raise BadInput(
                        f"{key} holds mappings with `class: module.Name`, not {entry!r:.80}."
                    )
    return cls(**given)


class Loader(yaml.SafeLoader):
    """Reads YAML, but 1e-3 as a number, as in version 1.2, not as a string."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def parse(text: str | bytes, name="The text"):
    """Parses YAML into dicts, lists, numbers and strings. Errors begin with `name`."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 (Loader is a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # impossible dates: ValueError
        words = " ".join(str(error).split())
        raise BadInput(f"{name} is not valid YAML: {words}") from None
