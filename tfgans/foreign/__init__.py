"""Readers for files of other programs. They read data and never run code of a file."""

from tfgans.foreign.torch_files import read_state_dict

__all__ = ["read_state_dict"]
