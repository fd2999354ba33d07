"""The page of tools/app.py in a real Chromium without a window: clicks, drawings, uploads."""

import io
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs Gradio: make test-app")

from tfgans import images, models  # noqa: E402
from tfgans.data.single import read  # noqa: E402

pytestmark = pytest.mark.browser
ROOT = pathlib.Path(__file__).parents[2]
FASHION = "stylegan2-fashion"
BOARD = "canvas:visible"


def shown(page) -> np.ndarray:
    """The pixels of the first picture among the results."""
    picture = page.locator(".result:visible img").first
    picture.wait_for()
    return np.asarray(
        Image.open(io.BytesIO(urllib.request.urlopen(picture.get_attribute("src")).read()))
    )


def after(page, act) -> np.ndarray:
    """The picture that an act brings in place of the one before."""
    picture = page.locator(".result:visible img").first
    before = picture.get_attribute("src") if picture.count() else None
    act()
    page.wait_for_function(
        "before => [...document.querySelectorAll('.result img')].some("
        "x => x.checkVisibility() && x.src != before)",
        arg=before,
    )
    return shown(page)


def click(page, name):
    page.get_by_role("button", name=name, exact=True).locator("visible=true").click()


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def upload(page, file):
    """Gives a file to the open tab, and waits until the browser shows it."""
    panel = page.get_by_role("tabpanel").locator("visible=true")
    panel.locator("input[type=file]").first.set_input_files(file)
    panel.locator("img:visible").first.wait_for()


def assert_same(made, wanted):
    """Equal pictures; another process may round a value to the next whole number."""
    np.testing.assert_allclose(made.astype(int), wanted.astype(int), rtol=0, atol=1)


def test_a_click_makes_another_picture(opened, visit):
    page, model = visit(opened(FASHION)), models.load(FASHION)

    def wanted(seed, n=16, **options):
        return images.grid(model.sample(n, seed=seed, **options))[..., 0]

    assert_same(shown(page), wanted(0))  # without a click
    assert_same(after(page, lambda: click(page, "Another seed")), wanted(1))
    assert_same(after(page, lambda: click(page, "Another seed")), wanted(2))
    assert page.get_by_label("Seed", exact=True).first.input_value() == "2"

    def choose_class():
        page.get_by_label("Class").first.click()
        page.get_by_role("option", name="Ankle boot", exact=True).click()

    made = after(page, choose_class)  # a change of a control is enough
    assert_same(made, wanted(2, labels=9))


def test_styles_are_mixed_and_pictures_edited(opened, visit):
    page = visit(opened(FASHION))
    open_tab(page, "Mix styles")
    assert after(page, lambda: click(page, "Mix")).shape == (4 * 32, 5 * 32)
    open_tab(page, "Edit")
    made = after(page, lambda: click(page, "Edit"))
    np.testing.assert_array_equal(made[:32], made[32:])
    slider = page.get_by_role("slider").locator("visible=true").first

    def move():
        slider.focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        slider.dispatch_event("pointerup")

    moved = after(page, move)
    np.testing.assert_array_equal(moved[:32], made[:32])
    assert np.abs(moved[32:].astype(int) - made[32:]).mean() > 1


def test_a_projection_shows_its_progress_and_stops(opened, visit, files):
    page = visit(opened(FASHION))
    open_tab(page, "Project")
    upload(page, files / "photo.png")
    page.get_by_role("spinbutton", name="Steps").locator("visible=true").fill("3000")

    def project():
        click(page, "Project")
        page.get_by_text("step 100 of 3,000").wait_for()  # the first state, until step 200

    assert after(page, project).shape == (32, 64)
    assert after(page, lambda: None).shape == (32, 64)  # the next state
    click(page, "Stop")
    page.wait_for_timeout(1500)
    note = page.locator(".prose.note:visible").inner_text()
    page.wait_for_timeout(3000)
    assert page.locator(".prose.note:visible").inner_text() == note and "step 3,000" not in note


def draw(page, ink, stroke):
    """Draws on the board: places of a stroke are parts of its width and height.

    The list of colors lies over the middle of the board until the stroke begins.
    """
    page.get_by_role("button", name="Color", exact=True).locator("visible=true").click()
    page.locator(f"button.color:visible >> nth={ink}").click()
    box = page.locator(BOARD).first.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def test_a_drawing_is_translated(opened, release, visit):
    page, model = visit(opened(release("gaugan"))), models.load(release("gaugan"))
    open_tab(page, "Generate")
    for name, _ in model.legend:
        page.get_by_text(name, exact=True).locator("visible=true").wait_for()
    page.get_by_role("button", name="Brush", exact=True).locator("visible=true").wait_for()
    blank = after(page, lambda: click(page, "Run"))
    assert blank.shape == (64, 64, 3)  # four pictures of 32x32
    draw(page, 1, [(0.3, 0.4), (0.7, 0.4)])
    one = after(page, lambda: click(page, "Run"))
    draw(page, 2, [(0.3, 0.6), (0.7, 0.6)])
    two = after(page, lambda: click(page, "Run"))
    # In each of the pictures the strokes are seen where they were drawn, and above the rest.
    first, second = (np.abs(a.astype(int) - b).sum(axis=2) for a, b in ((one, blank), (two, one)))
    assert first.sum() and second.sum()
    rows = np.arange(64)[:, None] % 32
    heights = [(part * rows).sum() / part.sum() for part in (first, second)]
    assert heights[0] + 3 < heights[1]


def test_an_upload_is_translated_both_ways(opened, release, visit, files):
    page, model = visit(opened(release("cyclegan"))), models.load(release("cyclegan"))
    image = read(files / "photo.png", model.image_shape)[None]
    for tab, way in (("A to B", "a_to_b"), ("B to A", "b_to_a")):
        open_tab(page, tab)
        upload(page, files / "photo.png")
        made = after(page, lambda: click(page, "Run"))
        np.testing.assert_array_equal(made, images.grid(model.translate(image, direction=way)))
        page.get_by_text("resized to 12x12").locator("visible=true").wait_for()


def test_a_broken_upload_gets_a_sentence(opened, release, visit, files):
    page = visit(opened(release("cyclegan")))
    click(page, "Run")
    page.get_by_text("Picture: this is still missing.").wait_for()
    page.locator("input[type=file]").first.set_input_files(files / "broken.png")
    page.get_by_role("button", name="Clear").first.wait_for()
    click(page, "Run")
    page.get_by_text("All 1 images are broken, the first one: broken.png").wait_for()
    assert page.get_by_text("Traceback").count() == 0


def test_a_sentence_and_a_sound(opened, release, visit, files):
    page = visit(opened(release("stackgan")))
    words = " ".join(sorted(models.load(release("stackgan")).words)[:2])
    page.get_by_label("Sentence").locator("visible=true").fill(words)
    assert after(page, lambda: click(page, "Run")).ndim == 3
    page = visit(opened(release("segan")))
    page.locator("input[type=file]").first.set_input_files(files / "speech.wav")
    page.get_by_role("button", name="Play", exact=True).first.wait_for()
    after(page, lambda: click(page, "Run"))  # its spectrogram
    assert page.get_by_role("button", name="Play", exact=True).locator("visible=true").count() == 2


def test_a_run_is_watched_while_it_trains(tmp_path, opened, visit):
    command = [sys.executable, ROOT / "tools" / "train.py", "gan", "--tiny", "--run", "run"]
    training = subprocess.Popen(
        [*command, "--set", "train.steps=100000"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TF_NUM_INTRAOP_THREADS": "1"},
    )  # fmt: skip
    try:
        run = tmp_path / "run"
        while not [*run.glob("snapshots/*.keras")]:
            assert training.poll() is None and training.stdout.readline()
        page = visit(opened(run))
        line = page.get_by_text("of 100,000")
        line.wait_for()
        first, seen = line.inner_text(), page.locator(".result:visible img")
        seen.nth(1).wait_for()  # new samples and real ones
        plot = page.locator(".curves svg, .curves canvas").first
        plot.wait_for()
        curves = plot.screenshot()
        before = {seen.nth(k).get_attribute("src") for k in range(2)}
        page.wait_for_function("first => !document.body.innerText.includes(first)", arg=first)
        page.wait_for_function(
            "before => [...document.querySelectorAll('.result img')].filter("
            "x => x.checkVisibility() && !before.includes(x.src)).length >= 1",
            arg=list(before),
        )
        assert plot.screenshot() != curves
    finally:
        training.send_signal(signal.SIGINT)
        training.communicate(timeout=60)
