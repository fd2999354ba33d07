"""The tab of a run: its curves and newest samples, read again every few seconds."""

import math
import pathlib
import time

import gradio as gr
import pandas as pd

from tfgans import storage
from tfgans.app.results import caption, gallery
from tfgans.callbacks import read_rows
from tfgans.config import Config

EVERY = 5.0  # seconds between two looks
TABLES = ("log.csv", "metrics.csv")
POINTS = 500  # of a curve, at most
END = 2**62  # above the number of any step


def is_run(path) -> bool:
    """True for the folder of a run, with or without snapshots."""
    return (pathlib.Path(path).expanduser() / "config.yaml").is_file()


def curves(run) -> dict:
    """Name -> points (step, value) of each loss term, norm and metric, in the order of the log.

    A long run gives every k-th point; those that are not finite are left out.
    """
    found = {}
    for table in TABLES:
        rows = read_rows(run / table, END)
        for row in rows[:: -(-len(rows) // POINTS) or 1]:
            for name in row:
                if "/" in name and math.isfinite(value := float(row[name])):
                    found.setdefault(name, []).append((int(row["step"]), value))
    return found


def first_shown(names) -> list:
    """The curves that a page shows until a person chooses others: the terms of the losses."""
    return [name for name in names if not name.endswith("/gradient")]


def drawn(found, chosen) -> pd.DataFrame:
    """The points of the chosen curves as rows of step, value and curve."""
    rows = [(*point, name) for name in chosen for point in found.get(name, ())]
    return pd.DataFrame(rows, columns=["step", "value", "curve"])


def samples(run) -> list:
    """The newest samples and the real ones: (path, name) of pictures, or of films."""
    folder = run / "samples"
    found = sorted(folder.glob("[0-9]*.gif")) or sorted(folder.glob("[0-9]*.png"))
    real = [path for path in (folder / "real.gif", folder / "real.png") if path.is_file()]
    pictures = [(str(found[-1]), f"step {int(found[-1].stem):,}")] if found else []
    return pictures + [(str(path), caption(path)) for path in real[:1]]


def text_of(run) -> str:
    """The newest sample that is a text."""
    found = sorted((run / "samples").glob("[0-9]*.txt"))
    return found[-1].read_text(encoding="utf-8") if found else ""


def state(served) -> str:
    """A line about a run, and the snapshot that is in use."""
    run = served.run
    steps = Config.load(run / "config.yaml").train.steps
    log, saved = run / "log.csv", storage.snapshots(run)
    rows = read_rows(log, END)
    if not rows:
        return f"No tick yet, of {steps:,} steps."
    ago = clock(time.time() - log.stat().st_mtime)
    newest = f"step {int(saved[-1].stem):,}" if saved else "none yet"
    line = f"**Step {int(rows[-1]['step']):,} of {steps:,}**, {ago} ago. Newest snapshot: {newest}."
    if served.model is None:
        return line
    return f"{line} The other tabs use step {int(served.model.step.numpy()):,}."


def clock(seconds) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def show(served):
    """Builds the tab; returns the function that reads the run, its inputs and its outputs."""
    run = served.run

    def look(chosen, known):
        text, found = text_of(run), curves(run)
        names, menu = list(found), gr.skip()
        if names != known:  # else an open menu would close
            chosen = [name for name in chosen if name in names] or first_shown(names)
            menu = gr.Dropdown(names, value=chosen, multiselect=True)
        points = drawn(found, chosen)
        return (
            state(served),
            menu,
            names,
            gr.LinePlot(points, visible=len(points) > 0),
            samples(run),
            gr.Textbox(text, visible=bool(text)),
        )

    def load(chosen, known):
        served.load()
        return look(chosen, known)

    with gr.Tab("Training"):
        with gr.Row():
            line = gr.Markdown()
            newest = gr.Button(
                "Use the newest snapshot",
                size="sm",
                scale=0,
                min_width=220,
                visible=served.model is not None,
            )
        with gr.Row():
            with gr.Column(scale=3):
                menu = gr.Dropdown([], value=[], multiselect=True, label="Curves")
                names = gr.State([])
                plot = gr.LinePlot(
                    x="step",
                    y="value",
                    color="curve",
                    label="Losses and metrics",
                    elem_classes="curves",
                )
            with gr.Column(scale=2):
                pictures = gallery("Samples", served.sharp)
                text = gr.Textbox(label="Sample", visible=False, lines=12)
        event = look, [menu, names], [line, menu, names, plot, pictures, text]
        options = {"api_visibility": "private", "show_progress": "hidden"}
        gr.Timer(EVERY).tick(*event, **options)
        menu.input(*event, **options)
        newest.click(load, *event[1:], api_visibility="private", concurrency_id="model")
    return event
