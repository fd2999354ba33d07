"""Each notebook runs from its first cell to its last, at tiny size, in a kernel of its own."""

import ast
import json
import pathlib

import nbclient
import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "notebooks"
TINY = {  # the numbers of the cells with the tag "parameters"
    "first_steps": {"STEPS": 2},
    "own_data": {"CROPS": 6, "STEPS": 4},
    "latent_editing": {"SAMPLES": 40, "FRAMES": 2},
    "translation": {"PAIRED_STEPS": 2, "UNPAIRED_STEPS": 2},
}


def assigned(source):
    """The names that a cell of assignments sets."""
    return {target.id for node in ast.parse(source).body for target in node.targets}


@pytest.mark.parametrize("name", TINY)
def test_a_notebook_runs(name, tmp_path):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert assigned(cell.source) == {*TINY[name]}
    cell.source = "\n".join(f"{word} = {value}" for word, value in TINY[name].items())
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [out for c in notebook.cells if c.cell_type == "code" for out in c.outputs]
    pictures = [out for out in shown if "image/png" in out.get("data", {})]
    wanted = sum(c.source.lstrip().startswith("show(") or "\nshow(" in c.source
                 for c in notebook.cells if c.cell_type == "code")  # fmt: skip
    assert len(pictures) >= wanted > 0
    text = json.dumps(shown)
    if name == "own_data":
        assert "0000.png" in text and "0 problems" in text and "brick" in text
        assert "Going on from" in text and "step 4" in text


def test_all_notebooks_are_run():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {*TINY}
