"""InstaGAN: sets of masks in any order, empty ones, the kept ground, passes, both directions."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans.errors import BadInput
from tfgans.models.instagan import InstaGAN, SetDiscriminator, SetGenerator, background, mean_of

CONTRACT = {
    # Instance normalization of a few pixels makes steep gradients: they blow up any difference.
    "like_one_device": {"cycle_weight": 0.0},
    "rate": 3e-5,
    "atol": {"images": 1e-5},  # of the pools: fakes, made by the weights
    "served": ["generator_ab", "generator_ba"],
}
SIDE = 16


def small(**settings):
    sizes = {"image_shape": (SIDE, SIDE, 3), "width": 2, "blocks": 1, "patch_layers": 1}
    model = InstaGAN(**sizes | {"most_instances": 4, "pool_size": 0} | settings)
    model.compile(run_eagerly=True)
    return model


def pictures(seed=0, n=2):
    keys = np.random.RandomState(seed)
    return tf.constant(keys.uniform(-1, 1, [n, SIDE, SIDE, 3]), "float32")


def masks_of(*counts, slots=4, seed=0):
    """Squares of different areas at random places, `counts` of them in each example."""
    keys = np.random.RandomState(seed)
    found = np.full([len(counts), SIDE, SIDE, slots], -1, "float32")
    for n, count in enumerate(counts):
        for k in range(count):
            size = 8 - k - n % 2
            top, left = keys.randint(0, SIDE - size, 2)
            found[n, top : top + size, left : left + size, k] = 1
    return tf.constant(found)


def test_networks_of_the_paper():
    """Counts by hand: CycleGAN's encoders; decoders of 512 and 768 channels; D on 512."""
    with without_numbers():
        model = InstaGAN(pool_size=0)

    def conv(size, inputs, outputs):
        return size**2 * inputs * outputs + outputs

    def encoder(channels):
        blocks = 9 * 2 * conv(3, 256, 256)
        return conv(7, channels, 64) + conv(3, 64, 128) + conv(3, 128, 256) + blocks

    def decoder(width, channels):
        return (
            conv(3, width, width // 2)
            + conv(3, width // 2, width // 4)
            + conv(7, width // 4, channels)
        )

    expected = encoder(3) + encoder(1) + decoder(512, 3) + decoder(768, 1)
    assert trainable(model.generator_ab) == trainable(model.generator_ba) == expected

    def features(channels):
        return conv(4, channels, 64) + conv(4, 64, 128) + conv(4, 128, 256)

    expected = features(3) + features(1) + conv(4, 512, 1024) + conv(4, 1024, 1)
    assert trainable(model.discriminator_a) == trainable(model.discriminator_b) == expected
    vectors = 2 * (64 + 128 + 256) + 1024 + 1
    assert model.discriminator_a.count_params() == expected + vectors  # each convolution is divided
    with pytest.raises(BadInput, match="instances is a multiple of .*; not 3, 2 and 4"):
        small(instances=3)
    with pytest.raises(BadInput, match="not 4, 2 and 3"):
        small(most_instances=3)
    with pytest.raises(BadInput, match="halves 3 times needs images of at least 24"):
        small(patch_layers=3)
    with pytest.raises(BadInput, match="at least 8 pixels, not 4x8"):  # one pixel reflects nothing
        small(image_shape=(4, 8, 3), patch_layers=0)


def joined(image, masks):
    return tf.concat([image, masks], axis=-1)


def wide(network, seed=0):
    """The same network with numbers that matter: the start is near 0."""
    keys = np.random.RandomState(seed)
    network.set_weights([keys.normal(0, 0.3, w.shape) for w in network.get_weights()])
    return network


def test_the_order_of_instances_does_not_count():
    """G: other masks, other order; D: one score. Four masks, one of them empty."""
    image, masks = pictures(), masks_of(3, 4)
    order = [2, 3, 0, 1]
    g = wide(SetGenerator((SIDE, SIDE, 3), 4, 1))
    found, other = g(joined(image, masks)), g(joined(image, tf.gather(masks, order, axis=3)))
    np.testing.assert_allclose(found[..., :3], other[..., :3], atol=1e-5)
    np.testing.assert_allclose(tf.gather(found[..., 3:], order, axis=3), other[..., 3:], atol=1e-5)
    assert np.abs(found[..., 3] - found[..., 4]).max() > 0.1  # each mask is its own
    d = wide(SetDiscriminator((SIDE, SIDE, 3), 4, 1))
    found, other = d(joined(image, masks)), d(joined(image, tf.gather(masks, order, axis=3)))
    np.testing.assert_allclose(found, other, atol=1e-5 * np.abs(found).max())
    assert np.abs(found - d(joined(image, masks[::-1]))).max() > 1e-3


def test_an_empty_mask_changes_nothing():
    image, masks = pictures(), masks_of(2, 2, slots=2)
    empty = tf.fill([2, SIDE, SIDE, 1], -1.0)
    g = wide(SetGenerator((SIDE, SIDE, 3), 4, 1))
    found, more = g(joined(image, masks)), g(joined(image, joined(masks, empty)))
    np.testing.assert_allclose(more[..., :5], found, atol=1e-5)
    np.testing.assert_array_equal(more[..., 5:], empty)
    d = wide(SetDiscriminator((SIDE, SIDE, 3), 4, 1))
    found, more = d(joined(image, masks)), d(joined(image, joined(masks, empty)))
    np.testing.assert_allclose(found, more, atol=1e-5 * np.abs(found).max())


def test_the_same_mask_twice_counts_twice():
    """Codes are summed over masks, in G and in D: a mean would forget their number."""
    image, once, codes = pictures(), masks_of(1, 1, slots=1), {"g": [], "d": []}
    g = wide(SetGenerator((SIDE, SIDE, 3), 4, 1))
    d = wide(SetDiscriminator((SIDE, SIDE, 3), 4, 1))
    g.decode_image = lambda x: codes["g"].append(x) or image
    d.judge = lambda x, training: codes["d"].append(x) or image
    for masks in (once, joined(once, once)):
        g(joined(image, masks))
        d(joined(image, masks))
    for one, two in codes.values():
        of_image, of_masks = tf.split(one, 2, axis=-1)
        assert np.abs(of_masks).max() > 0.1
        expected = tf.concat([of_image, 2 * of_masks], axis=-1)
        np.testing.assert_allclose(two, expected, rtol=1e-4, atol=1e-4)


def test_one_mask_at_least_is_read():
    """The first one of two empty masks is translated, as the code has it."""
    g = wide(SetGenerator((SIDE, SIDE, 3), 4, 1))
    empty = tf.fill([1, SIDE, SIDE, 2], -1.0)
    found = g(joined(pictures(n=1), empty))
    assert np.abs(found[..., 3] + 1).max() > 0.01
    np.testing.assert_array_equal(found[..., 4], empty[..., 0])


def replaced(model, ab, ba, score=0.25):
    """Known generators of image with masks, and discriminators that say one score."""
    model.generator_ab = lambda x, training: ab(x)
    model.generator_ba = lambda x, training: ba(x)
    model.discriminator_a = model.discriminator_b = lambda x, training: tf.fill(
        [len(x), 5, 5, 1], score
    )
    return model


def shifted(delta, where):
    """Adds a number to the image where `where` is 1; masks stay."""

    def there(x):
        return joined(x[..., :3] + delta * where, x[..., 3:])

    return there


def test_context_is_the_change_of_the_ground():
    """0 for any change inside of the masks; 10 |delta| (share of the ground) for a shift."""
    model, a = small(), joined(pictures(1), masks_of(2, 2, slots=2))
    ground = background(a[..., 3:])
    inside, share = 1 - ground, float(tf.reduce_mean(ground))
    assert 0.5 < share < 0.95
    for delta, where, expected in (
        (0.7, inside, 0.0),
        (0.7, ground, 7 * share),
        (-0.2, 1, 2 * share),
    ):
        there = shifted(delta, where)
        terms, _ = replaced(model, there, lambda x: x).generators_loss(a, a, [], [])
        assert float(terms["context"]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    # A mask that grows takes its pixels out of the ground.
    terms, _ = replaced(
        model, lambda x: joined(x[..., :3] + 0.5, tf.ones_like(x[..., 3:])), lambda x: x
    ).generators_loss(a, a, [], [])
    assert float(terms["context"]) == 0.0


def test_terms_of_known_generators():
    """Images and masks count in cycle and identity; identity is of the domain's own generator."""
    model = small(identity_weight=0.5)
    a, b = (joined(pictures(k), masks_of(2, 2, slots=2, seed=k)) for k in (1, 2))

    def size(x):
        return float(tf.reduce_mean(tf.abs(x)))

    terms, fakes = replaced(model, tf.identity, tf.identity).generators_loss(a, b, [], [])
    assert float(terms["fake"]) == pytest.approx(2 * 0.75**2)
    for key in ("cycle", "identity", "context"):
        assert float(terms[key]) == 0.0
    np.testing.assert_array_equal(fakes[0], b)  # of the domain a, made of b
    terms, _ = replaced(model, lambda x: -x, lambda x: -x).generators_loss(a, b, [], [])
    assert float(terms["cycle"]) == 0.0
    assert float(terms["identity"]) == pytest.approx(0.5 * 10 * 2 * (size(a) + size(b)), rel=1e-5)
    # The generator to b leaves b alone, and that to a does not leave a alone.
    terms, _ = replaced(model, tf.identity, lambda x: 0 * x).generators_loss(a, b, [], [])
    assert float(terms["identity"]) == pytest.approx(5 * size(a), rel=1e-5)
    assert float(terms["cycle"]) == pytest.approx(10 * (size(a) + size(b)), rel=1e-5)
    active = tf.constant([True, True])
    d = replaced(model, None, None).discriminators_loss(a, b, a, b, active, active)
    assert float(d["a"]) == float(d["b"]) == pytest.approx(0.5 * (0.75**2 + 0.25**2))


def test_only_examples_with_instances_count():
    active = tf.constant([True, False])
    values = tf.constant([[1.0, 3.0], [50.0, 60.0]])
    assert float(mean_of(active, values)) == 1.0
    model = small()
    x = joined(pictures(1), masks_of(2, 0, slots=2))
    terms, (fake_a, fake_b) = replaced(model, lambda x: -x, lambda x: 3 * x).generators_loss(
        x, x, [], []
    )
    for fake, factor in ((fake_a, 3), (fake_b, -1)):
        np.testing.assert_array_equal(fake, tf.concat([factor * x[:1], x[1:]], axis=0))
    alone, _ = model.generators_loss(x[:1], x[:1], [], [])
    for key, term in terms.items():
        assert float(term) == pytest.approx(float(alone[key]) / 2, rel=1e-5)


def test_two_moves_of_each_player_for_four_instances(monkeypatch):
    """The largest two first; the next two in the detached image of before; D sees all so far."""
    model = small(instances=4, per_pass=2)
    image = {key: pictures(k) for k, key in enumerate("ab")}
    masks = {key: masks_of(4, 3, seed=k)[..., ::-1] for k, key in enumerate("ab")}
    calls, judged = [], []
    loss = model.generators_loss
    monkeypatch.setattr(model, "generators_loss", lambda *args: calls.append(args) or loss(*args))
    own = model.discriminators_loss
    monkeypatch.setattr(
        model, "discriminators_loss", lambda *args: judged.append(args) or own(*args)
    )
    sizes = {"before": model.generator_ab.get_weights()[0]}
    model.train_on_batch(
        {
            f"{key}{end}": (image if end == "" else masks)[key]
            for key in "ab"
            for end in ("", "_masks")
        }
    )
    assert len(calls) == len(judged) == 2
    assert [int(o.iterations) for o in model.optimizers.values()] == [2, 2]
    assert not np.array_equal(sizes["before"], model.generator_ab.get_weights()[0])
    ordered = masks["a"][..., ::-1]  # the largest is the first
    for k in range(2):
        x, _, before_a, before_b = calls[k]
        np.testing.assert_array_equal(x[..., 3:], ordered[..., 2 * k : 2 * k + 2])
        real_a, _, old_a, old_b, active_a, _ = judged[k]
        np.testing.assert_array_equal(real_a, joined(image["a"], ordered))
        assert old_b.shape[3] == 7 and len(before_a) == len(before_b) == k
        empty = tf.reduce_all(old_b[..., 3:] == -1, axis=[1, 2]).numpy()
        assert empty[:, 2 * k + 2 :].all() and not empty[:, : 2 * k + 1].any()
    np.testing.assert_array_equal(calls[0][0][..., :3], image["a"])
    first, second = judged[0][3], judged[1][3]  # without a pool, the fakes of b themselves
    np.testing.assert_array_equal(calls[1][0][..., :3], first[..., :3])
    np.testing.assert_array_equal(calls[1][3][0], first[..., 3:5])
    np.testing.assert_array_equal(second[..., 3:5], first[..., 3:5])
    np.testing.assert_array_equal(judged[1][4], [True, True])


def test_no_gradient_of_a_pass_reaches_an_earlier_one():
    """A generator's gradient of the second pass is that of a pass that gets its image as it is."""
    model, given, moves = small(instances=2, per_pass=1), [], []
    loss, vectors = model.generators_loss, model.non_trainable_variables

    def watched(*args):
        given.append((args, [v.numpy() for v in vectors]))  # power iterations go on in each pass
        return loss(*args)

    model.generators_loss = watched
    model.optimizers["generators"].apply = lambda gradients, _: moves.append(gradients)
    model.optimizers["discriminators"].apply = lambda *_: None
    batch = {key: pictures(k) for k, key in enumerate("ab")}
    model.train_on_batch(batch | {f"{key}_masks": masks_of(2, 2) for key in "ab"})
    values, (args, state) = [w.value for w in model.weights_of("generators")], given[1]
    for vector, value in zip(vectors, state, strict=True):
        vector.assign(value)
    with tf.GradientTape() as tape:
        tape.watch(values)
        terms, _ = loss(*tf.nest.map_structure(lambda x: tf.constant(x.numpy()), args))
        total = tf.add_n(list(terms.values()))
    assert len(moves) == 2
    for found, wanted in zip(moves[1], tape.gradient(total, values, None, "zero"), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_use_takes_any_number_in_any_order(count):
    """Image as in passes by hand, the largest first; masks come back in the order given."""
    model = small()
    for seed, network in enumerate((model.generator_ab, model.generator_ba)):
        wide(network, seed)
    image, masks = pictures(), masks_of(count, count, slots=count)
    made = model.endpoints()["a_to_b"][0](image, masks)
    expected, outputs = image, []
    padded = tf.concat([masks, tf.fill([2, SIDE, SIDE, count % 2], -1.0)], axis=3)
    for k in range(0, count, 2):
        x = model.generator_ab(joined(expected, padded[..., k : k + 2]))
        expected = x[..., :3]
        outputs.append(x[..., 3:])
    np.testing.assert_allclose(made["image"], expected, atol=1e-5)
    np.testing.assert_allclose(made["masks"], tf.concat(outputs, 3)[..., :count], atol=1e-5)
    order = np.random.RandomState(1).permutation(count)
    again = model.endpoints()["a_to_b"][0](image, tf.gather(masks, order, axis=3))
    np.testing.assert_allclose(again["image"], made["image"], atol=1e-5)
    np.testing.assert_allclose(again["masks"], tf.gather(made["masks"], order, axis=3), atol=1e-5)
    back = model.translate(image, masks, direction="b_to_a")
    assert np.abs(back - made["image"]).max() > 1e-3
    np.testing.assert_array_equal(model.endpoints()["b_to_a"][0](image, masks)["image"], back)


def test_an_image_without_instances_stays_as_it_is():
    model, image = small(), pictures(n=3)
    made = model.endpoints()["a_to_b"][0](image, masks_of(0, 2, 4))
    np.testing.assert_array_equal(made["image"][0], image[0])
    assert (made["masks"].numpy()[0] == -1).all()
    alone = model.translate(image[1:2], masks_of(0, 2, 4)[1:2])
    np.testing.assert_allclose(made["image"][1:2], alone, atol=1e-5)


def test_the_preview_shows_image_masks_translation_and_way_back():
    model = small()
    batch = {
        "a": pictures(),
        "a_masks": masks_of(2, 1),
        "b": pictures(1),
        "b_masks": masks_of(3, 2),
    }
    table = model.preview({key: value.numpy() for key, value in batch.items()})
    assert table.shape == (4, 5, SIDE, SIDE, 3)
    np.testing.assert_array_equal(table[:2, 0], batch["a"])
    union = tf.reduce_max(batch["a_masks"], axis=-1)
    np.testing.assert_allclose(table[:2, 1, ..., 0], union, atol=1e-6)
    made = model.endpoints()["b_to_a"][0](batch["b"], batch["b_masks"])
    np.testing.assert_allclose(table[2:, 2], made["image"], atol=1e-6)
