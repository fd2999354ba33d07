"""The page of a model or run, and its server."""

import pathlib
import re
import tempfile

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from tfgans import catalog, models, storage, use
from tfgans.app import controls, runs, spaces
from tfgans.app.results import Folders, Results, printed, sentences
from tfgans.errors import BadInput

LARGEST = 32 * 2**20  # bytes of an upload
SHORT = 32  # numbers that are shown beside their file
SMALL = 256  # a side from which pixels are no longer shown as squares
SYSTEM = ["system-ui", "sans-serif"]  # fonts of the reader's system: none is fetched
STYLE = """
.result img {width: 100%; height: 100%; object-fit: contain}
.sharp img {image-rendering: pixelated}
.note {opacity: 0.75}
.legend {display: flex; flex-wrap: wrap; gap: 4px 14px; padding: 4px 0}
.legend .chip {display: inline-flex; align-items: center; gap: 6px}
.legend i {width: 16px; height: 16px; border-radius: 4px; border: 1px solid #8888}
"""


class Served:
    """All that the tabs of a page share.

    Args:
        name: The model as the user named it: a release, or a path to a release, run or file.
        root: Folder for results.

    Attributes:
        run: The folder of the run, or None.
        model: The loaded model; None for a run that has saved nothing yet.
    """

    def __init__(self, name, root):
        self.name, self.folders = name, Folders(root)
        self.run = pathlib.Path(name).expanduser() if runs.is_run(name) else None
        self.model = None
        if self.run is None or storage.snapshots(self.run):
            self.load()

    def load(self):
        self.model = models.load(self.name)

    @property
    def sharp(self) -> bool:
        return max(getattr(self.model, "image_shape", [0])[:2]) < SMALL

    def tab(self, title, form, answer, button, quick=False):
        """Builds a tab: controls and a button on the left, results on the right.

        Args:
            title: Its name; in the interface for programs it is written with underscores.
            form: Called without arguments; makes the controls, name -> component.
            answer: Called with a new folder and the values of the controls; returns the files of
                the results and a note.
            button: Words on the button.
            quick: True to run at each change of a control.

        Returns:
            The function of the button, its inputs and its outputs.
        """
        with gr.Tab(title), gr.Row():
            with gr.Column(scale=2, min_width=320):
                parts = form()
                with gr.Row():
                    start = gr.Button(button, variant="primary")
                    another = gr.Button("Another seed") if "seed" in parts else None
            with gr.Column(scale=3, min_width=320):
                results = Results(self.sharp)

        def run(*values):
            with sentences(), printed() as said:
                files, note = answer(self.folders.new(), *values)
            return results.of(files, " ".join([note, *said]).strip())

        event = run, [*parts.values()], results.parts
        options = {"concurrency_id": "model", "concurrency_limit": 1}
        private = options | {"api_visibility": "private", "trigger_mode": "always_last"}
        start.click(*event, api_name=re.sub(r"\W+", "_", title.lower()), **options)
        if another:
            seed = parts["seed"]
            step = another.click(lambda s: (s + 1) % 2**32, seed, seed, api_visibility="private")
            step.then(*event, **private)
        for part in parts.values() if quick else ():
            moved = {gr.Slider: "release", gr.Number: "submit", gr.Textbox: "submit"}
            getattr(part, moved.get(type(part), "input"))(*event, **private)
        return event

    def use_tab(self, name, own):
        """The tab of a use; returns the event of its button where nothing is missing."""
        form = controls.Form(self.model, own)

        def answer(folder, *values):
            given = dict(zip(form.parts, values, strict=True))
            words = form.words(self.model, given, folder)
            made, _, _ = use.call(self.model, name, words)
            return use.write(made, own, folder / name), few_numbers(made, self.model.label_names)

        button = "Make" if form.at_once else "Run"
        event = self.tab(
            title_of(name, own), lambda: form.show(self.model), answer, button, quick=form.at_once
        )
        return event if form.at_once else None


def few_numbers(made, names) -> str:
    """A line for each short row of numbers among the results, such as probabilities of classes."""
    lines = []
    for word, value in made.items():
        if isinstance(value, str) or value.dtype.kind != "f" or value.size > SHORT:
            continue
        for row in value.reshape(len(value), -1):
            own = names if len(names) == len(row) else range(len(row))
            numbers = [f"{name}: {x:.3g}" for name, x in zip(own, row, strict=True)]
            lines.append(f"**{word}** " + (", ".join(numbers) if len(row) > 1 else f"{row[0]:.3g}"))
    return "  \n".join(lines)


def title_of(name, own) -> str:
    """The name of a use for people."""
    if name == "serving_default":
        return "Generate" if {*controls.DRAWN} & own.inputs.keys() else "Use"
    if found := re.fullmatch(r"([a-z])_to_([a-z])", name):
        return f"{found[1].upper()} to {found[2].upper()}"
    return name.replace("_", " ").capitalize()


def build(served, file=None) -> gr.Blocks:
    """The page.

    Args:
        served: A `Served`.
        file: YAML file of edits, for sliders; without it the first directions of SeFa.
    """
    with gr.Blocks(
        title=f"{pathlib.Path(served.name).name} – tfgans", delete_cache=(600, 3600)
    ) as page:
        gr.Markdown(heading(served))
        if served.run:
            event = runs.show(served)
            page.load(*event, api_visibility="private", show_progress="hidden")
        if served.model is None:
            gr.Markdown("The run has saved nothing yet. Start this page again later to use it.")
            return page
        offered = controls.offered(served.model, use.uses_of(served.model))
        first = [served.use_tab(name, own) for name, own in offered.items()][0]
        if first and not served.run:
            page.load(*first, api_visibility="private", concurrency_id="model")
        if spaces.fits(served.model):
            spaces.Spaces(served).show(file)
        elif file:
            kind = type(served.model).__name__
            raise BadInput(f"{kind} makes no pictures from latents: leave --edits out.")
    return page


def heading(served) -> str:
    name = pathlib.Path(served.name).name
    if served.model is None:
        return f"# {name}"
    short, title, link = catalog.paper_of(type(served.model))
    return f"# {name}\n{short}: [{title}]({link})" if link else f"# {name}\n{short}: {title}"


class Bounded:
    """Refuses requests with more than `LARGEST` bytes before they are read, by ASGI.

    Args:
        app: The application behind it.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        chunked = b"transfer-encoding" in dict(scope.get("headers", ()))
        if scope["type"] == "http" and (chunked or int(length) > LARGEST):
            text = f"A request has at most {LARGEST >> 20} MB, and says its length beforehand."
            await PlainTextResponse(text, 413)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def launch(name, root, host, port=None, file=None) -> tuple:
    """Loads a model and starts a server in threads of its own.

    Args:
        name: The model, see `Served`.
        root: Folder for results.
        host: Address to listen to.
        port: Port; the first free one from 7860 on for None.
        file: YAML file of edits.

    Returns:
        The page, and its address.

    Raises:
        OSError: The port is not free.
    """
    page = build(Served(name, root), file)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=LARGEST,
        app_kwargs={"middleware": [Middleware(Bounded)]},
        allowed_paths=[str(root)],
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=["api"],
        css=STYLE,
        theme=gr.themes.Default(font=SYSTEM, font_mono=["ui-monospace", "monospace"]),
    )
    return page, address


def serve(name, host, port, file=None):
    """Serves a page until Ctrl-C. See `launch` for the arguments."""
    with tempfile.TemporaryDirectory(prefix="tfgans-app-") as root:
        page, address = launch(name, root, host, port, file)
        print(f"Open {address} in a browser. Ctrl-C ends it.", flush=True)
        page.block_thread()
