"""One YAML file per run: which model, which data, how long. Strict: an unknown word is an error.

The numbers of a paper live in the constructor of its model; a configuration holds the data, the
length of the run, and only those settings in which the run departs from the paper.
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
from tfgans.errors import BadInput, nearest
from tfgans.models import ALIASES as MODEL_ALIASES
from tfgans.models import get, plain

PACKAGE = pathlib.Path(__file__).resolve().parent
CONFIGS = (PACKAGE.parent / "configs", PACKAGE / "configs")  # in a clone, in an installation

ALIASES = MODEL_ALIASES | {"ali": "bigan-ali"}  # other names -> configurations

LIMITS = {  # the least and the greatest
    "data.batch_size": (1, math.inf),
    "data.jitter": (0, math.inf),
    "train.steps": (1, math.inf),
    "train.tick": (1, math.inf),
    "train.keep": (1, math.inf),
    "train.seed": (0, 2**32 - 1),
    "train.accumulate": (1, math.inf),
    "metrics.every": (1, math.inf),
    "metrics.samples": (1, math.inf),
    "metrics.patience": (0, math.inf),
}
CHOICES = {
    "train.precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "train.on_nan": ("stop", "reload"),
}


@dataclasses.dataclass
class Train:
    """How long to train, and how.

    Args:
        steps: Length of the run. A step is one call of `train_step`.
        tick: Steps between log line, sample grid and snapshot.
        keep: How many snapshots to keep.
        seed: Of the weights, the data order and all noise.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        accumulate: Each move takes its batch in this many parts, one after the other, and averages
            their gradients: the same step in less memory. See docs/scale.md.
        on_nan: When a loss or a weight is no number any more, "stop", or "reload": go back to the
            last snapshot and on with other random numbers and another order of the data, up to
            three times in a run.
    """

    steps: int = 10_000
    tick: int = 500
    keep: int = 2
    seed: int = 0
    precision: str = "float32"
    accumulate: int = 1
    on_nan: str = "stop"


@dataclasses.dataclass
class Metrics:
    """What to measure while training.

    Args:
        names: Metrics, see `tools/evaluate.py --help`. By the first one the best model is kept.
        every: Ticks between evaluations.
        extractor: The feature network: a path, or "own-small".
        samples: Images to generate each time.
        patience: Stop when this many evaluations in a row were no better; 0 for never.
    """

    names: list = dataclasses.field(default_factory=list)
    every: int = 1
    extractor: str | None = None
    samples: int = 10_000
    patience: int = 0


@dataclasses.dataclass
class Config:
    """A whole configuration.

    Args:
        architecture: Name of the model.
        model: Constructor arguments that differ from the paper's.
        optimizers: Player -> optimizer settings that differ from the paper's.
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
            name: Name of a file in configs/, or a path to one.
            section: "demo" or "tiny": the part of the file that replaces settings of the rest.
            changes: Texts "section.key=value", as `--set` takes them.
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
        """Builds and checks a configuration; `to_dict` gives the same tree back."""
        tree = copy.deepcopy(mapping("A configuration", tree))
        check_words("section", tree, [f.name for f in dataclasses.fields(cls)])
        if "architecture" not in tree:
            raise BadInput("A configuration says which model it is for: `architecture: gan`.")
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
                player: mapping(f"optimizers.{player}", given)
                for player, given in optimizers.items()
            },
            data=section_of(Data, "data", tree),
            train=section_of(Train, "train", tree),
            metrics=section_of(Metrics, "metrics", tree),
        )

    def to_dict(self) -> dict:
        """The configuration as plain lists and dicts, as YAML holds it."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def find(name) -> pathlib.Path:
    """The file of a configuration. Raises FileNotFoundError with the nearest name."""
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
    """The names of all configurations."""
    return sorted({path.stem for folder in CONFIGS for path in folder.glob("*.yaml")})


def differences(old: Config, new: Config) -> list:
    """Lines "key: old -> new" for each setting that differs, but for the length of the run."""
    flat = [flatten(config.to_dict()) for config in (old, new)]
    keys = [key for key in flat[0] | flat[1] if key != "train.steps"]
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
    """Puts `changes` into `tree`, dict by dict."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            merge(tree[key], value)
        else:
            tree[key] = value


def mapping(name, tree) -> dict:
    """`tree`, or an empty dict for None. Raises BadInput if it is anything else."""
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
    """Compares the type of a model's argument with that of its default, unless it is None."""
    if value is None:
        return
    if isinstance(default, (tuple, list)):
        check_type(key, value, (list, tuple))
        for part in value:
            check_argument(key, part, default[0])
        if key == "model.image_shape" and (len(value) != 3 or min(value) < 1):
            raise BadInput(f"{key} must be [height, width, channels], not {value!r:.80}.")
    elif isinstance(default, float):
        check_type(key, value, (float, int))
    elif isinstance(default, (bool, int, str)):
        check_type(key, value, (type(default),))


def section_of(cls, name, tree):
    """A dataclass from its section of the tree, its words and types checked."""
    given = mapping(name, tree.get(name))
    fields = {field.name: field for field in dataclasses.fields(cls)}
    check_words(f"setting in {name}:", given, fields)
    for word, value in given.items():
        key, kind = f"{name}.{word}", fields[word].type
        check_type(key, value, typing.get_args(kind) or (kind,))
        least, most = LIMITS.get(key, (-math.inf, math.inf))
        if key in LIMITS and not least <= value <= most:
            raise BadInput(f"{key} must be from {least} to {most}, not {value}.")
        if key in CHOICES and value not in CHOICES[key]:
            raise BadInput(nearest(key, value, CHOICES[key]))
        if key == "data.value_range" and value is not None:
            if [type(v) in (int, float) for v in value] != [True, True] or not value[0] < value[1]:
                raise BadInput(f"{key} must be [lowest, highest], not {value!r:.80}.")
    return cls(**given)


class Loader(yaml.SafeLoader):
    """YAML, but 1e-3 is a number as in version 1.2, not a text."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def parse(text: str | bytes, name="The text"):
    """YAML as dicts, lists, numbers and texts. `name` says in errors where it stands."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 (Loader is a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # of impossible dates: ValueError
        words = " ".join(str(error).split())
        raise BadInput(f"{name} cannot be understood as YAML: {words}") from None
