"""How many trained weights each model has: `python tests/parameters.py` writes it anew.

The cards of the models show docs/parameters.json (docs/hooks.py).
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
from tiny import trainable, without_numbers  # noqa: E402

from tfgans.models import MODELS  # noqa: E402

FILE = pathlib.Path(__file__).parents[1] / "docs" / "parameters.json"


def counts(name) -> dict:
    """Player -> its trained weights, for the defaults of the model's class."""
    with without_numbers():
        players = MODELS[name]().players()
    return {player: sum(map(trainable, networks)) for player, networks in players.items()}


def main():
    found = {}
    for name in MODELS:
        found[name] = counts(name)
        keras.backend.clear_session()
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
