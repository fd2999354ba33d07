"""Inputs of a use as controls of a page, and their values as the words of `tfgans.use.call`.

`KINDS` has two functions for each kind of control. The first one makes its components, as a dict of
names; the second one turns their values into words, files among them written to a folder.
"""

import html

import gradio as gr
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.app import drawings
from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.use import IMAGES

MOST = 36  # results of one click
DRAWN = ("z", "u")  # inputs that a seed gives
FOR_PROGRAMS = ("uint8", "mapping")  # endpoints that give a person nothing to see
NAMED = {  # input of an endpoint -> its kind
    "label": "class",
    "truncation": "truncation",
    "condition": "sentence",
    "map": "board",
    "instances": "board",
    "masks": "pictures",
    "wave": "sound",
    "tokens": "text",
}
AT_ONCE = {"seed", "count", "drawn", "class", "truncation", "number", "words"}  # have a value
FEW = 24  # attributes that stand side by side; of more there is a list
IN_TURN = "each in turn"
LABELS = {
    "n": "Number",
    "label": "Class",
    "condition": "Sentence",
    "image": "Picture",
    "style": "Picture that gives the style",
    "video": "Film (GIF or MP4)",
    "wave": "Sound (WAV)",
    "masks": "Masks, a file each",
    "tokens": "Sequences, one in a line",
}


def label_of(word) -> str:
    """The name of an input for people."""
    return LABELS.get(word, word.replace("_", " ").capitalize())


def kind_of(model, use, word):
    """The kind of control for an input, a key of `KINDS`; None where a person cannot give it."""
    given = use.inputs[word]
    if not isinstance(given, tf.TensorSpec):  # the default of a method
        if word in IMAGES:
            return "picture"
        return "seed" if word == "seed" else "words" if isinstance(given, tuple) else "number"
    if word in DRAWN:
        return "drawn"
    if given.shape.rank == 0:
        return "seed" if word == "seed" else "count"
    if word == "condition" and not hasattr(model, "condition_vectors"):
        return None
    if word == "label" and "image" in use.inputs:
        return "attributes"
    if word in ("image", "mask") and "mask" in use.inputs:
        return "painted"
    if word in NAMED:
        return NAMED[word]
    if given.dtype.is_integer and given.shape.rank == 1:
        return "number"
    return {4: "picture", 5: "film"}.get(given.shape.rank)


def offered(model, uses) -> dict:
    """The uses that a page offers: those whose inputs a person can give, each once."""
    return {
        name: use
        for name, use in uses.items()
        if name not in FOR_PROGRAMS
        and all(kind_of(model, use, word) for word in use.inputs)
        and not is_covered(name, uses)
    }


def is_covered(name, uses) -> bool:
    """True for an endpoint that another one covers.

    Those are `sample` beside the one of z, and `serving_default` beside the same use by its name.
    """
    main = uses.get("serving_default")
    if main is None or name not in ("sample", "serving_default"):
        return False
    if name == "sample":
        return not uses[name].kind and any(word in main.inputs for word in DRAWN)
    others = [use for other, use in uses.items() if other != name]
    own = given_words(main)
    return not own & {*DRAWN} and any(given_words(use) == own for use in others)


def given_words(use) -> set:
    """The inputs of a use without seeds and numbers."""
    scalar = [w for w, x in use.inputs.items() if isinstance(x, tf.TensorSpec) and not x.shape.rank]
    return {*use.inputs} - {*scalar}


class Form:
    """The controls of a use.

    Args:
        model: The model.
        use: Its `Use`.

    Attributes:
        kinds: Input of the use -> its kind.
        parts: Name -> component, made by `show`.
    """

    def __init__(self, model, use):
        self.inputs, self.parts = use.inputs, {}
        self.kinds = {word: kind_of(model, use, word) for word in use.inputs}
        if model.label_kind == "attributes":
            self.kinds |= {w: "attributes" for w, kind in self.kinds.items() if kind == "class"}

    @property
    def at_once(self) -> bool:
        """True if no control waits for a file, a drawing or a text."""
        return {*self.kinds.values()} <= AT_ONCE

    def show(self, model) -> dict:
        """Makes the components inside of the page that is being built; gives `parts`."""
        done = set()
        for word, kind in self.kinds.items():
            if kind not in ("board", "painted") or kind not in done:  # one for two inputs
                self.parts |= KINDS[kind][0](model, self, word)
            done.add(kind)
        return self.parts

    def words(self, model, values, folder) -> dict:
        """The words for `use.call`.

        Args:
            model: The model.
            values: Name of a part -> its value.
            folder: Where files for this request may be written.
        """
        for word, value in values.items():
            if value is None or value == "":
                raise BadInput(f"{label_of(word)}: this is still missing.")
        found = {}
        for word, kind in self.kinds.items():
            found |= KINDS[kind][1](model, self, word, values, folder)
        return {word: text for word, text in found.items() if word in self.inputs}


def plain(model, form, word, values, folder):
    return {word: str(values[word])}


def seed(model, form, word):
    return {"seed": gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**32 - 1)}


def count(model, form, word):
    if word == "frames":
        return {word: gr.Slider(1, 64, value=8, step=1, label="Frames")}
    sides = getattr(model, "image_shape", [0])[:2]
    many = form.at_once and max(sides) <= 64 and getattr(model, "makes", "image") == "image"
    return {word: gr.Slider(1, MOST, value=16 if many else 4, step=1, label=label_of(word))}


def drawn(model, form, word):
    return seed(model, form, "seed") | count(model, form, "n")


def draw(model, form, word, values, folder):
    """The file of the vectors of a seed, as `sample` draws them where the model has its own way."""
    n, size, random_state = values["n"], form.inputs[word].shape[1:], values["seed"]
    if word == "u":
        found = np.random.RandomState(random_state).rand(n, *size)
    elif isinstance(model, LatentModel):
        with random.scope(random_state):
            found = model.latents(n)
    else:
        found = np.random.RandomState(random_state).randn(n, *size)
    np.save(path := folder / f"{word}.npy", np.asarray(found, "float32"))
    return {word: str(path)}


def class_of_all(model, form, word):
    return {word: class_list(model, form.inputs[word].shape[1])}


def class_list(model, number, none=IN_TURN):
    """A list of classes; its value is a number, or -1 for no class, where that has a name."""
    choices = choices_of(model, number)
    choices = [(none, -1), *choices] if none else choices
    return gr.Dropdown(choices, value=choices[0][1], label=label_of("label"))


def choices_of(model, number) -> list:
    """(name, number) of each class or attribute; of one without a name its number."""
    names = model.label_names if len(model.label_names) == number else range(number)
    return [(str(name), k) for k, name in enumerate(names)]


def classes(model, form, word, values, folder):
    chosen, number = values[word], form.inputs[word].shape[1]
    found = [k % number for k in range(values["n"])] if chosen == -1 else [chosen]
    return {word: ",".join(map(str, found))}


def attributes(model, form, word):
    choices = choices_of(model, form.inputs[word].shape[1])
    label = "Attributes or classes of the result"
    if len(choices) > FEW:
        return {word: gr.Dropdown(choices, value=[0], multiselect=True, label=label)}
    return {word: gr.CheckboxGroup(choices, value=[0], label=label)}


def vector(model, form, word, values, folder):
    label = np.zeros([1, form.inputs[word].shape[1]], "float32")
    label[0, values[word]] = 1.0
    np.save(path := folder / f"{word}.npy", label)
    return {word: str(path)}


def truncation(model, form, word):
    return {word: truncation_slider()}


def truncation_slider():
    info = "1 is the full variety; below 1 results are more alike and often cleaner."
    return gr.Slider(0, 1.5, value=1, step=0.05, label="Variety (truncation)", info=info)


def sentence(model, form, word):
    known = f"Some known words: {', '.join(sorted(model.words)[:30])}." if model.words else None
    return {word: gr.Textbox(label=label_of(word), max_length=1000, info=known)}


def condition(model, form, word, values, folder):
    np.save(path := folder / f"{word}.npy", model.condition_vectors([values[word]]))
    return {word: str(path)}


def board(model, form, word):
    height, width = drawings.enlarged(*form.inputs[word].shape[1:])
    colors = drawings.colors_of(model)
    inks = ["#" + bytes(color).hex() for color in colors]
    gr.HTML(legend(drawings.names_of(model), inks))
    start = np.tile(colors[0], [height, width, 1])
    made = drawings.board(
        value={"background": start, "layers": [], "composite": start},
        label="Drawing",
        canvas_size=(width, height),
        fixed_canvas=True,
        brush=gr.Brush(width // 12, inks, default_color=inks[-1], color_mode="fixed"),
        height=470,
        placeholder="Draw with the brush and the colors of the classes",
    )
    return {"board": made}


def legend(names, inks) -> str:
    """Classes with their colors, as HTML."""
    chips = [
        f'<span class="chip"><i style="background:{ink}"></i>{html.escape(name)}</span>'
        for name, ink in zip(names, inks, strict=True)
    ]
    return f'<div class="legend">{"".join(chips)}</div>'


def maps(model, form, word, values, folder):
    return drawings.drawn_maps(values["board"], model, form.inputs["map"].shape[1:], folder)


def painted(model, form, word):
    made = drawings.board(
        label="Picture, with paint over the part that shall be made anew",
        brush=gr.Brush(colors=["#ff3090"], color_mode="fixed"),
        height=470,
    )
    return {"painted": made}


def image_and_mask(model, form, word, values, folder):
    return drawings.image_and_mask(values["painted"], folder)


def picture(model, form, word):
    return {word: drawings.upload(label_of(word))}


def pictures(model, form, word):
    return {word: gr.File(label=label_of(word), file_count="multiple", file_types=["image"])}


def folder_of(model, form, word, values, folder):
    (folder / word).mkdir()
    for k, path in enumerate(values[word]):
        (folder / word / f"{k:03}.png").symlink_to(path)
    return {word: str(folder / word)}


def film(model, form, word):
    return {word: gr.File(label=label_of(word), file_types=[".gif", ".mp4"])}


def sound(model, form, word):
    sources = ["upload", "microphone"]
    return {word: gr.Audio(label=label_of(word), type="filepath", sources=sources)}


def text(model, form, word):
    return {word: gr.Textbox(label=label_of(word), lines=4, max_length=100_000)}


def text_file(model, form, word, values, folder):
    (path := folder / f"{word}.txt").write_text(values[word], encoding="utf-8")
    return {word: str(path)}


def number(model, form, word):
    given = form.inputs[word]
    value = 0 if isinstance(given, tf.TensorSpec) or given is None else given
    precision = None if isinstance(value, float) else 0
    return {word: gr.Number(value, label=label_of(word), precision=precision)}


def words(model, form, word):
    return {word: gr.Textbox(",".join(map(str, form.inputs[word])), label=label_of(word))}


KINDS = {
    "seed": (seed, plain),
    "count": (count, plain),
    "drawn": (drawn, draw),
    "class": (class_of_all, classes),
    "attributes": (attributes, vector),
    "truncation": (truncation, plain),
    "sentence": (sentence, condition),
    "board": (board, maps),
    "painted": (painted, image_and_mask),
    "picture": (picture, plain),
    "pictures": (pictures, folder_of),
    "film": (film, plain),
    "sound": (sound, plain),
    "text": (text, text_file),
    "number": (number, plain),
    "words": (words, plain),
}
