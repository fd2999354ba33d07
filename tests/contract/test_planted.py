"""Planted scores: which way each player's loss pulls, and that real and fake are told apart.

The batch is white, and nothing that a tiny generator makes is: so a planted discriminator knows
real rows from generated ones, and gives each kind the score that the test wants. Its gradients with
respect to its inputs are still those of the true discriminator, so penalties keep their values.
"""

import pytest
import tensorflow as tf
from tiny import contract, new

from tfgans import data, random
from tfgans.models import MODELS


def white(batch):
    """The batch with white images, or the last token everywhere; labels stay."""
    return {
        name: value
        if name == "label"
        else tf.fill(value.shape, tf.reduce_max(value) if value.dtype.is_integer else 1.0)
        for name, value in batch.items()
    }


def is_white(rows, colors):
    """Which rows of a discriminator's first input belong to the white batch, [N]."""
    distance = tf.cast(tf.abs(rows - colors[rows.dtype]), "float32")
    return tf.reduce_all(distance < 0.1, axis=range(1, rows.shape.rank))


def replace_score(inputs, outputs, score):
    """Replaces an output of one channel; others, such as features, are no scores.

    The output is the first one, or the one named "score".
    """
    return score if outputs.shape[-1] == 1 else None


class Planted:
    """A tiny model whose discriminators give planted scores.

    Attributes:
        judges: The players whose networks have planted scores.
    """

    def __init__(self, name, settings):
        self.model, config, source = new(name, **settings)
        last = contract(name, "game_stage", len(self.model.stage_steps))
        beyond = 2 if last == len(self.model.stage_steps) else 0
        self.model.now = sum(self.model.stage_steps[:last]) + beyond
        batches = data.batches(self.model, source, config.data, seed=0, stage=last)
        self.data = white(next(iter(batches)))
        images = [value for name, value in self.data.items() if name != "label"]
        self.colors = {x.dtype: x[(0,) * x.shape.rank] for x in images}
        self.is_real = contract(name, "is_real", is_white)
        self.replace = contract(name, "replace_score", replace_score)
        self.prepare = contract(name, "prepare", lambda model: None)
        self.state = [(v, v.numpy()) for v in self.model.non_trainable_variables]
        self.judges = set()
        for player, networks in self.model.players().items():
            self.watch(player, self.model.optimizers[player])
            for network in networks if player.startswith("discriminator") else ():
                self.plant(player, network)

    def watch(self, player, optimizer):
        def scale_loss(total):
            self.totals[player] = self.totals.get(player, 0.0) + total
            return tf.zeros([])  # depends on no weight: there are no gradients to compute

        optimizer.scale_loss, optimizer.apply = scale_loss, lambda *args: None

    def plant(self, player, network):
        call = network.call

        def planted(inputs, *args, **kwargs):
            outputs = call(inputs, *args, **kwargs)
            rows, found = tf.nest.flatten(inputs)[0], tf.nest.flatten(outputs)
            # A head is given what a trunk has found in an image.
            _, real = self.known.get(id(rows)) or (rows, self.is_real(rows, self.colors))
            score = tf.where(real, *self.scores)
            first = sorted(outputs).index("score") if isinstance(outputs, dict) else 0
            score = tf.reshape(score, [-1] + [1] * (found[first].shape.rank - 1))
            score = self.replace(rows, found[first], score)
            if score is not None:
                self.judges.add(player)
                found[first] = score + (found[first] - tf.stop_gradient(found[first]))
            self.known |= {id(x): (x, real) for x in found}
            return tf.nest.pack_sequence_as(outputs, found)

        network.call = planted

    def step(self, *scores):
        """One step of the last stage, or more until each player has moved; from the same state.

        Args:
            scores: Scores of the real rows and of the generated rows.

        Returns:
            Player -> the sum of its terms, and its slopes in the two scores.
        """
        self.scores, self.totals, self.known = [tf.constant(s) for s in scores], {}, {}
        for variable, value in self.state:
            variable.assign(value)
        self.prepare(self.model)
        first = self.model.now
        with tf.GradientTape(True, watch_accessed_variables=False) as tape, random.scope(0):
            tape.watch(self.scores)
            while self.model.now == first or (
                self.model.now < first + self.model.period
                and self.totals.keys() < self.model.players().keys()
            ):
                self.model.step.assign(self.model.now)
                self.model.train_step(self.data)
                self.model.now += 1
        self.model.now = first
        return {
            player: (float(total), *map(float, tape.gradient(total, self.scores, None, "zero")))
            for player, total in self.totals.items()
        }


@pytest.mark.parametrize("name", MODELS)
def test_each_player_works_for_the_scores_it_wants(name):
    """D wants real images high and fakes low; G fakes high, and real images low if it cares.

    Each player ranks the scores it wants below the opposite ones, and out of these it pulls both
    scores the right way.
    """
    for settings in contract(name, "games", [{}]):
        planted = Planted(name, settings)
        for_d, for_g = planted.step(2.0, -2.0), planted.step(-2.0, 2.0)
        assert planted.judges, "say in CONTRACT['replace_score'] which output is a score"
        for player in for_d.keys() - {*contract(name, "spectators", ())}:
            where = f"{player} with {settings}: {for_d[player]}, {for_g[player]}"
            if player in planted.judges:
                total, (opposite, real, fake) = for_d[player][0], for_g[player]
                assert real < -1e-3 and fake > 1e-3, where
            else:
                total, (opposite, real, fake) = for_g[player][0], for_d[player]
                if player in contract(name, "policies", ()):  # -log p times the reward
                    total, opposite, fake = -total, -opposite, -fake
                assert real >= 0.0 and fake < -1e-3, where
            assert total < opposite - 1e-3, where
