"""The list and the table of all models, made from their docstrings and configurations."""

import ast
import pathlib
import sys
import types

import pytest

from tfgans import catalog, config, models
from tfgans.errors import BadInput

ROOT = pathlib.Path(__file__).parents[1]


def test_the_table_is_the_one_in_the_documents():
    """`python -m tfgans.catalog > docs/models.md` writes it anew."""
    text = (ROOT / "docs" / "models.md").read_text()
    assert text == catalog.table()
    for name in models.MODELS:
        assert text.count(f"[`{name}`]") == 1
    for name in config.names():
        assert text.count(f"[{name}](") == 1


def test_a_paper_without_an_arxiv_id_is_listed(monkeypatch):
    file = types.ModuleType("cartoon", "CartoonGAN — Photo Cartoonization.\n\nCVPR 2018, no arXiv.")
    monkeypatch.setitem(sys.modules, "cartoon", file)
    model = type("CartoonGAN", (models.get("gan"),), {"__module__": "cartoon"})
    assert catalog.paper_of(model) == ("CartoonGAN", "Photo Cartoonization", None)
    monkeypatch.setitem(models.MODELS, "gan", model)
    assert "gan: Photo Cartoonization; data: images" in catalog.catalog()


@pytest.mark.parametrize("word", ["wgan_gp", "WGAN-GP", "wgangp", "Wgan_GP"])
def test_case_hyphens_and_underscores_do_not_matter(word):
    assert models.get(word) is models.MODELS["wgan_gp"]
    assert config.find(word).stem == "wgan_gp"


def test_aliases():
    assert models.get("PGGAN") is models.get("progan")
    assert config.find("pggan").stem == "progan"
    assert config.Config.load("ali").model["variant"] == "ali"
    assert config.Config.load("ali").architecture == models.name_of("ali")
    for alias, name in models.ALIASES.items():
        assert alias not in models.MODELS and name in models.MODELS
    with pytest.raises(BadInput, match="No model named 'pgan'. Did you mean 'pggan'"):
        models.get("pgan")


def test_the_site_is_made_with_what_there_is():
    """docs/hooks.py runs in `make docs` alone, where a renamed function is noticed late."""
    tree = ast.parse((ROOT / "docs" / "hooks.py").read_text(encoding="utf-8"))
    rooms, used = {"catalog": catalog, "models": models}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in rooms:
            used.append((node.value.id, node.attr))
    assert len(used) >= 3
    assert all(hasattr(rooms[room], word) for room, word in used)
