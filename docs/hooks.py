"""Pages of the site that come from the code: cards of models, sources, notebooks, changelog.

MkDocs calls `on_files` and `on_page_markdown`; see mkdocs.yml.
"""

import inspect
import json
import pathlib
import posixpath
import re
import sys

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from tfgans import catalog, models

sys.path.append(str(pathlib.Path(__file__).parent))
from explained import unexplained  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
} | {
    f"notebooks/{path.name}": f"notebooks/{path.stem}.md"
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)]*)?\))")
PARAMETERS = json.loads((ROOT / "docs" / "parameters.json").read_text(encoding="utf-8"))
LANGUAGES = {".py": "python", ".yaml": "yaml", ".md": "markdown"}


def on_files(files, config):
    """Adds the pages of the top folder, the cards, and the sources that pages link to."""
    made = {page: text_of(ROOT / name) for name, page in PAGES.items()}
    for name, settings in catalog.configurations().items():
        made[f"models/{name}.md"] = card(name, models.MODELS[name], settings)
    texts = list(made.values()) + [
        file.content_string for file in files if file.src_uri.endswith(".md")
    ]
    if lines := [line for text in texts for line in unexplained(text)]:
        rule = "Explain these arguments in Args, see docs/explained.py:"
        raise PluginError("\n".join([rule, *lines]))
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    linked = [m[2] for text in texts for m in LINK.finditer(text)]
    for target in sorted({re.sub(r"^(\.\./)+", "", target) for target in linked}):
        if page := source_page(target):
            files.append(File.generated(config, page, content=source(target)))
    return files


def text_of(path):
    """The text of a page; of a notebook its texts and its code, cell by cell."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    forms = {"markdown": "{}", "code": "```python\n{}\n```"}
    cells = json.loads(text)["cells"]
    return "\n\n".join(forms[c["cell_type"]].format("".join(c["source"])) for c in cells)


def source_page(target):
    """The page that shows a file of the repository, or None where there is none to show."""
    path = ROOT / target
    inside = path.is_file() and target.split("/")[0] != "docs" and path.suffix in LANGUAGES
    return f"source/{target}.md" if inside and target not in PAGES else None


def source(target):
    """A page with the text of a file."""
    text = (ROOT / target).read_text(encoding="utf-8")
    language = LANGUAGES[pathlib.Path(target).suffix]
    return f"# `{target}`\n\n````{language}\n{text}\n````\n"


def on_page_markdown(markdown, page, config, files):
    """Leads links to files of the repository to their pages of the site."""
    here = page.file.src_uri
    origin = {page: name for name, page in PAGES.items()}.get(here, f"docs/{here}")

    def moved(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        if target in PAGES:
            target = f"docs/{PAGES[target]}"
        elif re.fullmatch(r"tfgans/models/(\w+)\.py", target) and here == "models.md":
            target = f"docs/models/{pathlib.Path(target).stem}.md"
        elif found := source_page(target):
            target = f"docs/{found}"
        elif not target.startswith("docs/") and (ROOT / target).is_dir():
            return match[2].rstrip("/").rpartition("/")[2]  # the words of the link remain
        there = target.removeprefix("docs/")
        return match[1] + posixpath.relpath(there, posixpath.dirname(here) or ".") + match[3]

    return LINK.sub(moved, markdown)


def card(name, model, settings):
    """A model's page: its paper, idea, pictures, settings, checks, and its class.

    Args:
        name: Name of the model.
        model: Its class.
        settings: The names of its configurations.
    """
    _, authors, *parts = inspect.getdoc(inspect.getmodule(model)).split("\n\n")
    short, title, link = catalog.paper_of(model)
    commands = "\n".join(f"python tools/train.py {word}" for word in settings)
    files = ", ".join(f"[{word}.yaml](../../configs/{word}.yaml)" for word in settings)
    rows = gallery(settings)
    demos = ["## Demos", "\n".join(["| | |", "|---|---|", *rows])] if rows else []
    return "\n\n".join(
        [
            f"# {short}",
            f"*{f'[{title}]({link})' if link else title}* {authors}",
            *parts,
            "## Training",
            f"```\n{commands}\n```",
            "Without `--data PATH` this is the demo. Settings, with those of the paper and small "
            f"ones: {files}.",
            *demos,
            "## Size",
            f"Trained weights for the defaults of the class: {sizes(name)}.",
            "## Checks",
            f"{checked(name)} [The tests](../../tests/models/test_{name}.py).",
            "## Code",
            f"[The file](../../tfgans/models/{name}.py): networks, losses, `train_step`.",
            f"::: tfgans.models.{name}.{model.__name__}",
        ]
    )


def sizes(name):
    """The players of a model with their numbers of trained weights."""
    return ", ".join(f"`{player}` {count:,}" for player, count in PARAMETERS[name].items())


def checked(name):
    """The first sentence of a model's tests: the numbers that they check."""
    text = (ROOT / "tests" / "models" / f"test_{name}.py").read_text(encoding="utf-8")
    line = text.removeprefix('"""').splitlines()[0].rstrip('"')
    found = line.partition(": ")[2] or line
    return found[:1].upper() + found[1:]


def gallery(settings):
    """Rows of the gallery that train one of these settings, with links from a card."""
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    words = "|".join(map(re.escape, settings))
    command = re.compile(rf"train\.py ({words})(?![\w-])")
    rows = [line for line in text.splitlines() if line.startswith("|") and command.search(line)]
    return [row.replace("](pictures/", "](../pictures/") for row in rows]
