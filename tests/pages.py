"""The Python in the pages of docs/, to be run by tests."""

import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def python_of(page):
    """The blocks of Python in a page, by its name."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def changed(code, changes):
    """A block after changes of its sizes and paths, all of which must be there."""
    for old, new in changes.items():
        assert old in code, old
        code = code.replace(old, new)
    return code


def run(code, names, **changes):
    """Runs a block after changes, with these names."""
    exec(compile(changed(code, changes), "page", "exec"), names)
