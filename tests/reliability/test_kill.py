"""Two SIGKILLs, one of them inside the write of a snapshot; `kill.py` does fifty."""

import pytest
from kill import kill


@pytest.mark.thorough
def test_a_killed_training_loses_nothing(tmp_path):
    assert "bit for bit" in kill(tmp_path, kills=2)
