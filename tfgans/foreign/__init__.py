"""Files that other programs wrote, read as data: nothing in them is run."""

from tfgans.foreign.torch_files import read_state_dict

__all__ = ["read_state_dict"]
