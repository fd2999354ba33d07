"""Adam as papers and authors' codes set it: the models whose own tests do not say it otherwise."""

import pytest
from tiny import tiny, without_numbers

from tfgans import models
from tfgans.optimizers import Adam

HALF, ZERO, OWN = (0.5, 0.999), (0.0, 0.9), (0.9, 0.999)  # betas


def at_first(optimizer):
    """The learning rate of the first step."""
    rate = optimizer._learning_rate
    return float(rate(0) if callable(rate) else optimizer.learning_rate)


@pytest.mark.parametrize(
    "name, rates, betas",
    [
        ("cartoongan", {"generator": 2e-4, "discriminator": 1e-5}, HALF),
        ("cogan", 2e-4, HALF),
        ("combogan", 2e-4, HALF),
        ("cyclegan", 2e-4, HALF),
        ("discogan", 2e-4, HALF),
        ("dtn", 3e-4, OWN),
        ("fashion_gan", 2e-4, HALF),
        ("ganilla", 2e-4, HALF),
        ("gaugan", {"generator": 1e-4, "discriminators": 4e-4}, ZERO),
        ("instagan", 2e-4, HALF),
        ("nicegan", 1e-4, HALF),
        ("pix2pix", 2e-4, HALF),
        ("pix2pixhd", 2e-4, HALF),
        ("pizzagan", 2e-4, HALF),
        ("stackgan", 2e-4, HALF),
        ("stargan", 1e-4, HALF),
        ("unit", 1e-4, HALF),
        ("vgan", 2e-4, HALF),
        ("vid2vid", 2e-4, HALF),
        ("xgan", {"generators": 1e-4, "discriminators": 1e-3, "critic": 2e-4}, HALF),
    ],
)
def test_adam_of_the_paper(name, rates, betas):
    with without_numbers():
        model = models.get(name)(**tiny(name).model)
    found = model.default_optimizers()
    assert {type(optimizer) for optimizer in found.values()} == {Adam}
    assert {(optimizer.beta_1, optimizer.beta_2) for optimizer in found.values()} == {betas}
    expected = rates if isinstance(rates, dict) else dict.fromkeys(model.players(), rates)
    assert {player: at_first(optimizer) for player, optimizer in found.items()} == pytest.approx(
        expected
    )
