"""The page of tricks: each of its seventeen rows names switches, models, functions that exist."""

import importlib
import inspect
import pathlib
import re

import pytest

from tfgans.config import Config
from tfgans.models import MODELS, get

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "tricks.md"
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split(" | ")]
    for line in PAGE.read_text("utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def test_there_are_seventeen():
    assert [row[0] for row in ROWS] == [str(k) for k in range(1, 18)]


@pytest.mark.parametrize("number, trick, here", [row[:3] for row in ROWS])
def test_a_switch_exists(number, trick, here):
    found = re.findall(r"`([^`]+)`", here)
    assert found
    for word in found:
        name, _, change = word.partition(" ")
        if change:
            settings = Config.load(name, changes=[change])
            section, _, key = change.partition("=")[0].partition(".")
            assert section in ("model", "data")
            if section == "model":
                assert key in inspect.signature(get(name).__init__).parameters
                assert key in settings.model
        elif "." in name:
            module, _, attribute = name.rpartition(".")
            try:
                place = importlib.import_module(module)
            except ModuleNotFoundError:  # a method
                module, _, cls = module.rpartition(".")
                place = getattr(importlib.import_module(module), cls)
            assert callable(getattr(place, attribute))
        else:
            assert name in MODELS
