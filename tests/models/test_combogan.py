"""ComboGAN: sizes, pairs, terms by hand, one code for all targets, idle domains, cost of a step."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.combogan import ComboGAN, averaged

CONTRACT = {
    # Instance normalization of a few pixels makes steep gradients: they blow up any difference.
    "rate": 3e-5,
    "atol": {"images": 1e-5},  # of the pools: fakes, made by the weights
    "prepare": lambda model: setattr(model, "chosen", (0, 2)),
    "served": ["encoders", "decoders"],
}
SIDE = 12
DOMAINS = range(3)


def small(**settings):
    sizes = {"image_shape": (SIDE, SIDE, 3), "num_domains": 3, "width": 4, "pool_size": 0}
    blocks = {"encoder_blocks": 1, "decoder_blocks": 1, "patch_layers": 1}
    return ComboGAN(**sizes | blocks | settings)


def pictures(n=2, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, SIDE, SIDE, 3]), "float32")


BATCH = {str(k): pictures(seed=k) for k in DOMAINS}


@pytest.fixture(scope="module")
def model():
    """One that no test trains or changes. Its weights are far from 0, so that codes matter."""
    keras.utils.set_random_seed(0)
    found, keys = small(), np.random.RandomState(0)
    for network in (*found.encoders, *found.decoders):
        network.set_weights([keys.normal(0, 0.3, w.shape) for w in network.get_weights()])
    return found


def test_networks_of_the_paper():
    """Counts by hand: 4 and 5 blocks of 256 channels, halvings of 3x3, doublings of 4x4."""
    with without_numbers():
        model = ComboGAN(num_domains=3, pool_size=0)

    def conv(size, inputs, outputs):
        return size**2 * inputs * outputs + outputs

    block = 2 * conv(3, 256, 256)
    encoder = conv(7, 3, 64) + conv(3, 64, 128) + conv(3, 128, 256) + 4 * block
    decoder = 5 * block + conv(4, 256, 128) + conv(4, 128, 64) + conv(7, 64, 3)
    assert (encoder, decoder) == (5_099_136, 6_565_763)
    assert [len(x) for x in (model.encoders, model.decoders, model.discriminators)] == [3, 3, 3]
    for k in DOMAINS:
        assert trainable(model.encoders[k]) == model.encoders[k].count_params() == encoder
        assert trainable(model.decoders[k]) == model.decoders[k].count_params() == decoder
        assert trainable(model.discriminators[k]) == 2_764_737
        assert model.encoders[k].output_shape == (None, 64, 64, 256)
        assert model.decoders[k].output_shape == (None, 256, 256, 3)
        assert model.discriminators[k].output_shape == (None, 30, 30, 1)
    ups = [x for x in model.decoders[0].layers if isinstance(x, keras.layers.Conv2DTranspose)]
    assert [x.kernel_size for x in ups] == [(4, 4), (4, 4)]
    defaults = {w: vars(model)[f"{w}_weight"] for w in ("cycle", "autoencode", "forward", "latent")}
    assert defaults == {"cycle": 10.0, "autoencode": 0.0, "forward": 0.0, "latent": 0.0}
    assert ComboGAN.__init__.__defaults__[-3] == 50  # fakes in each pool


def test_pairs_are_drawn_alike_and_by_seed_and_step_alone(model):
    """Over 3,000 draws each of 3 pairs comes 1,000 +- 150 times, the first after any other."""
    model.compile(seed=1)
    drawn = []
    for model.now in range(3000):
        drawn.append(model.choice())
    counts = collections.Counter(drawn)
    assert counts.keys() == {(0, 1), (0, 2), (1, 2)} == {*model.choices}
    assert all(850 <= count <= 1150 for count in counts.values())
    again = sum(a == b for a, b in zip(drawn, drawn[1:], strict=False))
    assert 850 <= again <= 1150  # a draw does not know the one before
    model.now = 17
    assert model.choice() == drawn[17]
    model.compile(seed=2)
    others = []
    for model.now in range(100):
        others.append(model.choice())
    assert others != drawn[:100]
    model.now = 0


def changed(**networks):
    """A model with known networks: name -> function of (number of the domain, input)."""
    model = small(**networks.pop("settings", {}))
    for name in ("encoders", "decoders", "discriminators"):
        function = networks.get(name, lambda k, x: x)
        known = [lambda x, training, k=k, function=function: function(k, x) for k in range(3)]
        object.__setattr__(model, name, known)  # past Keras' tracking
    return model


def score(k, image):
    return tf.fill([len(image), 3, 3, 1], 0.25)


def losses(model, i=0, j=2, a=BATCH["0"], b=BATCH["2"]):
    found, fakes = model.generators_loss(i, j, a, b)
    assert {*found} == {f"generator_{i}", f"generator_{j}"}
    first, second = found.values()
    assert first is second  # one game: both players minimize all of it
    return {name: float(term) for name, term in first.items()}, fakes


def size(x):
    return float(tf.reduce_mean(tf.abs(x)))


def test_terms_of_known_networks():
    a, b = BATCH["0"], BATCH["2"]
    same, fakes = losses(changed(discriminators=score))
    assert same == {"fake": pytest.approx(2 * 0.75**2), "cycle": 0.0}
    np.testing.assert_array_equal(fakes[0], b)  # of the domain of a, made of b
    # Codes change sign on the way from 0 to 2 and on the way back.
    signs, _ = losses(changed(encoders=lambda k, x: -x if k == 0 else x, discriminators=score))
    assert signs["cycle"] == pytest.approx(10 * 2 * (size(a) + size(b)), rel=1e-5)
    blank, _ = losses(changed(decoders=lambda k, x: 0 * x if k == 2 else x, discriminators=score))
    assert blank["cycle"] == pytest.approx(10 * (size(a) + size(b)), rel=1e-5)
    one = changed(discriminators=lambda k, x: tf.fill([len(x), 3, 3, 1], 1.0 if k else 0.25))
    assert losses(one)[0]["fake"] == pytest.approx(0.75**2)
    d = changed(discriminators=score).discriminator_loss(1, a, b)
    assert float(d["real"]) == pytest.approx(0.5 * 0.75**2)
    assert float(d["fake"]) == pytest.approx(0.5 * 0.25**2)


def test_terms_that_are_off_by_default():
    """Own decoders, averages and codes, each by hand; the last grows from 0 over the training."""
    a, b = BATCH["0"], BATCH["2"]
    weights = {"autoencode_weight": 3.0, "forward_weight": 5.0, "latent_weight": 7.0}
    settings = weights | {"hold_steps": 30, "decay_steps": 10}

    def shifted(k, x):
        return x + (0.5 if k == 2 else 0.0)

    model = changed(decoders=shifted, discriminators=score, settings=settings)
    found, _ = losses(model)
    assert found["autoencode"] == pytest.approx(3 * 0.5, rel=1e-5)  # of b alone
    both = changed(decoders=lambda k, x: x + 0.5, discriminators=score, settings=settings)
    assert losses(both)[0]["autoencode"] == pytest.approx(3 * (0.5 + 0.5), rel=1e-5)
    ways = size(averaged(a) - averaged(b)) + 0.0
    apart = [averaged(b) - averaged(b), averaged(a + 0.5) - averaged(a)]
    assert found["forward"] == pytest.approx(5 * sum(map(size, apart)), rel=1e-4)
    assert ways > 0.05 and found["latent"] == 0.0
    model.step.assign(10)
    assert losses(model)[0]["latent"] == pytest.approx(7 * 0.25 * 0.5, rel=1e-5)
    model.step.assign(100)
    assert losses(model)[0]["latent"] == pytest.approx(7 * 0.5, rel=1e-5)
    assert averaged(a).shape == (2, 5, 5, 3)
    np.testing.assert_allclose(averaged(a)[0, 1, 2], tf.reduce_mean(a[0, 2:5, 4:7], [0, 1]), 1e-5)


def test_no_gradient_of_the_latent_term_moves_the_code_that_is_aimed_at():
    """With decoders that show nothing, only the code of the image itself could pull an encoder."""
    model = changed(
        encoders=lambda k, x: x * factor,
        decoders=lambda k, x: tf.zeros_like(x),
        discriminators=score,
        settings={"latent_weight": 1.0, "cycle_weight": 0.0},
    )
    model.step.assign(10**6)
    factor = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(factor)
        terms, _ = model.generators_loss(0, 2, BATCH["0"], BATCH["2"])
        latent = terms["generator_0"]["latent"]
    assert float(latent) > 0.5
    assert tape.gradient(latent, factor, unconnected_gradients="zero") == 0.0


def test_domains_are_not_mixed_up(model):
    """Each network is given the images or codes that are for it, in their order."""
    seen = collections.defaultdict(list)
    watched = small()
    for name in ("encoders", "decoders", "discriminators"):

        def recorded(k, name):
            def call(x, training):
                assert training
                seen[name, k].append(x)
                return getattr(model, name)[k](x, training=True)

            return call

        object.__setattr__(watched, name, [recorded(k, name) for k in DOMAINS])
    a, b = BATCH["1"], BATCH["2"]
    e, d = model.encoders, model.decoders
    code_a, code_b = e[1](a), e[2](b)
    fake_a, fake_b = d[1](code_b), d[2](code_a)
    _, fakes = watched.generators_loss(1, 2, a, b)
    wanted = {
        ("encoders", 1): [a, fake_a],
        ("encoders", 2): [b, fake_b],
        ("decoders", 1): [code_b, e[2](fake_b)],
        ("decoders", 2): [code_a, e[1](fake_a)],
        ("discriminators", 1): [fake_a],
        ("discriminators", 2): [fake_b],
    }
    assert seen.keys() == wanted.keys()
    for key, inputs in wanted.items():
        for found, expected in zip(seen[key], inputs, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=str(key))
    np.testing.assert_array_equal(fakes[0], fake_a)


def state_of(model, k):
    """All numbers of a domain: weights, pool, slots and counters of both optimizers."""
    players = (f"generator_{k}", f"discriminator_{k}")
    variables = [v for p in players for v in model.optimizers[p].variables]
    networks = model.encoders[k], model.decoders[k], model.discriminators[k], model.pools[k]
    return [v.numpy() for v in [*variables, *(v for x in networks for v in x.variables)]]


def same(before, after):
    return [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def test_an_idle_domain_is_the_same_bit_for_bit():
    """After steps with momentum: weights, slots, counters, learning rates and pools."""
    model = small(pool_size=3)
    model.compile(run_eagerly=True)
    pairs = iter([(0, 2), (0, 1)])
    model.choice = lambda: next(pairs)
    model.train_on_batch(BATCH)  # domain 2 has momentum now
    before = [state_of(model, k) for k in DOMAINS]
    logs = model.train_on_batch(BATCH)
    after = [state_of(model, k) for k in DOMAINS]
    assert all(same(before[2], after[2]))
    for k in (0, 1):
        assert np.mean(same(before[k], after[k])) < 0.4  # biases before a normalization stay
        assert model.pools[k].count.numpy() > 0
    assert {name for name in logs if "0" in name} == {
        *("generator_0/fake", "generator_0/cycle", "discriminator_0/real", "discriminator_0/fake")
    }
    for player in ("generator", "discriminator"):
        moves = [int(model.optimizers[f"{player}_{k}"].iterations) for k in DOMAINS]
        assert moves == [2, 1, 1]


def test_one_move_is_the_gradient_of_the_whole_game():
    """Plain descent on both generators' weights of the sum of all terms, each counted once."""
    model = small()
    rate = 0.5
    model.compile({p: keras.optimizers.SGD(rate) for p in model.players()}, run_eagerly=True)
    for network in (*model.encoders, *model.decoders):
        network.set_weights([30 * w for w in network.get_weights()])
    model.choice = lambda: (1, 2)
    a, b, moved = BATCH["1"], BATCH["2"], {}
    for k in (1, 2):
        weights = model.weights_of(f"generator_{k}")
        with tf.GradientTape() as tape:
            terms, _ = model.generators_loss(1, 2, a, b)
            total = tf.add_n(list(terms["generator_1"].values()))
        gradients = tape.gradient(total, [w.value for w in weights])
        moved[k] = [w - rate * g for w, g in zip(weights, gradients, strict=True)]
    model.train_on_batch(BATCH)
    for k in (1, 2):
        for w, wanted in zip(model.weights_of(f"generator_{k}"), moved[k], strict=True):
            np.testing.assert_allclose(w, wanted, atol=1e-4)


def test_pools_are_those_of_the_domains_and_hold_fakes_of_before():
    model, judged = small(pool_size=4), {}
    model.compile(run_eagerly=True)
    model.chosen = (0, 2)
    fakes = {0: model.translated(BATCH["2"], 2, 0), 2: model.translated(BATCH["0"], 0, 2)}
    loss = model.discriminator_loss

    def watched(k, real, old):
        judged[k] = real, old
        return loss(k, real, old)

    model.discriminator_loss = watched
    with random.scope(0):
        model.train_step(BATCH)
    assert [int(pool.count) for pool in model.pools] == [2, 0, 2]
    for k in (0, 2):
        np.testing.assert_array_equal(judged[k][0], BATCH[str(k)])
        np.testing.assert_allclose(judged[k][1], fakes[k], atol=1e-6)
        np.testing.assert_allclose(model.pools[k].images[:2], fakes[k], atol=1e-6)
    assert np.abs(model.translated(BATCH["2"], 2, 0) - fakes[0]).max() > 1e-5


def test_a_step_costs_the_same_for_any_number_of_domains():
    """Its graph has the same operations, but for a check of each image that comes in.

    A compiled step leaves an idle domain alone, too.
    """
    kinds = []
    for n in (2, 4):
        model = small(num_domains=n, encoder_blocks=0, decoder_blocks=0)
        model.compile()
        model.chosen = (0, n - 1)
        batch = {str(k): pictures() for k in range(n)}
        step = model._graph(batch, model._moves)
        operations = step.graph.get_operations()
        kinds.append(collections.Counter(operation.type for operation in operations))
    more = kinds[1] - kinds[0]
    assert not kinds[0] - kinds[1] and sum(kinds[0].values()) > 3000
    # The two images more: their own placeholders, and the check that values are in [-1, 1].
    few = {"Placeholder", "Const", "Abs", "Max", "Any", "Greater", "LogicalNot", "If", "Identity"}
    assert more.keys() <= few and sum(more.values()) <= 2 * 20
    before = [state_of(model, k) for k in range(4)]
    step(batch)
    after = [state_of(model, k) for k in range(4)]
    assert [all(same(*states)) for states in zip(before, after, strict=True)] == [0, 1, 1, 0]


def test_one_code_serves_all_targets(model):
    """Enc(x) knows no target: kept, it gives the same bits as each translation by itself."""
    x = BATCH["0"]
    code = model.encoders[0](x, training=False)
    made = [model.decoders[j](code, training=False) for j in DOMAINS]
    for j in DOMAINS:
        np.testing.assert_array_equal(model.translated(x, 0, j), made[j])
        for k in range(j):
            assert np.abs(made[j] - made[k]).max() > 0.01
    for i in DOMAINS:  # any direction
        for j in DOMAINS:
            found = model.translate(x, i, j)
            wanted = model.decoders[j](model.encoders[i](x, training=False), training=False)
            np.testing.assert_array_equal(found, wanted)


def test_each_row_goes_its_own_way(model):
    x = pictures(5, seed=7)
    ways = tf.constant([2, 0, 2, 1, 1]), tf.constant([0, 0, 1, 2, 0])
    (found,) = model.endpoints()["translate"][0](x, *ways).values()
    for k in range(5):
        alone = model.translated(x[k : k + 1], int(ways[0][k]), int(ways[1][k]))
        np.testing.assert_allclose(found[k], alone[0], atol=1e-4)  # weights are large here
    np.testing.assert_array_equal(model.outputs(BATCH), model.translated(BATCH["0"], 0, 1))
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(BadInput, match="Domains are numbers from 0 to 2; the least"):
            model.translate(BATCH["0"], wrong, 1)
        with pytest.raises(BadInput, match="Domains are numbers from 0 to 2"):
            model.translate(BATCH["0"], 1, wrong)


def test_the_preview_has_a_row_for_each_domain_and_a_column_for_each_target(model):
    table = model.preview({key: np.asarray(value) for key, value in BATCH.items()})
    assert table.shape == (6, 3, SIDE, SIDE, 3)
    for i in DOMAINS:
        np.testing.assert_array_equal(table[3 + i, i], BATCH[str(i)][1])
        for j in {*DOMAINS} - {i}:
            alone = model.translated(BATCH[str(i)][1:2], i, j)
            np.testing.assert_allclose(table[3 + i, j], alone[0], atol=1e-5)


def test_rates_fall_with_the_moves_of_a_domain():
    """Each of 3 domains moves in two thirds of 60 and 30 steps, on average."""
    model = small(hold_steps=60, decay_steps=30)
    rate = model.default_optimizers()["generator_1"]
    assert (rate.beta_1, rate.beta_2) == (0.5, 0.999)
    rates = [float(rate._learning_rate(moves)) for moves in (0, 40, 50, 60, 70)]
    np.testing.assert_allclose(rates, [2e-4, 2e-4, 1e-4, 0, 0], atol=1e-9)


def test_bad_settings():
    with pytest.raises(BadInput, match="two or more domains, not 1"):
        small(num_domains=1)
    with pytest.raises(BadInput, match="multiples of 4, not 30x32"):
        small(image_shape=(30, 32, 3))
    with pytest.raises(BadInput, match="at least 8 pixels, not 4x8"):  # one pixel reflects nothing
        small(image_shape=(4, 8, 3), patch_layers=0)


def test_tools_ask_for_both_domains(model, tool, tmp_path):
    """A file through tools/translate.py is what `translate` makes; a line says what is missing."""
    release, folder = tmp_path / "model.keras", tmp_path / "images"
    model.save(release)
    folder.mkdir()
    picture = np.random.RandomState(0).randint(0, 256, [SIDE, SIDE, 3]).astype("uint8")
    Image.fromarray(picture).save(folder / "one.png")
    tool(tmp_path, "translate", release, folder, "--from", "2", "--to", "1", "--single")
    found = np.asarray(Image.open(tmp_path / "translated" / "one.png")).astype(int)
    wanted = model.translated(picture[None] / np.float32(127.5) - 1, 2, 1)[0]
    assert np.abs(found - np.clip(127.5 * wanted + 128, 0, 255).astype(int)).max() <= 1
    for words, line in (
        (["--from", "2"], "serving_default of ComboGAN needs --from and --to."),
        (["--from", "2", "--to", "3"], "Domains are numbers from 0 to 2; the least and greatest"),
    ):
        answer = tool(tmp_path, "translate", release, folder, *words)
        assert answer.returncode and line in answer.stderr
    words = [f"image={folder}", "source=2", "target=0,1,2", "--out", "used"]
    tool(tmp_path, "use", release, "translate", *words)
    (file,) = (tmp_path / "used").iterdir()
    assert Image.open(file).size == (2 * SIDE, 2 * SIDE)
