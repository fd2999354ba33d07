"""One YAML file per run: which model, which data, how long. Strict: an unknown word is an error.

The numbers of a paper live in the constructor of its model; a configuration holds the data, the
length of the run, and only those settings in which the run departs from the paper.
"""

import copy
import dataclasses
import inspect
import pathlib
import re

import yaml

from tfgans.errors import BadInput, nearest

PACKAGE = pathlib.Path(__file__).resolve().parent
CONFIGS = (PACKAGE.parent / "configs", PACKAGE / "configs")  # in a clone, in an installation


@dataclasses.dataclass
class Data:
    """What to train on.

    Args:
        path: A folder, zip, TFRecord, IDX, CIFAR or NumPy path, or "synthetic".
        batch_size: Images per update, over all replicas together.
        labels: Read labels too; the model is then conditional on them.
        flip: Mirror every second image at random; both images of a pair.
        jitter: Make images this many pixels higher and wider than the model wants them, and cut a
            window at random; the same one out of both images of a pair.
        direction: "a_to_b" or "b_to_a": which image of a pair is the input, which the target.
        broken: What to do with an unreadable image: "skip" reports it and takes the next one,
            "fail" stops the run.
        value_range: [lowest, highest] value of the stored pixels, needed for float arrays only.
    """

    path: str | None = None
    batch_size: int = 64
    labels: bool = False
    flip: bool = False
    jitter: int = 0
    direction: str = "a_to_b"
    broken: str = "skip"
    value_range: list | None = None


@dataclasses.dataclass
class Train:
    """How long to train, and how.

    Args:
        steps: Length of the run. A step is one call of `train_step`.
        tick: Steps between log line, sample grid and snapshot.
        keep: How many snapshots to keep.
        seed: Of the weights, the data order and all noise.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        on_nan: When a loss or a weight is no number any more, "stop", or "reload": go back to the
            last snapshot and on with other random numbers and another order of the data, up to
            three times in a run.
    """

    steps: int = 10_000
    tick: int = 500
    keep: int = 2
    seed: int = 0
    precision: str = "float32"
    on_nan: str = "stop"


@dataclasses.dataclass
class Config:
    """A whole configuration.

    Args:
        architecture: Name of the model.
        model: Constructor arguments that differ from the paper's.
        optimizers: Player -> optimizer settings that differ from the paper's.
        data: See `Data`.
        train: See `Train`.
    """

    architecture: str
    model: dict = dataclasses.field(default_factory=dict)
    optimizers: dict = dataclasses.field(default_factory=dict)
    data: Data = dataclasses.field(default_factory=Data)
    train: Train = dataclasses.field(default_factory=Train)

    @classmethod
    def load(cls, name, section: str | None = None, changes=()) -> "Config":
        """Reads a configuration.

        Args:
            name: Name of a file in configs/, or a path to one.
            section: "demo" or "tiny": the part of the file that replaces settings of the rest.
            changes: Texts "section.key=value", as `--set` takes them.
        """
        tree = parse(find(name).read_text())
        sections = {word: tree.pop(word, None) for word in ("demo", "tiny")}
        if section:
            if sections[section] is None:
                raise BadInput(f"{find(name)} has no section {section!r}.")
            merge(tree, sections[section])
        for change in changes:
            key, equals, value = change.partition("=")
            if not equals:
                raise BadInput(f"--set takes section.key=value, not {change!r}.")
            for word in reversed(key.split(".")):
                value = {word: parse(value) if isinstance(value, str) else value}
            merge(tree, value)
        return cls.from_dict(tree)

    @classmethod
    def from_dict(cls, tree: dict) -> "Config":
        """Builds and checks a configuration; `to_dict` gives the same tree back."""
        from tfgans.models import get  # the models import nothing of this module

        tree = copy.deepcopy(tree)
        check_words("section", tree, [f.name for f in dataclasses.fields(cls)])
        if "architecture" not in tree:
            raise BadInput("A configuration says which model it is for: `architecture: gan`.")
        arguments = inspect.signature(get(tree["architecture"]).__init__).parameters
        known = [word for word in arguments if word not in ("self", "kwargs")]
        model = tree.get("model") or {}
        check_words(f"argument of {tree['architecture']}", model, known)
        return cls(
            architecture=tree["architecture"],
            model=model,
            optimizers=tree.get("optimizers") or {},
            data=section_of(Data, "data", tree),
            train=section_of(Train, "train", tree),
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
    for word in (str(name).lower(), str(name).lower().replace("-", "_")):
        if word in files:
            return files[word]
    raise FileNotFoundError(nearest("configuration", str(name), files))


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


def check_words(kind, given, known):
    for word in given:
        if word not in known:
            raise BadInput(nearest(kind, word, known))


def section_of(cls, name, tree):
    """A dataclass from its section of the tree, its words and types checked."""
    given = tree.get(name) or {}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    check_words(f"setting in {name}:", given, fields)
    for word, value in given.items():
        kind = type(fields[word].default)
        if kind in (int, bool, str) and type(value) is not kind:
            raise BadInput(f"{name}.{word} must be {kind.__name__}, not {value!r}.")
    return cls(**given)


class Loader(yaml.SafeLoader):
    """YAML, but 1e-3 is a number as in version 1.2, not a text."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def parse(text: str):
    return yaml.load(text, Loader)  # noqa: S506 (Loader is a SafeLoader)
