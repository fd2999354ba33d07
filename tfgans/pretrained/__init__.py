"""Converts official checkpoints to models: maps names and layouts."""

from tfgans.pretrained.loading import begin_run, load

__all__ = ["begin_run", "load"]
