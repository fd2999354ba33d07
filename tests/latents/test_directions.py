"""Each method finds planted directions."""

import keras
import numpy as np
import pytest

from tfgans import latents
from tfgans.errors import BadInput
from tfgans.latents import attributes, find, ganspace, interfacegan, sefa, tlgan
from tfgans.layers.conditional_norm import LinearConditionalNorm
from tfgans.models import ACGAN, SAGAN, ProGAN


def unit(rng, d):
    u = rng.randn(d)
    return u / np.linalg.norm(u)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


# Difference of means.


def test_difference_of_means():
    """For a half-space of N(0, I) it is 2 sqrt(2 / pi) along the normal, and noise elsewhere."""
    rng = np.random.RandomState(0)
    found = []
    for _ in range(20):
        u, z = unit(rng, 64), rng.randn(2000, 64)
        d = attributes.difference(z, z @ u > 0)
        found.append([d @ u, cosine(d, u)])
        assert abs((z + d) @ u - z @ u - found[-1][0]).max() < 1e-9
    along, near = np.mean(found, axis=0)
    assert abs(along - 2 * np.sqrt(2 / np.pi)) < 0.02
    assert abs(near - 1.596 / np.sqrt(1.596**2 + 63 * 4 / 2000)) < 0.005  # 0.976


def test_shuffled_labels_give_no_direction():
    rng = np.random.RandomState(0)
    u, z = unit(rng, 64), rng.randn(2000, 64)
    has = z @ u > 0
    cosines = [cosine(attributes.difference(z, rng.permutation(has)), u) for _ in range(50)]
    assert np.abs(cosines).max() < 0.4


def test_matched_means_leave_the_other_attribute_out():
    rng = np.random.RandomState(0)
    z = rng.randn(20_000, 16)
    other = z[:, 1] > 0
    has = np.where(
        rng.rand(len(z)) < 0.8, other, z[:, 0] > 0
    )  # correlated with the other attribute
    plain = attributes.difference(z, has)
    matched = attributes.difference(z, has, other[:, None])
    assert cosine(plain, np.eye(16)[1]) > 0.9
    assert abs(cosine(matched, np.eye(16)[1])) < 0.1 and cosine(matched, np.eye(16)[0]) > 0.9


def test_an_attribute_that_all_have():
    with pytest.raises(BadInput, match="codes with the attribute and codes without it"):
        attributes.difference(np.ones([4, 2]), [True] * 4)


# TL-GAN.


def test_tlgan_finds_both_axes_and_keeps_them_apart():
    e1, e2 = np.eye(8)[:2]
    true = np.array([e1, (e1 + e2) / 2**0.5])
    z = np.random.RandomState(0).randn(500, 8)
    scores = z @ true.T + [3.0, -1.0]
    axes = tlgan.feature_axes(z, scores)
    np.testing.assert_allclose(axes, true, atol=1e-6)
    found = tlgan.orthogonalize(axes, [0])
    np.testing.assert_allclose(found, [e1, e2], atol=1e-6)
    moved = (z + found[1]) @ true.T + [3.0, -1.0] - scores
    np.testing.assert_allclose(moved[:, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(moved[:, 1], 0.5**0.5, atol=1e-6)
    other = tlgan.orthogonalize(axes, [1, 0])  # the order of the base matters
    np.testing.assert_allclose(other, [(e1 - e2) / 2**0.5, true[1]], atol=1e-6)


@pytest.mark.parametrize("undone", [False, True])
def test_tlgan_learns_from_probabilities(undone):
    """sigmoid(4 w.z): the axes, and an edit that leaves the attribute of the base alone."""
    rng = np.random.RandomState(0)
    z, (u, v) = rng.randn(5000, 32), np.linalg.qr(rng.randn(32, 2))[0].T
    true = np.stack([u, 0.5 * u + 0.75**0.5 * v])  # at a cosine of 0.5
    shares = 1 / (1 + np.exp(-4 * z @ true.T))
    axes = tlgan.feature_axes(z, 2 * shares - 1 if undone else shares, tanh=undone)
    assert min(map(cosine, axes, true)) > (0.9995 if undone else 0.995)
    first, second = true @ axes[1]
    assert first / second == pytest.approx(0.5, abs=0.05)
    first, second = true @ tlgan.orthogonalize(axes, [0, 1])[1]
    assert abs(first / second) < 0.03


def test_probabilities_are_regressed_before_their_sigmoid():
    class Codes:
        def z(self, seeds):
            return np.random.RandomState(0).randn(len(seeds), 4) + [2.0, 0, 0, 0]

    codes = Codes().z(range(400))
    logits = np.clip(codes @ [[0.5, 3.0], [0.5, 0], [0, 1.0], [0, 0]], -5.5, 5.5)
    scores = np.stack([1 / (1 + np.exp(-logits[:, 0])), logits[:, 1]], axis=1)
    made = find.from_scores("tlgan", Codes(), (range(400), ["a", "b"], scores), "z", [0])
    wanted = tlgan.feature_axes(codes, logits)
    for edit, axis in zip(made, wanted, strict=True):
        assert cosine(edit.vector, axis) == pytest.approx(1.0, abs=1e-6)


def test_tlgan_base_axes_are_orthogonal():
    axes = np.random.RandomState(0).randn(6, 10)
    found = tlgan.orthogonalize(axes, [4, 1, 3])
    base = found[[4, 1, 3]]
    np.testing.assert_allclose(base @ base.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(found[[0, 2, 5]] @ base.T, 0.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    assert abs(found[0] @ found[2]) > 1e-3  # the others need not be orthogonal to each other
    np.testing.assert_allclose(found[4], axes[4] / np.linalg.norm(axes[4]))


def test_tlgan_undoes_a_tanh():
    rng = np.random.RandomState(0)
    z, u = rng.randn(2000, 8), unit(rng, 8)
    np.testing.assert_allclose(tlgan.feature_axes(z, np.tanh(z @ u / 2)[:, None], tanh=True)[0], u)
    hard = np.sign(z @ u)[:, None]  # atanh(+-1) would be infinite
    assert cosine(tlgan.feature_axes(z, hard, tanh=True)[0], u) > 0.99


def test_tlgan_refuses_what_it_cannot_learn_from():
    z = np.random.RandomState(0).randn(20, 8)
    with pytest.raises(BadInput, match=r"Attributes \[1\] .* the same score in all samples"):
        tlgan.feature_axes(z, np.stack([z[:, 0], np.ones(20)], axis=1))
    with pytest.raises(BadInput, match=r"Attributes \[0\] .* the same score in all samples"):
        tlgan.feature_axes(z, 0.998 + 0.001 * np.tanh(z[:, :1]), tanh=True)  # one after the clip
    with pytest.raises(BadInput, match="more than 8 scores, not 5"):
        tlgan.feature_axes(z[:5], z[:5, :1])
    with pytest.raises(BadInput, match="combination of the base axes"):
        tlgan.orthogonalize(np.eye(3)[[0, 1, 0]], [0, 1])


# InterFaceGAN.


def test_boundary_of_a_plane():
    rng = np.random.RandomState(0)
    u, z = unit(rng, 16), rng.randn(20_000, 16)
    normal = interfacegan.boundary(z, z @ u + 5.0)
    assert abs(np.linalg.norm(normal) - 1) < 1e-9 and cosine(normal, u) > 0.99
    np.testing.assert_allclose(interfacegan.boundary(z, -(z @ u)), -normal, atol=1e-4)


def test_boundary_has_the_widest_margin():
    """Four points by hand: the plane between (+-1, 0) and the same points shifted up is x = 0."""
    points = np.array([[-1.0, 0], [-1, 3], [1, 0], [1, 3], [9, 1.5]])
    normal = interfacegan.boundary(points[:4], [0, 0, 1, 1], share=0.5, cost=1e4)
    np.testing.assert_allclose(normal, [1, 0], atol=1e-3)
    # A far point on the right side moves the difference of means, not the boundary.
    x = np.concatenate([points, [[-1, 1.0]]])
    normal = interfacegan.boundary(x, [0, 0, 1, 1, 1, 0], share=0.5, cost=1e4)
    np.testing.assert_allclose(normal, [1, 0], atol=1e-3)


def test_boundary_takes_both_ends():
    """The scores between the ends do not matter."""
    rng = np.random.RandomState(0)
    z = rng.randn(10_000, 4)
    scores = np.where(np.abs(z[:, 0]) > 2, 10 * z[:, 0], z[:, 1])
    assert interfacegan.boundary(z, scores)[0] > 0.97
    with pytest.raises(BadInput, match="All scores are equal"):
        interfacegan.boundary(z, np.ones(10_000))


def test_conditional_directions():
    rng = np.random.RandomState(0)
    n, conditions = unit(rng, 12), np.array([unit(rng, 12) for _ in range(3)])
    one = interfacegan.conditional(n, conditions[0])
    expected = n - (n @ conditions[0]) * conditions[0]
    np.testing.assert_allclose(one, expected / np.linalg.norm(expected))
    several = interfacegan.conditional(n, conditions)
    np.testing.assert_allclose(conditions @ several, 0.0, atol=1e-6)
    assert abs(np.linalg.norm(several) - 1) < 1e-9 and several @ n > 0.5
    with pytest.raises(BadInput, match="combination of its conditions"):
        interfacegan.conditional(conditions[0] + conditions[1], conditions)


# SeFa.


def test_sefa_of_planted_weights():
    e1, e2 = np.eye(4)[:2]
    values, directions = sefa.sefa([3 * e1, e1, -2 * e2])
    np.testing.assert_allclose(values, [2, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(directions[:2], [e1, e2], atol=1e-12)
    values, _ = sefa.sefa([3 * e1, e1, -2 * e2], normalize=False)
    np.testing.assert_allclose(values, [10, 4, 0, 0], atol=1e-12)


def test_sefa_of_a_generator(space):
    """Compares with the definition: the change of the first operation for a step."""
    weights = sefa.first_weights(space, [0, 1, 2])
    synthesis = space.generator.synthesis
    layers = synthesis.convs[:3]
    assert weights.shape == (sum(layer.affine.units for layer in layers), 10)
    n = np.random.RandomState(0).randn(1, 10).astype("float32")
    outputs = [layer.affine(n) - layer.affine(0 * n) for layer in layers]
    np.testing.assert_allclose(
        np.concatenate(outputs, axis=1)[0], weights @ n[0] / 10**0.5, atol=1e-5
    )
    values, directions = sefa.sefa(weights)
    a = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    np.testing.assert_allclose(np.sum((a @ directions.T) ** 2, axis=0), values, atol=1e-8 * len(a))
    np.testing.assert_allclose(directions @ directions.T, np.eye(10), atol=1e-8)
    assert abs(values.sum() - len(weights)) < 1e-4 and np.all(np.diff(values) <= 0)
    largest = np.abs(directions).argmax(axis=1)
    assert np.all(directions[np.arange(10), largest] > 0)
    others = np.random.RandomState(1).randn(10_000, 10)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert np.sum((a @ others.T) ** 2, axis=0).max() < values[0]


def test_sefa_of_other_generators(model_of):
    progan = ProGAN(image_shape=(8, 8, 3), latent_dim=8, channel_base=64, channel_max=8)
    weights = sefa.first_weights(latents.Space(progan), [0])
    np.testing.assert_array_equal(weights, progan.generator_ema.dense.kernel.numpy().T)
    dcgan = model_of("dcgan")
    assert sefa.first_weights(latents.Space(dcgan), [0]).shape[1] == 6


def test_sefa_takes_the_rows_of_z_of_the_first_matrix():
    """Not those of the label before it, nor the vector of its spectral normalization."""
    sizes = {"image_shape": (16, 16, 1), "latent_dim": 4, "num_classes": 3}
    acgan = ACGAN(
        **sizes,
        architecture="cifar",
        dense_width=5,
        generator_channels=(4, 4),
        discriminator_channels=(4, 4),
    )
    sagan = SAGAN(
        **sizes, generator_channels=(8, 8, 8), discriminator_channels=(4, 8, 8), attention=8
    )
    for model, first in ((acgan, 3), (sagan, 0)):
        (kernel,) = (
            w.numpy()
            for w in model.sampling_generator.weights
            if w.name == "kernel" and len(w.shape) == 2
        )
        found = sefa.first_weights(latents.Space(model, 0), [0])
        np.testing.assert_array_equal(found, kernel[first:].T)


def test_a_layer_of_torgb_alone_has_no_directions(space):
    with pytest.raises(BadInput, match="layer 5 holds ToRGB alone.*give a layer of 0-4"):
        find.from_weights(space, [5], 2)
    assert len(find.from_weights(space, [4, 5], 2)) == 2


def test_sefa_of_stylegan(model_of):
    """A holds the gains and the biases of AdaIN, for the chosen layers and no other."""
    space = latents.Space(model_of("stylegan"))
    layers = space.generator.synthesis.convs[1:3]
    weights = sefa.first_weights(space, [1, 2])
    n = np.random.RandomState(0).randn(1, 5).astype("float32")
    outputs = [layer.affine(n) - layer.affine(0 * n) for layer in layers]
    wanted = weights @ n[0] / 5**0.5  # the layer's equalized learning rate
    np.testing.assert_allclose(np.concatenate(outputs, axis=1)[0], wanted, atol=1e-5)


def test_sefa_of_biggan(model_of):
    """A step of z moves the first layer, and all gains and biases, by A times the step."""
    space = latents.Space(model_of("biggan"), 0)
    weights = space.model.weights_on_z()
    generator = space.generator
    norms = [n for n in generator.layers if isinstance(n, LinearConditionalNorm)]
    seen = keras.Model(
        generator.inputs,
        [generator.get_layer("first").output]
        + [layer(norm.input[1]) for norm in norms for layer in (norm.to_gamma, norm.to_beta)],
    )
    label = np.eye(3, dtype="float32")[:1]
    step = np.random.RandomState(0).randn(1, 6).astype("float32")
    outputs = [np.ravel(a - b) for a, b in zip(
        seen([step, label]), seen([0 * step, label]), strict=True)]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(outputs), weights @ step[0], atol=1e-5)


# GANSpace.


def test_principal_components_of_known_codes():
    deviations = np.array([3, 2, 1, 0.5, 0.1])
    w = np.random.RandomState(0).randn(20_000, 5) * deviations + [100, 0, -50, 0, 7]
    components, found, mean = ganspace.principal_components(np.split(w, 10), 3)
    assert np.all(np.diag(components[:, :3]) > 0.99)
    np.testing.assert_allclose(found, [3, 2, 1], rtol=0.02)
    np.testing.assert_allclose(mean, w.mean(axis=0))
    # A full solver, and other batches in another order, give the same result.
    _, singular, rows = np.linalg.svd(w - w.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(components, sefa.signed(rows)[:3], atol=1e-6)
    np.testing.assert_allclose(found, singular[:3] / np.sqrt(len(w) - 1), rtol=1e-6)
    order = np.random.RandomState(1).permutation(20_000)
    again = ganspace.principal_components(np.array_split(w[order], 7), 3)
    np.testing.assert_allclose(again[0], components, atol=1e-6)
    np.testing.assert_allclose(again[1], found, rtol=1e-6)


def test_components_of_w_are_those_of_untruncated_w(space):
    components, deviations, mean = ganspace.components_of_w(space, 2, samples=2000, batch=500)
    z = np.concatenate([space.sample_z(500, first) for first in range(0, 2000, 500)])
    w = space.w(z).numpy()
    np.testing.assert_allclose(mean, w.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviations, (w @ components.T).std(axis=0), rtol=1e-3)


@pytest.mark.parametrize("name", ["stylegan", "biggan", "dcgan"])
def test_ganspace_moves_one_deviation_along_the_component(name, model_of):
    """By the paper's procedure: components of samples, and in z least squares on coordinates."""
    keras.utils.set_random_seed(0)
    space = latents.Space(model_of(name), 0 if name == "biggan" else None)
    for w in space.generator.weights:  # orthogonal at first: all components would be alike
        if len(w.shape) == 2 and not space.has_styles:
            w.assign(w * 2.0 ** -np.arange(w.shape[0], dtype="float32")[:, None])
    z = space.sample_z(5_000, 1)
    if space.has_styles:  # h is w itself, untruncated
        h = space.generator.mapping(z).numpy()
    else:
        h = z @ sefa.first_weights(space, [0]).T
    h = h - h.mean(axis=0)
    values, vectors = np.linalg.eigh(h.T @ h / (len(h) - 1))
    components, deviations = vectors.T[::-1], np.sqrt(values[-1:-3:-1])
    moves = find.from_components(space, [0], 2)
    assert [move.space for move in moves] == ["w" if space.has_styles else "z"] * 2
    for k, move in enumerate(moves):
        wanted = components[k] * deviations[k]
        if not space.has_styles:
            x = h @ components[k]
            wanted = deviations[k] * (x @ z) / (x @ x)
        assert abs(cosine(wanted, move.vector)) > 0.97
        assert np.linalg.norm(move.vector) == pytest.approx(np.linalg.norm(wanted), rel=0.05)
