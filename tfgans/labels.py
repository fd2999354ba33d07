"""Names of a model's classes, or of its attributes, of which several may hold at once.

A run has them from its data: data.json holds the classes, config.yaml the attributes. A release
keeps them in `labels.json` beside its model: {"classes": ["bag", "boot"]} or {"attributes": [...]}.
`tfgans.models.load` gives them to the model as `label_names` and `label_kind`. An older release
has none.
"""

import json
import pathlib

import yaml

from tfgans import durable
from tfgans.errors import BadInput

FILE = "labels.json"
LISTED = 20  # names in a message


def of_file(path) -> tuple:
    """Names and kind of the labels of the model in a `.keras` file, by its path.

    Returns:
        A tuple of names, empty where nobody knows them; "classes" or "attributes".
    """
    path = pathlib.Path(path)
    if (path.parent / FILE).is_file():
        found = json.loads((path.parent / FILE).read_text(encoding="utf-8"))
        return next(((tuple(names), kind) for kind, names in found.items()), ((), "classes"))
    return of_run(path.parent.parent) if path.parent.name == "snapshots" else ((), "classes")


def of_run(run) -> tuple:
    """The same of the folder of a run."""
    settings = pathlib.Path(run) / "config.yaml"
    if settings.is_file():
        parts = yaml.safe_load(settings.read_text(encoding="utf-8"))
        if attributes := (parts.get("data") or {}).get("attributes"):
            return tuple(attributes), "attributes"
    facts = kept_facts(run)
    return tuple(facts["classes"] if facts else ()), "classes"


def kept_facts(run) -> dict | None:
    """The facts of its data that a run has kept, as `resuming.facts_of` gives them.

    None for a new run, or one of version 0.2 or older.
    """
    path = pathlib.Path(run) / "data.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(model, folder):
    """Writes the names that a model has to a folder."""
    if model.label_names:
        names = {model.label_kind: list(model.label_names)}
        durable.write_text(pathlib.Path(folder) / FILE, json.dumps(names, indent=1) + "\n")


def number(model, word) -> int:
    """The number of a class or attribute of a model, by a word: its name, or its number as it is.

    Small and capital letters are the same, unless two names differ by them alone.

    Raises:
        BadInput: There is no such name; the message has the names that there are.
    """
    if isinstance(word, int):
        return word
    names = list(getattr(model, "label_names", ()))
    if word in names:
        return names.index(word)
    alike = [k for k, name in enumerate(names) if name.casefold() == word.casefold()]
    if len(alike) == 1:
        return alike[0]
    if not names:
        raise BadInput(f"{word!r:.40} is no number, and this model knows no names of its labels.")
    shown = ", ".join(f"{k} {name:.40}" for k, name in enumerate(names[:LISTED]))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    raise BadInput(f"No label is {word!r:.40}. Give a number or a name: {shown}{more}.")
