"""Every command and every piece of Python of the tutorials runs, at tiny size, page by page."""

import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def photos(folder):
    """Eight images, two of them the same."""
    folder.mkdir()
    for k in range(8):
        pixels = np.random.RandomState(k % 7).randint(0, 256, [40, 36, 3], "uint8")
        Image.fromarray(pixels).save(folder / f"{k}.png")


def run(tool, folder, line):
    """Runs a command; a training is a tiny one and ends after four steps."""
    python, file, *words = shlex.split(line)
    assert python == "python"
    name = pathlib.Path(file).stem
    if name == "train" and "--list" not in words:
        words = [word for word in words if word != "--demo"]
        data = [] if "--data" in words else ["data.path=synthetic"]
        tiny = ["train.steps=4", "data.batch_size=4", *data]
        words += ["--tiny", *(part for change in tiny for part in ("--set", change))]
        words += [] if "--run" in words else ["--run", f"runs/{words[0]}-demo"]
    done = tool(folder, name, *words)
    wanted = 1 if words[0] == "check" else 0  # two photographs are the same
    assert done.returncode == wanted, f"{line}\n{done.stdout}\n{done.stderr}"


def of(page):
    """Pages on which models are trained are left to `make test-rest`."""
    slow = page.stem in {"first-model", "own-images", "resume", "evaluate"}
    return pytest.param(page, id=page.stem, marks=[pytest.mark.thorough] * slow)


@pytest.mark.parametrize("page", [of(page) for page in PAGES])
def test_a_tutorial_runs(page, tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    names = {"photos": np.random.RandomState(0).randint(0, 256, [64, 16, 16, 1], "uint8")}
    for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(code.replace("epochs=2", "epochs=1"), page.name, "exec"), names)
            continue
        for line in code.splitlines():
            run(tool, tmp_path, line)
    if page.stem == "own-gan":
        assert (tmp_path / "tiny.keras").exists() and names["images"].shape == (16, 16, 16, 1)
    if page.stem == "first-model":
        assert (tmp_path / "grid.png").exists()


def test_pages_have_code_to_run():
    """A block in another language than sh or python is shown, not run: most pages have both."""
    kinds = {page.stem: {kind for kind, _ in BLOCK.findall(page.read_text())} for page in PAGES}
    assert sum(bool(found) for found in kinds.values()) >= 5
    assert kinds["own-gan"] == {"python"} and kinds["first-model"] == {"sh", "python"}
