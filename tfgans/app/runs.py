"""The tab of a run: its curves and newest samples, read again every few seconds."""

import pathlib
import time

import gradio as gr

from tfgans import storage
from tfgans.app.results import caption, gallery
from tfgans.callbacks import read_rows
from tfgans.config import Config

EVERY = 5.0  # seconds between two looks
CURVES = ("curves.png", "metrics.png")
END = 2**62  # above the number of any step


def is_run(path) -> bool:
    """True for the folder of a run, with or without snapshots."""
    return (pathlib.Path(path).expanduser() / "config.yaml").is_file()


def curves(run) -> list:
    """The pictures that the run draws of its losses and of its metrics, as far as there are any."""
    return [str(path) for name in CURVES if (path := run / name).is_file()]


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

    def look():
        text = text_of(run)
        return state(served), curves(run), samples(run), gr.Textbox(text, visible=bool(text))

    def load():
        served.load()
        return look()

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
                drawn = gallery("Losses", sharp=False)
            with gr.Column(scale=2):
                pictures = gallery("Samples", served.sharp)
                text = gr.Textbox(label="Sample", visible=False, lines=12)
        event = look, None, [line, drawn, pictures, text]
        options = {"api_visibility": "private", "show_progress": "hidden"}
        gr.Timer(EVERY).tick(*event, **options)
        newest.click(load, *event[1:], api_visibility="private", concurrency_id="model")
    return event
