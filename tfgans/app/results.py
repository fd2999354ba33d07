"""Files that a use of a model writes, as pictures, sounds and texts of a page."""

import contextlib
import html
import io
import pathlib
import re
import shutil
import tempfile

import gradio as gr

from tfgans.errors import BadInput

KEPT = 40  # folders of results, at most
PICTURES, SOUNDS, TEXTS = (".png", ".gif"), (".wav",), (".txt",)


class Results:
    """The part of a tab that shows results: what there is of them, and nothing else.

    Args:
        sharp: True to show the pixels of small pictures as squares.
    """

    def __init__(self, sharp):
        self.pictures = gallery("Result", sharp)
        self.sound = gr.Audio(label="Sound", visible=False, interactive=False)
        self.text = gr.Textbox(label="Text", visible=False, lines=6, buttons=["copy"])
        self.files = gr.File(label="Files", visible=False, file_count="multiple")
        self.note = gr.Markdown(elem_classes="note")
        self.parts = [self.pictures, self.sound, self.text, self.files, self.note]

    def of(self, files, note=""):
        """The new values of `parts` for the files of a use.

        Args:
            files: Paths.
            note: A sentence below them.
        """
        found = {kind: [] for kind in (PICTURES, SOUNDS, TEXTS, None)}
        for path in map(pathlib.Path, files):
            kind = next((k for k in (PICTURES, SOUNDS, TEXTS) if path.suffix in k), None)
            found[kind].append(path)
        films = [path for path in found[PICTURES] if path.suffix == ".gif"]
        strips = {path.with_suffix(".png") for path in films}  # of the frames of a film
        pictures = [path for path in found[PICTURES] if path not in strips]
        text = "\n".join(path.read_text(encoding="utf-8") for path in found[TEXTS])
        captions = [caption(path) if len(pictures) > 1 else None for path in pictures]
        return [
            gr.Gallery(
                [*zip(map(str, pictures), captions, strict=True)],
                columns=min(len(pictures), 2) or 1,
                visible=bool(pictures),
                selected_index=None,
            ),
            gr.Audio(str(found[SOUNDS][0]) if found[SOUNDS] else None, visible=bool(found[SOUNDS])),
            gr.Textbox(text, visible=bool(text)),
            gr.File([*map(str, found[None])], visible=bool(found[None])),
            note,
        ]


def gallery(label, sharp):
    """Pictures and films.

    Args:
        label: Its heading.
        sharp: True to show the pixels of small pictures as squares.
    """
    return gr.Gallery(
        label=label,
        columns=1,
        height=560,
        object_fit="contain",
        interactive=False,
        elem_classes=["result", *(["sharp"] if sharp else [])],
    )


def caption(path) -> str:
    return path.stem.rpartition("-")[2].replace("_", " ")


class Folders:
    """Folders for the results of requests; the oldest ones are deleted.

    Args:
        root: Folder that holds them.
    """

    def __init__(self, root):
        self.root, self.made = pathlib.Path(root), []

    def new(self) -> pathlib.Path:
        self.made.append(pathlib.Path(tempfile.mkdtemp(dir=self.root)))
        while len(self.made) > KEPT:
            shutil.rmtree(self.made.pop(0))
        return self.made[-1]


@contextlib.contextmanager
def printed():
    """Gives a list whose one text is, at the end, all that was printed."""
    said = []
    with contextlib.redirect_stdout(io.StringIO()) as text:
        yield said
    said.append(without_folders(text.getvalue()).strip())


def without_folders(text) -> str:
    """A text in which the paths of uploads are the names of the files."""
    return re.sub(re.escape(tempfile.gettempdir()) + r"/\S*/", "", str(text))


@contextlib.contextmanager
def sentences():
    """Errors for the user become a sentence on the page."""
    try:
        yield
    except (BadInput, OSError, FloatingPointError) as error:
        text = html.escape(without_folders(error), quote=False)  # names of files may hold anything
        raise gr.Error(text, print_exception=False) from None
