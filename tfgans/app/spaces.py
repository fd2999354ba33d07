"""Tabs for latent spaces: walks, mixed styles, edits, projection."""

import argparse
import re

import gradio as gr
import numpy as np

from tfgans import images, latents
from tfgans.app import controls, drawings
from tfgans.app.results import Results, printed, sentences
from tfgans.data.single import read
from tfgans.errors import BadInput, seed
from tfgans.latents import edits, find
from tfgans.models.latent import LatentModel

METHODS = {"projector": latents.Projector, "image2stylegan": latents.Image2StyleGAN}
LOOKS = 30  # states of a search that are shown
DIRECTIONS = 6  # of SeFa, where no file of edits is given
MOST_SEEDS = 12
REACH = 5.0  # of a slider to each side, in strengths
RATE = 24  # frames per second of a walk


def fits(model) -> bool:
    """True for a model that makes pictures from z, with a class at most."""
    if not isinstance(model, LatentModel) or model.makes != "image" or model.data_kind == "tokens":
        return False
    _, signature = model.endpoints()["serving_default"]
    return {spec.name for spec in signature} <= {"z", "label", "truncation"}


def seeds_of(text) -> list:
    """The seeds of a text, such as "0, 1, 5"."""
    words = re.split(r"[\s,]+", text.strip())
    try:
        found = [seed(word) for word in words]
    except argparse.ArgumentTypeError:
        raise BadInput(f"Seeds are whole numbers with commas between, not {text!r:.80}.") from None
    if len(found) > MOST_SEEDS:
        raise BadInput(f"At most {MOST_SEEDS} seeds, not {len(found)}.")
    return found


class Spaces:
    """The tabs of a model.

    Args:
        served: The page's `Served`.
    """

    def __init__(self, served):
        self.served, model = served, served.model
        _, signature = model.endpoints()["serving_default"]
        self.truncates = "truncation" in {spec.name for spec in signature}
        self.space = latents.Space(model, 0 if model.label_dim else None)

    def common(self, all_classes=controls.IN_TURN, truncates=True) -> dict:
        """Makes the controls of class and truncation, those that the model has.

        Args:
            all_classes: Name of the choice of no class.
            truncates: False for a tab that truncates nothing.
        """
        model, parts = self.served.model, {}
        if model.label_dim:
            all_classes = all_classes if self.space.has_styles else None
            parts["label"] = controls.class_list(model, model.label_dim, all_classes)
        if self.truncates and truncates:
            parts["truncation"] = controls.truncation_slider()
        return parts

    def named(self, values) -> dict:
        """The values of the controls of `common` by their names."""
        words = [("label", self.served.model.label_dim), ("truncation", self.truncates)]
        return dict(zip([word for word, there in words if there], values, strict=True))

    def given(self, label=None, truncation=None):
        """The space with the class, and the truncation, that the controls of `common` say."""
        return latents.Space(self.served.model, None if label == -1 else label), truncation

    def walk(self):
        kinds = [("great circles between z", "z")]
        if self.space.has_styles:
            kinds.append(("straight lines between w", "w"))
        if self.space.gaussian:
            kinds.append(("smoothed noise", "smooth"))

        def form():
            parts = {
                "kind": gr.Radio(kinds, value="z", label="Way"),
                "seeds": gr.Textbox("0, 1, 2, 3", label="Seeds of the stops"),
                "frames": gr.Slider(2, 60, value=24, step=1, label="Frames between two stops"),
            }
            return parts | self.common()

        def answer(folder, kind, seeds, frames, *rest):
            space, psi = self.given(**self.named(rest))
            ws = latents.walk(space, seeds_of(seeds), frames, kind, psi, smoothing=RATE)
            images.save_video(space.images(ws), path := folder / "walk.gif", RATE)
            return [path], f"{len(ws)} frames, {RATE} in a second."

        self.served.tab("Walk", form, answer, button="Walk")

    def mix(self):
        count = self.space.num_ws
        named = {"coarse": 0, "middle": 4, "fine": 8}
        layers = [name for name, first in named.items() if first < count]

        def form():
            info = "Each picture has the styles of its row, but these layers from its column."
            parts = {
                "rows": gr.Textbox("0, 1, 2", label="Seeds of the rows"),
                "columns": gr.Textbox("3, 4, 5, 6", label="Seeds of the columns"),
                "layers": gr.Dropdown(
                    layers, value=layers[0], allow_custom_value=True, info=info,
                    label=f"Layers from the column, also like 0-{count - 1}",
                ),
            }  # fmt: skip
            return parts | self.common()

        def answer(folder, rows, columns, layers, *rest):
            space, psi = self.given(**self.named(rest))
            layers = latents.layers_of(layers, space.num_ws)
            table = latents.mixing_table(space, seeds_of(rows), seeds_of(columns), layers, psi)
            images.save_grid(table, path := folder / "mix.png")
            return [path], ""

        self.served.tab("Mix styles", form, answer, button="Mix", quick=True)

    def edit(self, file):
        moves = self.moves(file)

        def form():
            parts = {"seeds": gr.Textbox("0, 1, 2, 3", label="Seeds")}
            for k, move in enumerate(moves):
                most = max(REACH, 3 * abs(move.strength))
                parts[f"edit{k}"] = gr.Slider(-most, most, value=0, step=most / 50, label=move.name)
            return parts | self.common()

        def answer(folder, seeds, *rest):
            moves = self.moves(file)  # of the snapshot in use
            strengths, rest = rest[: len(moves)], rest[len(moves) :]
            (space, psi), seeds = self.given(**self.named(rest)), seeds_of(seeds)
            z, label = space.z(seeds), space.labels(seeds)
            rows = [
                space.images(edits.apply(space, moves, z, label, psi, [values]))
                for values in ([0.0] * len(moves), strengths)
            ]
            images.save_grid(np.stack(rows), path := folder / "edit.png")
            return [path], "Above: as the seeds give them. Below: edited."

        if moves:
            self.served.tab("Edit", form, answer, button="Edit", quick=True)

    def moves(self, file):
        """The edits of a file; without one the first directions of SeFa, where it has some."""
        if file:
            return edits.load(file, self.space)
        space, _ = self.given(0 if self.served.model.label_dim else None)
        count = min(DIRECTIONS, *space.dims.values())
        try:
            found = find.UNSUPERVISED["sefa"](space, list(range(space.num_ws)), count)
        except BadInput:  # the model does not begin with a dense layer
            return []
        for k, move in enumerate(found):
            move.name = f"Direction {k + 1}"
        return found

    def project(self):
        """Search for the latents of an uploaded picture; it shows each state on its way."""
        served = self.served
        with gr.Tab("Project"), gr.Row():
            with gr.Column(scale=2):
                file = drawings.upload("Picture")
                method = gr.Radio([*METHODS], value="projector", label="Method")
                steps = gr.Slider(
                    50, 5000, value=300, step=50, label="Steps",
                    info="The papers take 1,000 for projector and 5,000 for image2stylegan.",
                )  # fmt: skip
                parts = self.common("all", truncates=False)
                with gr.Row():
                    start = gr.Button("Project", variant="primary")
                    stop = gr.Button("Stop")
            with gr.Column(scale=3):
                results = Results(served.sharp)

        def search(file, method, steps, label=None, progress=gr.Progress()):  # noqa: B008
            with sentences():
                if not file:
                    raise BadInput("Give a picture first.")
                space, _ = self.given(label)
                with printed() as said:
                    target = read(file, space.model.image_shape)[None]
                found, folder = METHODS[method](space, target, steps=steps), served.folders.new()
                every = max(steps // LOOKS, 1)
                while found.step < steps:
                    progress((found.step, steps), desc="Projecting", unit="steps")
                    goal = min(found.step + every, steps)
                    found.run(None, every, stop=lambda: found.step >= goal)  # noqa: B023
                    image = space.synthesize(found.ws, found.noise).numpy()
                    files = [folder / f"{found.step}.png"]
                    images.save_grid(images.table(target, image), files[0])
                    note = f"Left: the picture. Right: step {found.step:,} of {steps:,}. "
                    distance = found.history[-1][2].mean()
                    note += f"Distance: {distance:.4f}, {found.measure}."
                    if found.step == steps:
                        np.savez(folder / "latents.npz", ws=found.ws)
                        files.append(folder / "latents.npz")
                    yield results.of(files, " ".join([note, *said]))

        event = start.click(
            search, [file, method, steps, *parts.values()], results.parts,
            api_name="project", concurrency_id="model",
        )  # fmt: skip
        stop.click(None, None, None, cancels=[event], api_visibility="private")

    def show(self, file):
        """Builds all tabs that this model has.

        Args:
            file: YAML file of edits, or None.
        """
        self.walk()
        if self.space.num_ws > 1:
            self.mix()
        self.edit(file)
        self.project()
