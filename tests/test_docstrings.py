"""The rule of the site (docs/explained.py): each argument of what it shows is explained."""

import importlib.util
import pathlib

import pytest

from tfgans.models import MODELS

DOCS = pathlib.Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("explained", DOCS / "explained.py")
explained = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(explained)

PAGES = {path.stem: path.read_text("utf-8") for path in sorted(DOCS.glob("reference/*.md"))}
CARDS = {name: f"::: {model.__module__}.{model.__name__}" for name, model in MODELS.items()}


@pytest.mark.parametrize("page", [*PAGES, *CARDS])
def test_each_argument_of_a_page_is_explained(page):
    lines = explained.unexplained((PAGES | CARDS)[page])
    assert not lines, "\n".join(["Explain these arguments in Args:", *lines])


def test_the_reference_has_each_public_part():
    """A new layer, operation or metric is not forgotten."""
    text = "\n".join(PAGES.values())
    for folder, private in (
        ("layers", ()),
        ("ops", ("checking", "exporting", "machine", "philox")),
    ):
        for path in (DOCS.parent / "tfgans" / folder).glob("[a-z]*.py"):
            assert path.stem in private or f"tfgans.{folder}.{path.stem}" in text, path
    import tfgans.latents
    import tfgans.metrics

    for module in (tfgans.metrics, tfgans.latents):
        for word in set(module.__all__) - {"METRICS", "USES"}:
            own = getattr(module, word)
            assert own.__module__ in text, own
    assert len([*explained.shown(text)]) > 250


@pytest.mark.parametrize(
    "text, count, found",
    [
        ("Adds.\n\nArgs:\n    x: [N].\n    y: [N].", 3, True),
        ("Adds.\n\nArgs:\n    x, other: [N].", 3, True),
        ("Adds.\n\nAttributes:\n    x: [N].", 3, True),
        ("Adds.\n\nReturns:\n    x: [N].", 1, False),
        ("Adds.\n\nArgs:\n    y: [N].\n        x: no argument.", 2, False),
        ("Adds 1 to x.", 1, True),
        ("Adds 1 to x.", 2, True),
        ("Adds 1 to x.", 3, False),
        ("Adds 1.\n\nThen halves x.", 1, False),
        ("Adds 1 to max.", 1, False),
    ],
)
def test_an_argument_is_found_where_the_rule_wants_it(text, count, found):
    assert explained.explains(text, "x", count) is found


@pytest.mark.parametrize(
    "word, text, found",
    [
        ("a", "Moves a step.", False),
        ("a", "Moves `a`.", True),
        ("n", "Makes n images [N, H].", True),
        ("n", "Makes images [N, H].", False),
        ("image", "Images in [-1, 1].", True),
        ("seeds", "One of each seed.", True),
        ("loss", "Moves down a loss.", True),
        ("log_variance", "Of a log variance.", True),
    ],
)
def test_a_sentence_names_an_argument_by_its_word(word, text, found):
    assert explained.explains(text, word, 1) is found


def test_a_method_need_not_repeat_its_base():
    """`GAN.outputs` has words of `LatentModel`; a method of its own class needs its own."""
    class_of = explained.resolved("tfgans.models.stylegan2.StyleGAN2")
    assert explained.is_explained(class_of.sample, "labels")
    assert explained.is_explained(class_of.sample, "truncation")
    assert not explained.is_explained(class_of.make_train_function, "force")


def test_a_class_is_asked_for_the_arguments_of_its_constructor():
    assert explained.arguments(MODELS["vae"])[0] == "image_shape"
    lines = explained.unexplained("::: tfgans.errors.run_tool")
    assert lines == ["tfgans.errors.run_tool: main"]
