"""Official checkpoints as models: read without running their code, names mapped, layouts turned."""

from tfgans.pretrained.torch_files import read_state_dict

__all__ = ["read_state_dict"]
