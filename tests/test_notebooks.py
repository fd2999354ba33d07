"""Notebooks are stored without outputs, write in plain words and link to what is there.

`make test-extras` runs them.
"""

import json
import pathlib
import re

import pytest
from test_prose import found

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def texts(path, kind):
    """The texts of the cells of a kind."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_of_a_run_is_stored(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert {*notebook["metadata"]} == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    for cell in notebook["cells"]:
        assert {*cell["metadata"]} <= {"tags"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_words_and_links(path):
    text = "\n\n".join(texts(path, "markdown"))
    assert not found(pathlib.Path("page.md"), text)
    links = re.findall(r"\]\(([^)#]+)", text)
    assert all((path.parent / link).exists() for link in links), links
    assert not any(code.lstrip().startswith(("!", "%")) for code in texts(path, "code"))


def test_readme_and_site_name_each_notebook():
    readme, site = (ROOT / name for name in ("README.md", "mkdocs.yml"))
    assert len(NOTEBOOKS) == 4
    for path in NOTEBOOKS:
        assert f"(notebooks/{path.name})" in readme.read_text(encoding="utf-8")
        assert f"notebooks/{path.stem}.md" in site.read_text(encoding="utf-8")
