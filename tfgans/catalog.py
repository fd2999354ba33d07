"""All models in a list, and one configuration with its sizes."""

import inspect
import math
import re
import textwrap

import tensorflow as tf

from tfgans import config, data, memory, models, training


def catalog() -> str:
    """All models: name, paper, kind of data, and their configurations."""
    configs = {name: config.Config.load(name).architecture for name in config.names()}
    lines = []
    for name, model in models.MODELS.items():
        doc = inspect.getmodule(model).__doc__
        title = doc.splitlines()[0].split(" — ")[1].rstrip(".")
        paper = re.search(r"arXiv:\d{4}\.\d{4,5}", doc)[0]
        settings = " ".join(c for c, architecture in configs.items() if architecture == name)
        lines.append(f"{name}: {title}, {paper}; data: {model.data_kind}")
        lines.append(textwrap.fill(settings, 100, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


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
    batch = {
        name: tf.TensorSpec([n, *spec.shape], spec.dtype)
        for name, spec in data.reader(
            model, source, settings.data, len(model.stage_steps)
        ).signature.items()
    }
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
