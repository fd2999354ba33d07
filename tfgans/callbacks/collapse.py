"""A training that goes on without learning: said in words."""

import collections

import numpy as np
from scipy.spatial.distance import pdist

from tfgans import random
from tfgans.callbacks.gradients import gradient_norms
from tfgans.callbacks.on_tick import OnTick


class CollapseMonitor(OnTick):
    """Says plainly when all samples look alike, the discriminator has won, or a gradient is gone.

    A verdict needs three ticks in a row, and is said once, until it is no longer so. While one of
    several players learns alone, as in a stage of preparation, samples and losses are not judged.

    Alike: the mean distance of two samples is less than a fifth of that of two real images.
    Won: its loss on real and on generated images is below a hundredth each, in which losses of
    logistic, hinge and least-squares kind are near their end (at chance they are 0.69, 1, and a
    quarter or more). A Wasserstein loss has no such value, so of it nothing is said.
    Gone: a player's gradient is less than a thousandth as long as at its greatest tick since the
    training was started or resumed.

    Args:
        tick: Steps between ticks.
        examples: A batch of real data, a dict of arrays.
        real: Key of the real images in it, [n, H, W, C] in [-1, 1].
        seed: Seed of the samples.
    """

    def __init__(self, tick, examples, real, seed):
        super().__init__(tick)
        self.examples, self.seed = examples, seed
        self.real_distance = mean_distance(examples[real]) if len(examples[real]) > 1 else 0.0
        self.ticks = collections.Counter()  # how many in a row, for each verdict
        self.greatest = collections.Counter()  # gradient of each player
        self.moves = {}  # of each player until the last tick

    def on_tick(self, step, logs):
        if self.is_game():
            self.judge_samples(step, logs)
        for player, norm in gradient_norms(self.model).items():
            greatest = self.greatest[player] = max(norm, self.greatest[player])
            share = norm / greatest if greatest else 1.0
            self.note(
                player, step, share < 1e-3,
                f"The {player}'s gradient is gone: it is {share:.0e} of its greatest length, and "
                "the weights hardly move. A network may be saturated: from an earlier snapshot, "
                "try a lower learning rate of both players.",
            )  # fmt: skip

    def is_game(self):
        """True if two players, or the only one, have moved since the last tick."""
        moves = {p: int(rule.iterations.numpy()) for p, rule in self.model.optimizers.items()}
        moved = [player for player in moves if moves[player] != self.moves.get(player, 0)]
        self.moves = moves
        return len(moved) > 1 or len(moves) < 2

    def judge_samples(self, step, logs):
        with random.scope(self.seed):
            fake = np.asarray(self.model.outputs(self.examples))
        variety = mean_distance(fake) / self.real_distance if self.real_distance else 1.0
        losses = [logs.get(f"discriminator/{side}") for side in ("real", "fake")]
        # Where a game has the value 0 at its end, as f-GAN's, the generator's loss is 0 then too.
        even = abs(logs.get("generator/fake", 1.0)) < 0.1
        self.note(
            "alike", step, variety < 0.2,
            f"All samples look alike: they differ {variety:.1%} as much as real images do. "
            "The generator has collapsed, or has not begun. From an earlier snapshot, try a lower "
            "learning rate of it, a larger batch, or more of the discriminator's penalty.",
        )  # fmt: skip
        self.note(
            "won", step,
            None not in losses and all(0 <= loss < 0.01 for loss in losses) and not even,
            "The discriminator has won: it tells real from generated images without error, and "
            "the generator has little to learn from. Try a lower learning rate of the "
            "discriminator, a smaller one, or more of its penalty; with few data, augmentation.",
        )  # fmt: skip

    def note(self, kind, step, bad, verdict):
        self.ticks[kind] = self.ticks[kind] + 1 if bad else 0
        if self.ticks[kind] == 3:
            print(f"step {step}  {verdict}", flush=True)


def mean_distance(images):
    """Mean Euclidean distance of two images, seen at 64 x 64 pixels at most."""
    every = max(1, images.shape[1] // 64)
    return pdist(images[:, ::every, ::every].reshape(len(images), -1)).mean()
