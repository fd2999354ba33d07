"""Official checkpoints as models: names mapped, layouts turned."""

from tfgans.pretrained.loading import begin_run, load

__all__ = ["begin_run", "load"]
