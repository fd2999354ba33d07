"""Official checkpoints as models: read without running their code, names mapped, layouts turned."""

from tfgans.pretrained.loading import begin_run, load
from tfgans.pretrained.torch_files import read_state_dict

__all__ = ["begin_run", "load", "read_state_dict"]
