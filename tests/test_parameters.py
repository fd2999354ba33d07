"""docs/parameters.json, which the cards of the models show, has the numbers of the code."""

import json

import pytest
from parameters import FILE, counts

from tfgans.models import MODELS

STORED = json.loads(FILE.read_text(encoding="utf-8"))
LARGE = ("bigbigan", "biggan", "s3gan")  # whose own tests count them


def test_each_model_has_its_numbers():
    """`python tests/parameters.py` writes them anew."""
    assert [*STORED] == [*MODELS]
    assert STORED["acgan"] == counts("acgan") == {"discriminator": 2525563, "generator": 11465728}


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in MODELS if name not in LARGE])
def test_the_numbers_are_those_of_the_code(name):
    assert STORED[name] == counts(name)
