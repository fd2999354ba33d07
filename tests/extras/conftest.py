"""Folders of their own for the packages behind sets by name and the hub, and no network.

The variables are read when these packages are imported, so they are set here, before any test.
`make test-extras` runs these tests in an environment that has the packages.
"""

import os
import pathlib
import tempfile

import pytest
from hub_server import Hub

HUB = Hub()
HOME = pathlib.Path(tempfile.mkdtemp())
os.environ["TFDS_DATA_DIR"] = str(HOME / "tfds")
os.environ["HF_HOME"] = str(HOME / "hf")
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"  # the files come over HTTP, as from a server without it
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_ENDPOINT"] = HUB.address


@pytest.fixture
def hub():
    """The hub on this machine, as it was left by other tests."""
    yield HUB
    HUB.stop_after, HUB.broken = None, False
