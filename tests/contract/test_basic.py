"""The contract of every model, at the `tiny:` size of its own configuration."""

import importlib
import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import KEYS, TESTS, assert_same_use, contract, fit, inputs, samples, state, use

from tfgans import latents, random, training
from tfgans.digests import variables_of
from tfgans.errors import BadInput
from tfgans.latents import sefa
from tfgans.models import MODELS, get

ROOT = TESTS.parent
ALL = pytest.mark.parametrize("name", MODELS)
BASES = ("tfgans.models.base", "tfgans.models.latent", "tfgans.models.translation")


@pytest.mark.of_all_models
@ALL
def test_one_word_names_everything(name):
    file = ROOT / "tfgans" / "models" / f"{name}.py"
    for path in (file, ROOT / f"configs/{name}.yaml", ROOT / f"tests/models/test_{name}.py"):
        assert path.exists(), path
    assert inspect.getfile(get(name)) == str(file)
    doc = inspect.getdoc(inspect.getmodule(get(name)))
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|[Nn]o arXiv", doc)
    assert "New here:" in doc and "Reference:" in doc
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    assert any(f"`{name}`" in page.read_text() for page in pages)
    assert len(file.read_text().splitlines()) <= 600
    own = getattr(importlib.import_module(f"test_{name}"), "CONTRACT", {})
    assert own.keys() <= KEYS


@pytest.mark.of_all_models
@ALL
def test_defines_its_own_game(name):
    cls = get(name)
    assert "train_step" in vars(cls)
    assert [base.__module__ in BASES for base in cls.__bases__] == [True]


@pytest.mark.covering("gan", "sngan", "cyclegan", "stylegan2")
def test_settings_survive_saving_with_values_that_are_no_defaults(trained):
    model, cls = trained.model, type(trained.model)
    defaults = {k: p.default for k, p in inspect.signature(cls.__init__).parameters.items()}
    settings = {k: v for k, v in trained.settings.model.items() if v != defaults[k]}
    assert len(settings) >= 3
    again = cls.from_config(model.get_config())
    for key, value in settings.items():
        found = getattr(again, key)
        assert (list(found) if isinstance(value, list) else found) == value
    assert again.get_config() == model.get_config()
    assert again.count_params() == model.count_params()


def test_each_move_moves_its_own_player_only(trained):
    model = trained.model
    for name, values in trained.logs.items():
        assert re.fullmatch(r"\w+/\w+", name) and np.isfinite(values).all()
    for player, changed in trained.moved.items():
        own = {id(w) for w in model.weights_of(player)}
        assert changed <= own
        # Not all: a bias before a normalization has no gradient, a step can vanish in rounding.
        assert len(changed) >= 0.8 * len(own)
    assert int(model.step.numpy()) == sum(model.stage_steps) + 3


def test_a_gpu_holds_every_variable(trained):
    """One of int32 would lie in the host's memory, where a step compiled by XLA cannot reach it."""
    for variables in variables_of(trained.model).values():
        assert {variable.dtype for variable in variables} <= {"float32", "int64", "uint32"}


def test_saved_model_goes_on_where_it_was(trained):
    again = keras.models.load_model(trained.path)
    for a, b in zip(trained.state, state(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.now == int(again.step.numpy()) > 0  # its stage is that of the file
    again.run_eagerly = True
    fit(again, trained.settings, trained.source, steps=1)
    for a, b in zip(state(trained.model), state(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same_use(trained.use, use(again))


def test_use_is_a_function_of_seed_and_input_row_by_row(trained):
    model = trained.model
    assert_same_use(trained.use, use(model))
    assert_same_use({k: v[:2] for k, v in trained.use.items()}, use(model, n=2), atol=1e-5)
    batch = training.preview_batch(model, trained.source, trained.settings)
    previews = []
    for _ in range(2):
        with random.scope(3):
            previews.append(np.asarray(model.preview(batch)))
    # A text, or pictures, sound or film.
    assert previews[0].dtype.kind == "U" or np.isfinite(previews[0]).all()
    np.testing.assert_array_equal(*previews)


def test_sampling_or_serving(trained):
    """A seed makes images, or `serving_default` answers given ones, or texts."""
    model = trained.model
    if not samples(model):
        function, signature = model.endpoints()["serving_default"]
        ((word, answer),) = function(*inputs(signature, n=4, seed=3).values()).items()
        assert {"image", "condition", "map", "wave", "video"} & {spec.name for spec in signature}
        if word == "wave":  # of the length of the given one
            wanted = [8]
        elif word == "video":
            wanted = contract(trained.settings.architecture, "answer", clip_shape(model))
        else:
            image = contract(trained.settings.architecture, "answer", model.image_shape)
            wanted = {"image": image, "probability": [model.num_classes]}[word]
        assert answer.shape == (4, *wanted)
        return
    first = model.sample(4, seed=3).numpy()
    np.testing.assert_array_equal(first, model.sample(4, seed=3))
    np.testing.assert_allclose(first[:2], model.sample(2, seed=3), atol=1e-5)
    assert not np.array_equal(first, model.sample(4, seed=4))
    assert not np.array_equal(model.sample(2), model.sample(2))
    one = [model.length] if model.data_kind == "tokens" else model.image_shape
    assert first.shape == (4, *(clip_shape(model) if model.makes == "video" else one))


def test_sefa_reads_all_first_operations_on_z(trained, monkeypatch):
    """A holds the slopes in z of the dense layers whose input is linear in z; lengths aside."""
    model = trained.model
    try:
        space = latents.Space(model, 0 if model.label_dim else None)
    except BadInput:  # a translator, texts, a condition
        return
    if space.has_styles or not isinstance(space.generator, keras.Model):
        return  # it reads w, or its own file says where z enters
    seen, call = [], keras.layers.Dense.call

    def watched(layer, x, *args, **kwargs):
        seen.append((x, tf.convert_to_tensor(layer.kernel)))
        return call(layer, x, *args, **kwargs)

    def slopes(z):
        """The change of each input for a step in each number of z, [latent_dim, inputs]."""
        seen.clear()
        space.synthesize(tf.concat([z, z + tf.eye(model.latent_dim)], axis=0)[:, None])
        rows = [x.numpy()[-1 - model.latent_dim :] for x, _ in seen]
        return [x[1:] - x[:1] for x in rows]

    monkeypatch.setattr(keras.layers.Dense, "call", watched)
    z = tf.random.stateless_normal([1, model.latent_dim], [0, 0])
    rows = [
        (there @ kernel.numpy()).T
        for here, there, (_, kernel) in zip(slopes(z), slopes(-z), seen, strict=True)
        if there.any() and np.allclose(here, there, atol=1e-3 * np.abs(there).max())
    ]
    try:
        found = sefa.first_weights(space, [0])
    except BadInput:  # convolutions on z
        assert not rows
        return
    found, wanted = (unit_rows(a) for a in (found, np.concatenate(rows)))
    np.testing.assert_allclose(found.T @ found, wanted.T @ wanted, rtol=1e-3, atol=1e-3)


def unit_rows(a):
    return a / np.linalg.norm(a, axis=1, keepdims=True)


def clip_shape(model):
    return model.length, *model.image_shape
