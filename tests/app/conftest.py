"""Pages in this process, and a real Chromium without a window.

`make test-app` runs these tests where Gradio, Playwright and Chromium are; those with the mark
`browser` need the latter two.
"""

import os
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image
from scipy.io import wavfile

from tfgans import training

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def untrained(name, folder, **changes):
    """A `.keras` file of the tiny model of an architecture, not trained."""
    settings = tiny.tiny(name, **changes)
    training.resolve(settings)
    training.build(settings).save(path := folder / f"{name}.keras")
    return path


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """Name -> the file of its untrained model, each made once."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def release(name):
        if name not in made:
            made[name] = untrained(name, folder)
        return made[name]

    return release


@pytest.fixture(scope="session")
def opened(tmp_path_factory, release):
    """Name or path of a model -> the address of its page, each opened once."""
    from tfgans.app.page import launch

    pages = {}

    def opened(name, **options):
        if name not in pages:
            root = tmp_path_factory.mktemp("results")
            pages[name] = launch(str(name), root, "127.0.0.1", **options)
        return pages[name][1]

    yield opened
    for page, _ in pages.values():
        page.close(verbose=False)


@pytest.fixture(scope="session")
def chromium():
    """The Chromium of the system, or the one that Playwright brings."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens an address; at the end no other host was asked and no script of the page failed."""
    context = chromium.new_context(viewport={"width": 1200, "height": 1000})
    asked, failed = set(), []

    def visit(address):
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda request: asked.add(request.url.split("/")[2]))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(address)
        page.get_by_role("tab").first.wait_for()
        return page

    yield visit
    context.close()
    assert {host.partition(":")[0] for host in asked} <= {"127.0.0.1", ""}
    assert not failed


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Files that a person may upload: photo.png, mask.png, speech.wav, broken.png, script.eps."""
    folder, rng = tmp_path_factory.mktemp("uploads"), np.random.RandomState(0)
    photo = rng.randint(0, 256, [8, 10, 3]).astype("uint8")
    Image.fromarray(photo).resize((50, 40), Image.BICUBIC).save(folder / "photo.png")
    wavfile.write(folder / "speech.wav", 16_000, rng.randint(-9000, 9000, 2000).astype("int16"))
    (folder / "broken.png").write_bytes((folder / "photo.png").read_bytes()[:60] + b"no picture")
    Image.fromarray(photo).save(folder / "script.eps")
    return folder
