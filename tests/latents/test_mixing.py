"""Style mixing and truncation tables."""

import numpy as np
import pytest

from tfgans import latents
from tfgans.errors import BadInput
from tfgans.models import GAN


def test_named_layers():
    assert latents.layers_of("coarse", 18) == [0, 1, 2, 3]
    assert latents.layers_of("middle", 18) == [4, 5, 6, 7]
    assert latents.layers_of("fine", 18) == list(range(8, 18))
    assert latents.layers_of("0-6", 18) == [0, 1, 2, 3, 4, 5, 6]
    assert latents.layers_of("1,4-5", 8) == [1, 4, 5]
    assert latents.layers_of("all", 8) == list(range(8))
    with pytest.raises(BadInput, match="layers 0-7, not fine"):
        latents.layers_of("fine", 8)
    with pytest.raises(BadInput, match="layers 0-7, not 0-8"):
        latents.layers_of("0-8", 8)
    with pytest.raises(BadInput, match="not 'corse'"):
        latents.layers_of("corse", 8)


def test_all_layers_give_the_other_image_and_complements_exchange(space):
    a, b = space.of_seeds([0, 1]).numpy()
    rest = [0, 3]
    some = [k for k in range(space.num_ws) if k not in rest]
    np.testing.assert_array_equal(latents.mix(a, b, some + rest), b)
    first, second = latents.mix(a, b, some), latents.mix(b, a, some)
    np.testing.assert_array_equal(latents.mix(first, second, some), a)
    np.testing.assert_array_equal(latents.mix(second, first, rest), a)
    whole = latents.mix(latents.mix(a, b, some), b, rest)
    np.testing.assert_array_equal(space.images(whole[None]), space.images(b[None]))


def activations(space, monkeypatch, ws):
    """The outputs of all convolutions."""
    seen = []
    kind = type(space.generator.synthesis.convs[0])
    original = kind.call
    monkeypatch.setattr(kind, "call", lambda *a, **k: seen.append(original(*a, **k)) or seen[-1])
    space.synthesize(ws)
    monkeypatch.undo()
    return [np.array(x) for x in seen]


def test_layers_below_the_first_mixed_one_do_not_change(space, monkeypatch):
    a, b = space.of_seeds([0]).numpy(), space.of_seeds([1]).numpy()
    before = activations(space, monkeypatch, a)
    after = activations(space, monkeypatch, latents.mix(a, b, [3, 4, 5]))
    for k in range(3):
        np.testing.assert_array_equal(before[k], after[k])
    assert np.abs(before[3] - after[3]).max() > 0.01


def test_truncation_commutes_with_mixing(space):
    z = space.z([0, 1])
    full, small = space.ws(z).numpy(), space.ws(z, truncation=0.4).numpy()
    mean = space.generator.w_avg.numpy()
    mixed = latents.mix(*full, [0, 1])
    np.testing.assert_allclose(
        latents.mix(*small, [0, 1]), mean + np.float32(0.4) * (mixed - mean), atol=1e-6
    )


def test_mixing_table(space):
    table = latents.mixing_table(space, [0, 1], [2, 3, 4], [0, 1, 2])
    assert table.shape == (3, 4, 16, 16, 3) and np.all(table[0, 0] == 1)
    a, b = space.of_seeds([1]).numpy(), space.of_seeds([4]).numpy()
    np.testing.assert_allclose(table[2, 0], space.images(a)[0], atol=1e-5)
    np.testing.assert_allclose(table[0, 3], space.images(b)[0], atol=1e-5)
    mixed = np.concatenate([b[:, :3], a[:, 3:]], axis=1)
    np.testing.assert_allclose(table[2, 3], space.images(mixed)[0], atol=1e-5)
    with pytest.raises(BadInput, match="GAN has no styles to mix"):
        gan = GAN(image_shape=(4, 4, 1), generator_width=4, discriminator_width=4)
        latents.mixing_table(latents.Space(gan), [0], [1], [0])


def test_truncation_table(space):
    table = latents.truncation_table(space, [0, 1], [0.0, 1.0])
    assert table.shape == (2, 2, 16, 16, 3)
    np.testing.assert_allclose(table[0, 0], table[1, 0], atol=1e-6)
    np.testing.assert_allclose(table[:, 1], space.images(space.of_seeds([0, 1])), atol=1e-5)
