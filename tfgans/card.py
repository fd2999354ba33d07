"""The model card of a release on a hub: made of its run's settings, data, steps and metrics.

A card is public, so paths of this machine are cut to their last part, and of callbacks only the
classes are named: their arguments may hold keys.
"""

import inspect
import pathlib
import re
import tempfile

import yaml

from tfgans import catalog, config, images, labels, metrics, models, use
from tfgans.errors import quoted
from tfgans.hub import ADDRESS
from tfgans.models.latent import LatentModel
from tfgans.models.translation import TranslationModel
from tfgans.version import __version__

PICTURE = "samples.png"
HUB_SET = re.compile(r"hf:(\w[\w.-]*/[\w.-]+)(:[\w.-]+)?(@.+)?")
SAMPLES = 16  # images in the picture
TASKS = ((LatentModel, "unconditional-image-generation"), (TranslationModel, "image-to-image"))


def run_of(name) -> pathlib.Path | None:
    """The folder of the run that a model comes from; None for a release or a lone file."""
    path = pathlib.Path(name).expanduser()
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "config.yaml").is_file() and (folder / "snapshots").is_dir():
            return folder
    return None


def picture(model, run) -> bytes | None:
    """The last sample grid of the run, else a grid of samples, as PNG; None where neither is."""
    grids = sorted((run / "samples").glob("[0-9]*.png")) if run else []
    if grids:
        return grids[-1].read_bytes()
    if isinstance(model, LatentModel) and not model.condition_dim:
        sampled = model.sample(SAMPLES, seed=0)
        if sampled.ndim == 4:  # images
            with tempfile.TemporaryDirectory() as folder:
                images.save_grid(sampled, pathlib.Path(folder) / PICTURE)
                return (pathlib.Path(folder) / PICTURE).read_bytes()
    return None


def card(model, repository: str, run=None, with_picture: bool = True) -> str:
    """The text of README.md in a repository of the hub.

    Args:
        model: The model of the release.
        repository: USER/MODEL.
        run: Folder of the run; without it settings are those of the model, and there are no data.
        with_picture: The card shows `PICTURE`, which is beside it.
    """
    kind, address = type(model), f"{ADDRESS}{repository}"
    name = next(word for word, known in models.MODELS.items() if known is kind)
    short, title, link = catalog.paper_of(kind)
    idea = inspect.getdoc(inspect.getmodule(kind)).split("\n\n")[1]
    settings = settings_of(model, name, run)
    path = settings.get("data", {}).get("path")
    command = re.sub(r"python tools/(\w+)\.py", r"tfgans \1", use.command(model, address))
    head = {
        "library_name": "tfgans",
        "tags": ["tfgans", "keras", "tensorflow", "gan", name],
        "pipeline_tag": next((task for base, task in TASKS if issubclass(kind, base)), None),
        "datasets": [hub_set(path)] if hub_set(path) else None,
    }
    head = {word: value for word, value in head.items() if value}
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {repository}",
        f"{short}: {f'[{title}]({link})' if link else title}. {idea}",
    ]
    if with_picture:
        parts.append(f"![Images that the model makes; none is a photograph]({PICTURE})")
    parts += [
        "## Use",
        f'```\npip install "tfgans[hf]"\n{command}\n```',
        f'```python\nimport tfgans\n\nmodel = tfgans.models.load("{address}")\n```',
        *named(model, address),
        "## Training",
        training(model, run, path),
        f"```yaml\n{yaml.safe_dump(settings, sort_keys=False)}```",
        *measured(model, run),
        "## License",
        "This card names none: the license is that of whoever trained the model, and of the data.",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def named(model, address) -> list:
    """A sentence on the names of the labels; none where nobody knows them."""
    if not model.label_names:
        return []
    names = ", ".join(f"{k} {name}" for k, name in enumerate(model.label_names))
    told = f"The {model.label_kind} by their numbers: {names}."
    if "sample" in model.endpoints() and model.label_kind == "classes":
        one = quoted("tfgans", "sample", address, "--label", model.label_names[-1])
        told += f" One of them alone: `{one}`"
    return [told]


def training(model, run, path) -> str:
    """One sentence on length and data."""
    steps = f"{int(model.step.numpy()):,} steps with tfgans {__version__}"
    if run is None:
        return f"{steps}; a release does not say on which data. The settings of the model:"
    told = ""
    if facts := labels.kept_facts(run):
        counts = " and ".join(f"{count:,}" for count in facts["images"])
        classes = f"; classes: {', '.join(facts['classes'])}" if facts["classes"] else ""
        told = f" ({counts} examples{classes})"
    return f"{steps} on `{path}`{told}. All settings:"


def settings_of(model, name, run) -> dict:
    """The settings of the run, or those of the model, without what is private."""
    if run is None:
        known = model.get_config()
        own = {k: v for k, v in known.items() if k not in ("name", "dtype", "trainable")}
        return public({"architecture": name, "model": own})
    settings = config.Config.load(run / "config.yaml").to_dict()
    watchers = settings["train"]["callbacks"]
    settings["train"]["callbacks"] = [{"class": watcher["class"]} for watcher in watchers]
    return public(settings)


def public(value):
    """Settings with only the last part of each path of this machine."""
    if isinstance(value, dict):
        return {word: public(part) for word, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [public(part) for part in value]
    local = isinstance(value, str) and "/" in value and not value.startswith("tfds:")
    return pathlib.Path(value).name if local and not hub_set(value) else value


def hub_set(path) -> str | None:
    """The repository of a set of the hub, such as hf:USER/NAME; None for all else."""
    found = HUB_SET.fullmatch(str(path))
    return found[1] if found and not pathlib.Path(found[1]).exists() else None


def measured(model, run) -> list:
    """The last metrics of the run up to the model's step, and their protocol; none: no parts."""
    step = int(model.step.numpy())
    found = sorted((run / "metrics").glob("[0-9]*.json")) if run else []
    found = [path for path in found if int(path.stem) <= step]
    if not found:
        return []
    result = metrics.read_result(found[-1])
    protocol = result["protocol"]
    rows = [
        f"| {name} | {value['mean']:.5g} | {value['std'] or 0:.2g} |"
        for name, value in result["values"].items()
    ]
    features = f"; features of {protocol['extractor']}" if protocol["extractor"] else ""
    told = (
        f"At step {int(found[-1].stem):,}, {protocol['generated_images']:,} generated against "
        f"{protocol['real_images']:,} real images, {len(protocol['seeds'])} seeds{features}."
    )
    table = ["| metric | mean | deviation |", "|---|---|---|", *rows]
    return ["## Measured", " ".join([told, *result["notes"]]), "\n".join(table)]
