"""PizzaGAN: masks that keep the image, terms by hand, idle modules, the order of layers."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans.errors import BadInput
from tfgans.models.pizzagan import PizzaGAN, build_module, composed

CONTRACT = {
    "prepare": lambda model: setattr(model, "chosen", 0),
    "served": ["adders", "removers", "discriminator"],
}
SIDE = 16
CLASSES = range(3)


def small(**settings):
    sizes = {"image_shape": (SIDE, SIDE, 3), "num_classes": 3, "width": 4, "blocks": 1}
    return PizzaGAN(**sizes | settings)


def pictures(n=4, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, SIDE, SIDE, 3]), "float32")


X = pictures()
LABEL = tf.constant([[0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]], "float32")
BATCH = {"image": X, "label": LABEL}


@pytest.fixture(scope="module")
def model():
    """One that no test trains or changes. Its weights are far from 0, so that images matter."""
    keras.utils.set_random_seed(0)
    found, keys = small(), np.random.RandomState(0)
    for network in (*found.adders, *found.removers):
        network.set_weights([keys.normal(0, 0.3, w.shape) for w in network.get_weights()])
    return found


def test_networks_of_the_paper():
    """CycleGAN's generators with a second head of one channel; StarGAN's trunk with two heads."""
    with without_numbers():
        model = PizzaGAN(num_classes=2)
        smaller = build_module((128, 128, 3), blocks=6)
    head = 7 * 7 * 64 + 1
    for network in (*model.adders, *model.removers):
        assert trainable(network) == network.count_params() == 11_378_179 + head
        assert network.output_shape == (None, 256, 256, 4)
    assert trainable(smaller) == 7_837_699 + head
    score, logits = model.discriminator.output_shape
    assert score == (None, 2, 2, 1) and logits == (None, 2)
    assert len(model.players()) == 5
    weights = {name: vars(model)[f"{name}_weight"] for name in ("class", "cycle", "mask")}
    assert weights == {"class": 1.0, "cycle": 10.0, "mask": 0.01}
    for optimizer in small().default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)


def flat_masks(network, bias):
    """The same network, whose mask is sigmoid(bias) everywhere."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    head = [layer for layer in copy.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    assert head.filters == 1
    head.set_weights([np.zeros(head.kernel.shape), np.full([1], bias)])
    return copy


@pytest.mark.parametrize("training", [False, True])
def test_a_mask_of_0_is_the_image_bit_for_bit_and_one_of_1_the_appearance(model, training):
    for network in (model.adders[1], model.removers[2]):
        both = flat_masks(network, -1e4)(X, training=training)
        image, mask = composed(X, both)
        assert not mask.numpy().any() and np.abs(both[..., :3]).max() > 0.1
        np.testing.assert_array_equal(image, X)
        both = flat_masks(network, 1e4)(X, training=training)
        image, mask = composed(X, both)
        assert (mask.numpy() == 1).all()
        np.testing.assert_array_equal(image, both[..., :3])


def known(model, adder, remover, score=0.25, logits=None):
    """Known modules: functions image -> (appearance, mask); a D that says one score everywhere."""

    def module(function):
        def call(image, training):
            appearance, mask = function(image)
            mask = tf.broadcast_to(tf.cast(mask, "float32"), [*image.shape[:3], 1])
            return tf.concat([tf.broadcast_to(appearance, image.shape), mask], axis=-1)

        return call

    def judge(image, training):
        return tf.fill([len(image), 2, 2, 1], score), tf.zeros([len(image), 3])

    for name, value in (
        ("adders", [module(adder)] * 3),
        ("removers", [module(remover)] * 3),
        ("discriminator", logits or judge),
    ):
        object.__setattr__(model, name, value)  # past Keras' tracking
    return model


HALF = (np.arange(SIDE) < SIDE // 2).astype("float32")[:, None, None]  # the upper half of an image


def terms_of(model, k=1, image=X):
    found, fake = model.modules_loss(k, image, LABEL)
    first, second = found.values()
    assert [*found] == [f"adder_{k}", f"remover_{k}"] and first is second
    return {name: float(term) for name, term in first.items()}, fake


def test_the_way_back_is_exact_where_the_other_module_paints_what_was_there():
    def paint(image):
        return tf.constant(0.5), HALF

    there = known(small(), paint, lambda image: (X, HALF))
    terms, fake = terms_of(there)
    assert terms["cycle"] > 0.1  # images 0 and 1 have the class: what is added to them is 0.5
    np.testing.assert_array_equal(fake[:2], X[:2])
    np.testing.assert_array_equal(fake[2:, SIDE // 2 :], X[2:, SIDE // 2 :])
    assert (fake.numpy()[2:, : SIDE // 2] == 0.5).all()
    same = known(small(), lambda image: (X, HALF), lambda image: (X, HALF))
    assert terms_of(same)[0]["cycle"] == 0.0
    # Complementary masks and one appearance, the image.
    other = known(small(), lambda image: (X, HALF), lambda image: (X, 1 - HALF))
    assert terms_of(other)[0]["cycle"] == 0.0
    # The mask is on the side of the appearance.
    wrong = known(small(), paint, lambda image: (X, 1 - HALF))
    size = float(tf.reduce_mean(tf.abs(X[:, : SIDE // 2] - 0.5))) / 2
    assert terms_of(wrong)[0]["cycle"] == pytest.approx(10 * size, rel=1e-5)


def test_terms_of_known_networks():
    model = known(small(), lambda x: (x + 1.0, 0.5), lambda x: (x - 1.0, 0.25))
    terms, _ = terms_of(model)
    assert terms["fake"] == pytest.approx(0.75**2)
    assert terms["class"] == pytest.approx(3 * np.log(2), rel=1e-5)  # summed over the classes
    assert terms["mask"] == pytest.approx(0.01 * (0.25 + 0.5), rel=1e-5)  # there and back
    # Half of the shift by the one module, a quarter by the other one.
    assert terms["cycle"] == pytest.approx(10 * 0.25, rel=1e-5)
    d = model.discriminator_loss(X, LABEL, X)
    assert float(d["real"]) == pytest.approx(0.75**2)
    assert float(d["fake"]) == pytest.approx(0.25**2)
    assert float(d["class"]) == pytest.approx(3 * np.log(2), rel=1e-5)


def test_images_without_the_class_get_it_and_others_lose_it():
    """Modules count for their own images; the classes that D shall read differ in this one."""
    read = []

    def judge(image, training):
        return tf.zeros([len(image), 2, 2, 1]), tf.zeros([len(image), 3])

    model = known(small(), lambda x: (x + 1.0, 1.0), lambda x: (x - 3.0, 1.0), logits=judge)
    error = model.reading_error
    model.reading_error = lambda logits, label: read.append(label) or error(logits, label)
    for k in CLASSES:
        _, fake = terms_of(model, k)
        shift = tf.where(LABEL[:, k] > 0, -3.0, 1.0)
        np.testing.assert_allclose(
            fake - X, tf.broadcast_to(shift[:, None, None, None], X.shape), 1e-5
        )
        wanted = LABEL.numpy()
        wanted[:, k] = 1 - wanted[:, k]
        np.testing.assert_array_equal(read[-1], wanted)
    there = LABEL[:, 0] > 0
    np.testing.assert_allclose(
        model.toggled(0, X, there, False)[0] - X,
        tf.where(there, -3.0, 1.0)[:, None, None, None] * tf.ones_like(X),
        1e-5,
    )


def test_each_module_is_moved_by_its_own_images_alone():
    """With images of one kind, the other module moves only by the way back."""
    model = small(cycle_weight=0.0, mask_weight=0.0)
    for there in (0.0, 1.0):
        label = tf.concat([tf.fill([4, 1], there), LABEL[:, 1:]], axis=1)
        weights = {p: [w.value for w in model.weights_of(p)] for p in ("adder_0", "remover_0")}
        with tf.GradientTape() as tape:
            tape.watch(weights)
            terms, _ = model.modules_loss(0, X, label)
            total = tf.add_n(list(terms["adder_0"].values()))
        found = tape.gradient(total, weights, unconnected_gradients="zero")
        sizes = {p: max(float(tf.reduce_max(tf.abs(g))) for g in own) for p, own in found.items()}
        own, other = ("remover_0", "adder_0") if there else ("adder_0", "remover_0")
        assert sizes[own] > 1e-6 and sizes[other] == 0.0


def test_d_learns_classes_from_real_images_alone(model):
    """Its class term is the same for any fakes; real and fake scores are its own."""
    one, other = (model.discriminator_loss(X, LABEL, pictures(seed=k)) for k in (1, 2))
    assert float(one["class"]) == float(other["class"]) and one["real"] == other["real"]
    swapped = model.discriminator_loss(pictures(seed=1), LABEL, X)
    score, logits = model.discriminator(X, training=True)
    errors = tf.nn.sigmoid_cross_entropy_with_logits(LABEL, logits)
    assert float(one["class"]) == pytest.approx(float(tf.reduce_sum(errors)) / 4, rel=1e-5)
    assert float(one["real"]) == pytest.approx(float(tf.reduce_mean((score - 1) ** 2)), rel=1e-5)
    assert float(swapped["fake"]) == pytest.approx(float(tf.reduce_mean(score**2)), rel=1e-5)


def state_of(model, players):
    variables = [v for p in players for v in model.optimizers[p].variables]
    variables += [v for p in players for network in model.players()[p] for v in network.variables]
    return [v.numpy() for v in variables]


def test_idle_modules_are_the_same_bit_for_bit():
    """After steps with momentum: weights, slots, counters of all modules of other classes."""
    model = small()
    model.compile(run_eagerly=True)
    chosen = iter([2, 1])
    model.choice = lambda: next(chosen)
    model.train_on_batch(BATCH)
    players = {k: (f"adder_{k}", f"remover_{k}") for k in CLASSES}
    before = {k: state_of(model, own) for k, own in players.items()}
    logs = model.train_on_batch(BATCH)
    for k, own in players.items():
        pairs = zip(before[k], state_of(model, own), strict=True)
        same = [np.array_equal(a, b) for a, b in pairs]
        assert all(same) if k != 1 else np.mean(same) < 0.4
    moves = {p: int(o.iterations) for p, o in model.optimizers.items()}
    assert moves.pop("discriminator") == 2
    assert moves == {f"{word}_{k}": int(k > 0) for word in ("adder", "remover") for k in CLASSES}
    assert {name for name in logs if "adder_1" in name} == {
        f"adder_1/{term}" for term in ("fake", "class", "cycle", "mask")
    }


def test_fakes_of_d_are_those_of_before_the_modules_moved():
    model, judged = small(), []
    model.compile(run_eagerly=True)
    model.choice = lambda: 0
    wanted, _ = model.toggled(0, X, LABEL[:, 0] > 0, True)
    loss = model.discriminator_loss
    model.discriminator_loss = lambda *given: judged.append(given) or loss(*given)
    model.train_on_batch(BATCH)
    ((real, label, fake),) = judged
    np.testing.assert_array_equal(real, X)
    np.testing.assert_array_equal(label, LABEL)
    np.testing.assert_allclose(fake, wanted, atol=1e-6)
    now, _ = model.toggled(0, X, LABEL[:, 0] > 0, True)
    assert np.abs(now - wanted).max() > 1e-5


def test_classes_are_drawn_alike_and_by_seed_and_step_alone(model):
    model.compile(seed=1)
    drawn = []
    for model.now in range(3000):
        drawn.append(model.choice())
    counts = collections.Counter(drawn)
    assert counts.keys() == {*model.choices} == {*CLASSES}
    assert all(850 <= count <= 1150 for count in counts.values())
    assert 850 <= sum(a == b for a, b in zip(drawn, drawn[1:], strict=False)) <= 1150
    model.now = 17
    assert model.choice() == drawn[17]
    model.now = 0


def test_layers_are_taken_off_from_the_largest_mask_down():
    """Masks of 2, 8 and 5 rows, the largest one the faintest; D says which layers there are."""
    model, rows, values = small(), (2, 8, 5), (0.9, 0.6, 0.8)

    def remover(k):
        mask = values[k] * (np.arange(SIDE) < rows[k])[:, None, None]

        def call(image, training):
            appearance = tf.fill(image.shape, 10.0 ** -(k + 1))
            return tf.concat([appearance, tf.zeros_like(image[..., :1]) + mask], axis=-1)

        return call

    there = tf.constant([[1.0, 1, 1], [1, -1, 1], [-1, -1, -1], [-1, 1, -1]])
    object.__setattr__(model, "removers", [remover(k) for k in CLASSES])
    object.__setattr__(model, "discriminator", lambda image, training: (None, there))
    order, masks, images = model.peel(X)
    np.testing.assert_array_equal(order, [[1, 2, 0], [2, 0, -1], [-1, -1, -1], [1, -1, -1]])
    wanted = [[0.6, 0.8, 0.9], [0.8, 0.9, 0], [0, 0, 0], [0.6, 0, 0]]
    np.testing.assert_allclose(masks[:, 1, 5], wanted, atol=1e-6)
    np.testing.assert_array_equal(masks[:, 9], np.zeros([4, SIDE, 3]))
    np.testing.assert_array_equal(images[2], [X[2]] * 3)
    first = 0.6 * 0.01 + 0.4 * X[0, :5]
    np.testing.assert_allclose(images[0, 0, :5], first, atol=1e-6)
    np.testing.assert_allclose(images[0, 1, :5], 0.8 * 0.001 + 0.2 * first, atol=1e-6)
    np.testing.assert_array_equal(images[0, -1, 8:], X[0, 8:])
    np.testing.assert_array_equal(images[3, 1], images[3, 0])
    found = model.endpoints()["order"][0](X)
    np.testing.assert_array_equal(found["order"], order)
    np.testing.assert_array_equal(found["masks"], masks)


def test_use_takes_a_layer_for_each_row(model):
    layers = tf.constant([2, 0, 1, 0])
    for name, networks in (("add", model.adders), ("remove", model.removers)):
        found = model.endpoints()[name][0](X, layers)
        for k, layer in enumerate(layers.numpy()):
            image, mask = composed(X[k : k + 1], networks[layer](X[k : k + 1], training=False))
            np.testing.assert_allclose(found["image"][k], image[0], atol=1e-4)  # large weights
            np.testing.assert_allclose(found["mask"][k], mask[0], atol=1e-4)
        np.testing.assert_allclose(
            model.translate(X, layers, direction=name), found["image"], atol=1e-5
        )
    assert [*model.endpoints()] == ["serving_default", "add", "remove", "order"]
    with pytest.raises(BadInput, match="Layers are numbers from 0 to 2; the least and greatest"):
        model.add(X, [0, 1, 2, 3])
    outputs = model.outputs(BATCH)
    # Classes 0, 1, 2, 0 in turn: images 0 and 1 lack and have theirs, 2 and 3 have theirs.
    np.testing.assert_allclose(outputs[0], model.add(X[:1], 0)[0][0], atol=1e-4)
    for k, layer in ((1, 1), (2, 2), (3, 0)):
        np.testing.assert_allclose(outputs[k], model.remove(X[k : k + 1], layer)[0][0], atol=1e-4)


def test_the_preview_takes_all_layers_off_and_puts_them_on(model):
    table = model.preview({key: np.asarray(value) for key, value in BATCH.items()})
    assert table.shape == (4, 13, SIDE, SIDE, 3)
    np.testing.assert_array_equal(table[:, 0], X)
    _, masks, images = model.peel(X)
    for k in CLASSES:
        np.testing.assert_allclose(table[:, 1 + 2 * k, ..., :1], 2 * masks[..., k : k + 1] - 1)
        np.testing.assert_array_equal(table[:, 2 + 2 * k], images[:, k])
    image = images[:, -1]
    for k in CLASSES:
        image, mask = model.add(image, k)
        np.testing.assert_allclose(table[:, 8 + 2 * k], image, atol=1e-4)
        np.testing.assert_allclose(table[:, 7 + 2 * k, ..., 0], 2 * mask[..., 0] - 1, atol=1e-4)


def test_bad_settings():
    with pytest.raises(BadInput, match="takes num_classes = 1 or more, not 0"):
        small(num_classes=0)
    with pytest.raises(BadInput, match="multiples of 4, not 30x32"):
        small(image_shape=(30, 32, 3))
    with pytest.raises(BadInput, match="at least 8 pixels, not 4x8"):  # one pixel reflects nothing
        small(image_shape=(4, 8, 3))
