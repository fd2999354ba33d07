"""A stand-in for a model without stages: all that `tfgans.data` looks at."""

import types


class StandIn(types.SimpleNamespace):
    batches_per_step, num_classes, stage_steps = 1, 0, ()

    def stage_of(self, step):
        return 0

    def stage_shape(self, stage):
        return getattr(self, "image_shape", ())

    def stage_length(self, stage):
        return getattr(self, "length", 0)
