"""Activations whose metrics the real tensorflow-gan computed, and features drawn from Gaussians."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tfgan():
    """Arrays of tests/reference/tfgan_tfa.npz below a prefix: tfgan("evaluation")["a"]."""
    file = np.load(Path(__file__).parents[1] / "reference" / "tfgan_tfa.npz")

    def group(prefix):
        return {k.removeprefix(f"{prefix}/"): file[k] for k in file.files if k.startswith(prefix)}

    return group


@pytest.fixture
def rng():
    return np.random.default_rng(0)
