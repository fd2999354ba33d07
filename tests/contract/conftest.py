"""The fixture that both parts of the contract share: each model, trained for three steps."""

import keras
import pytest
from tiny import fit, new, state, use

from tfgans.models import MODELS


class Trained:
    """A model after three steps of its last stage, made in one go, and what was seen meanwhile.

    Attributes:
        path: The model after the second of these steps.
        state: All its numbers at that moment.
        logs: The terms of each step.
        moved: Which weights each player's moves changed.
        use: Outputs of all endpoints in the end.
    """

    def __init__(self, name, folder):
        keras.utils.set_random_seed(0)
        self.model, self.settings, self.source = new(name)
        self.path = folder / "model.keras"
        players = self.model.players()
        self.moved = {player: set() for player in players}
        weights = {id(w): w for player in players for w in self.model.weights_of(player)}

        def watched(player, apply):
            def wrapped(gradients, own):
                before = {key: w.numpy() for key, w in weights.items()}
                apply(gradients, own)
                changed = {key for key, w in weights.items() if (before[key] != w.numpy()).any()}
                self.moved[player] |= changed

            return wrapped

        for player, optimizer in self.model.optimizers.items():
            optimizer.apply = watched(player, optimizer.apply)
        steps = sum(self.model.stage_steps) + 3
        save = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: self.save() if batch == steps - 2 else None
        )
        self.logs = fit(self.model, self.settings, self.source, steps, [save])
        for optimizer in self.model.optimizers.values():
            del optimizer.apply
        self.use = use(self.model)

    def save(self):
        self.model.save(self.path)
        self.state = state(self.model)


@pytest.fixture(scope="session", params=MODELS)
def trained(request, tmp_path_factory):
    return Trained(request.param, tmp_path_factory.mktemp(request.param))
