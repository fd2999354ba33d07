"""All models in a list or a table, and one configuration with its sizes.

`python -m tfgans.catalog > docs/models.md` writes the table anew.
"""

import ast
import inspect
import math
import pathlib
import re
import textwrap

import tensorflow as tf

from tfgans import config, data, memory, models, training

ROOT = pathlib.Path(__file__).parents[1]
FAMILIES = {  # kind of data -> heading
    "images": "Images from latent vectors",
    "semi_labeled": "Images and classes, with few labels",
    "partly_labeled": "Images from latent vectors, with some labels or none",
    "labeled_shift": "Classes, learned from labels of another domain",
    "groups": "Images in parts, learned from pairs of one group or two",
    "single": "Images from one image",
    "paired": "Images from images, learned from pairs",
    "degraded": "Images from damaged ones",
    "label_maps": "Images from label maps",
    "captions": "Images from sentences",
    "outfits": "Photographs changed by sentences",
    "unpaired": "Images from images, learned without pairs",
    "attribute_sets": "Images with other attributes",
    "domains": "Images from images of any number of domains, learned without pairs",
    "instance_masks": "Images and masks from images and masks, learned without pairs",
    "tokens": "Sequences",
    "audio": "Clean speech from noisy speech",
    "video": "Films",
}


def paper_of(model) -> tuple:
    """(name, title, link or None) of a model's paper, from the docstring of its file.

    Its first line is "Name — Title."; an arXiv id stands in it where there is one.
    """
    doc = inspect.getmodule(model).__doc__
    name, title = doc.splitlines()[0].rstrip(".").split(" — ", 1)
    found = re.search(r"arXiv:(\d{4}\.\d{4,5})", doc)
    return name, title, found and f"https://arxiv.org/abs/{found[1]}"


def configurations() -> dict:
    """{model: the names of all its configurations, its own first}."""
    found = {name: [] for name in models.MODELS}
    for word in config.names():
        found[config.Config.load(word).architecture].append(word)
    return {
        name: sorted(words, key=lambda word: (word != name, word)) for name, words in found.items()
    }


def catalog() -> str:
    """All models: name, paper, kind of data, and their configurations."""
    lines, names_of = [], configurations()
    for name, model in models.MODELS.items():
        _, title, link = paper_of(model)
        paper = f", {link}" if link else ""
        settings = " ".join(names_of[name])
        lines.append(f"{name}: {title}{paper}; data: {model.data_kind}")
        lines.append(textwrap.fill(settings, 100, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


def table() -> str:
    """docs/models.md: a table of the models of each family."""
    lines = [
        "# Models",
        "",
        f"{len(models.MODELS)} models with {len(config.names())} configurations. Each name is that "
        "of the model's file,",
        "of its configuration, of its test and of its command, `python tools/train.py NAME`. The "
        "last column",
        "says by which numbers its implementation is checked. (Written by "
        "`python -m tfgans.catalog`.)",
    ]
    names_of = configurations()
    kinds = [*FAMILIES, *sorted({m.data_kind for m in models.MODELS.values()} - {*FAMILIES})]
    for kind in kinds:
        rows = [
            row(name, m, names_of[name]) for name, m in models.MODELS.items() if m.data_kind == kind
        ]
        if rows:
            lines += ["", f"## {FAMILIES.get(kind, kind)}", "", f"Data of the kind `{kind}`.", ""]
            lines += ["| model | paper | configurations | checked |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def row(name, model, names) -> str:
    """One line of the table, with the names of the model's configurations."""
    short, title, link = paper_of(model)
    paper = f"[{title}]({link})" if link else title
    configs = ", ".join(f"[{word}](../configs/{word}.yaml)" for word in names)
    test = ROOT / "tests" / "models" / f"test_{name}.py"
    checked = ast.get_docstring(ast.parse(test.read_text("utf-8"))).splitlines()[0]
    checked = checked.split(": ", 1)[-1].rstrip(".")
    return f"| [`{name}`](../tfgans/models/{name}.py) {short} | {paper} | {configs} | {checked} |"


def describe(settings: config.Config) -> str:
    """The resolved configuration, the size of each network, and an estimate of the memory."""
    source = training.resolve(settings)
    model = training.build(settings)
    lines = [settings.to_yaml(), "Trainable parameters:"]
    for player, networks in model.players().items():
        for network in networks:
            count = sum(math.prod(w.shape) for w in network.trainable_variables)
            lines.append(f"  {player}: {network.name}: {count:,}")
    n = settings.data.batch_size * model.batches_per_step

    def batch(stage):
        one = data.reader(model, source, settings.data, stage).signature
        return {name: tf.TensorSpec([n, *spec.shape], spec.dtype) for name, spec in one.items()}

    need = memory.training_memory(model, batch)
    lines.append(
        f"Memory of a process on a CPU, estimated: {need.process / 1e9:.2f} GB: "
        f"{memory.PROCESS / 1e9:.2f} GB TensorFlow, "
        f"{need.stored / 1e9:.2f} GB weights, averages and optimizers, "
        f"{need.operations * memory.OPERATION / 1e9:.2f} GB graphs, "
        f"{need.filters / 1e9:.2f} GB copies of filters, "
        f"{memory.SPARE * need.step / 1e9:.2f} GB for a step of {n} images. "
        f"Of an accelerator alone: {(need.stored + need.step) / 1e9:.2f} GB and some workspace. "
        "Less: train.accumulate, data.batch_size, or a smaller width in model."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(), end="")
