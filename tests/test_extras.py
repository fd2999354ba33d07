"""Sets by name and the hub where their packages are missing; `make test-extras` has them."""

import sys

import pytest

from tfgans import models, training
from tfgans.config import Config
from tfgans.data import DataError, named, open_images
from tfgans.data.paired import open_pairs
from tfgans.errors import BadInput


@pytest.mark.parametrize("word", named.PACKAGES)
def test_a_set_by_name_says_which_extra_it_needs(word, monkeypatch):
    monkeypatch.setitem(sys.modules, named.PACKAGES[word], None)
    with pytest.raises(DataError, match=rf'pip install "tfgans\[{word}\]"'):
        open_images(f"{word}:mnist")


def test_the_hub_says_which_extra_it_needs(monkeypatch):
    for name in ("huggingface_hub", "huggingface_hub.errors"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadInput, match=r'pip install "tfgans\[hf\]"'):
        models.load("hf://ada/faces")


def test_a_folder_may_have_the_name_of_a_set(tmp_path, monkeypatch):
    (tmp_path / "hf:photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="No images in "):
        open_images("./hf:photos")
    with pytest.raises(DataError, match="No images in "):
        open_pairs("./hf:photos")


def test_kinds_of_data_that_sets_by_name_do_not_hold():
    settings = Config.load("seqgan", "tiny")
    settings.data.path = "hf:user/words"
    with pytest.raises(BadInput, match="hf:user/words is a set by name, .* 'tokens'. Give it fil"):
        training.resolve(settings)
