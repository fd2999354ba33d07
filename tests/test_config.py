"""Configurations: strict words, one way to write a number, presets, what may differ on resume."""

import re

import numpy as np
import pytest
from PIL import Image
from tiny import without_numbers

from tfgans import config, data, models, training
from tfgans.config import Config
from tfgans.errors import BadInput, nearest

FACES = {"began": 64, "dragan": 64, "ebgan": 64, "fader": 256, "icgan": 64, "stargan": 128}


def test_all_configurations_can_be_read_and_written():
    assert len(config.names()) >= 5
    for name in config.names():
        settings = Config.load(name)
        again = Config.from_dict(config.parse(settings.to_yaml()))
        assert again == settings and not config.differences(settings, again)


@pytest.mark.parametrize(
    "change, message",
    [
        ("modell.width=3", "No section named 'modell'. Did you mean 'model'?"),
        ("model.n_critics=3", "No argument of wgan_gp named 'n_critics'. Did you mean 'n_critic'?"),
        ("data.batchsize=3", "No setting in data: named 'batchsize'. Did you mean 'batch_size'?"),
        ("train.step=3", "No setting in train: named 'step'. Did you mean 'steps'?"),
        ("train.steps=many", "train.steps must be int, not 'many'"),
        ("data.flip=1", "data.flip must be bool, not 1"),
        ("data.broken=ignore", "No data.broken named 'ignore'. Known: fail, skip."),
        ("data.direction=a_to_c", "No data.direction named 'a_to_c'. Did you mean 'a_to_b'?"),
        ("train.steps", "--set takes section.key=value"),
        ("architecture=wgan-pg", "No model named 'wgan-pg'. Did you mean 'wgan_gp'?"),
    ],
)
def test_misspelt_words_are_errors_that_name_the_nearest_right_one(change, message):
    with pytest.raises(ValueError) as error:
        Config.load("wgan_gp", changes=[change])
    assert message in str(error.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ("train.seed=-1", "train.seed must be a finite number from 0 to 4294967295, not -1."),
        ("data.batch_size=0", "data.batch_size must be a finite number of 1 or more, not 0."),
        ("data.value_range=[0, .inf]", "data.value_range must be [lowest, highest]"),
        ("model.n_critic=0", "model.n_critic must be a finite number of 1 or more, not 0."),
        ("model.latent_dim=-8", "model.latent_dim must be a finite number of 1 or more"),
        ("model.penalty_weight=.nan", "model.penalty_weight must be a finite number, not nan."),
        ("model.image_shape=[null, 32, 3]", "model.image_shape must not hold None"),
        ("optimizers.generator.learning_rate=.inf", "learning_rate must be a finite number of 0"),
        ("optimizers.generator.learning_rate=-1", "of 0 or more, not -1."),
        ("optimizers.generator.learning_rate=fast", "must be float or int, not 'fast'"),
        ("optimizers.generator.beta_2=2", "beta_2 must be a finite number from 0 to 1, not 2."),
    ],
)
def test_numbers_out_of_range_are_errors_that_name_the_range(change, message):
    with pytest.raises(BadInput) as error:
        Config.load("wgan_gp", "tiny", [change])
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_whole_number_is_good_enough_for_an_optimizer():
    """Keras fails in the first step where beta_1 is 0 and no float."""
    settings = Config.load("wgan_gp", "tiny", ["optimizers.generator.beta_1=0"])
    assert type(settings.optimizers["generator"]["beta_1"]) is float


def test_a_configuration_may_have_a_byte_order_mark(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbfarchitecture: gan\r\ntrain: {steps: 5}\r\n")
    assert Config.load(file).train.steps == 5


def test_misspelt_players_and_optimizer_settings_are_errors():
    from tfgans import training

    for changes, message in (
        ({"generater": {}}, "No player of GAN named 'generater'. Did you mean 'generator'?"),
        ({"generator": {"learning_rat": 1}}, "Did you mean 'learning_rate'?"),
    ):
        settings = Config.load("gan", "tiny")
        settings.optimizers = changes
        with pytest.raises(ValueError) as error:
            training.build(settings)
        assert message in str(error.value)


def test_optimizer_settings_are_merged_into_the_papers():
    from tfgans import training

    settings = Config.load("wgan_gp", "tiny", ["optimizers.generator.learning_rate=1e-3"])
    optimizers = training.build(settings).optimizers
    assert float(optimizers["generator"].learning_rate) == pytest.approx(1e-3)
    assert (optimizers["generator"].beta_1, optimizers["generator"].beta_2) == (0.0, 0.9)
    assert float(optimizers["discriminator"].learning_rate) == pytest.approx(2e-4)


def test_a_message_lists_some_of_many_words():
    words = [f"word{k:02}" for k in range(60)]
    assert nearest("word", "?", words).endswith("word38, word39 and 20 more.")
    assert nearest("word", "?", words[:40]).endswith("word38, word39.")


def test_missing_configuration_names_the_nearest():
    with pytest.raises(FileNotFoundError, match="Did you mean 'stylegan2'"):
        Config.load("stylgan2")
    assert Config.load("WGAN-GP") == Config.load("wgan_gp")


def test_numbers_with_exponents_are_numbers():
    assert config.parse("{a: 1e-3, b: 2E5, c: 1.5e+2, d: .5e1, e: 12, f: e1, g: 1.0}") == {
        "a": 1e-3, "b": 2e5, "c": 150.0, "d": 5.0, "e": 12, "f": "e1", "g": 1.0,
    }  # fmt: skip
    assert isinstance(config.parse("12"), int)


def test_sections_replace_single_settings_only():
    full, demo = Config.load("stylegan2"), Config.load("stylegan2", "demo")
    assert demo.train.keep == full.train.keep and demo.train.steps != full.train.steps
    changed = Config.load("stylegan2", "demo", ["model.mapping_layers=4", "data.path=x"])
    assert changed.model["mapping_layers"] == 4
    assert changed.model["image_shape"] == demo.model["image_shape"]
    with pytest.raises(ValueError, match="no section 'demo'"):
        Config.load("stylegan2-512", "demo")


def test_differences_are_listed_but_not_the_length_of_the_run():
    old = Config.load("gan", changes=["model.pieces=3"])
    new = Config.load("gan", changes=["train.steps=1", "train.seed=7", "model.latent_dim=4"])
    assert sorted(config.differences(old, new)) == [
        "model.latent_dim: not given -> 4",
        "model.pieces: 3 -> not given",
        "train.seed: 0 -> 7",
    ]


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("architecture: gan\ntrain: {steps: 5}\n")
    assert Config.load(file).train.steps == 5
    file.write_text("train: {steps: 5}\n")
    with pytest.raises(ValueError, match="must name its model"):
        Config.load(file)
    with pytest.raises(FileNotFoundError, match="no configuration file"):
        Config.load(tmp_path / "other.yaml")


def test_a_size_in_the_title_is_the_models():
    """Else the files' own size would make other networks."""
    count = 0
    for name in config.names():
        title = config.find(name).read_text(encoding="utf-8").splitlines()[0]
        sides = re.search(r"(\d+)x(\d+)", title)
        if sides:
            found = Config.load(name).model["image_shape"][:2]
            assert sorted(found) == sorted(map(int, sides.groups())), name
            count += 1
    assert count > 40


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    """Three files of CelebA's size, with all attributes that are asked for."""
    path = tmp_path_factory.mktemp("celeba")
    asked = {word for name in FACES for word in Config.load(name).data.attributes or ()}
    rows = [f"{k}.png " + " ".join(["1" if k else "-1"] * len(asked)) for k in range(3)]
    (path / "list_attr_celeba.txt").write_text("\n".join(["3", " ".join(sorted(asked)), *rows]))
    for k in range(3):
        Image.new("RGB", (178, 218), (50 * k, 0, 0)).save(path / f"{k}.png")
    return path


@pytest.mark.parametrize("name, side", FACES.items())
def test_files_of_celeba_have_the_size_of_the_paper(celeba, name, side):
    """In place of 178x218, which cannot be halved twice."""
    settings = Config.load(name, changes=[f"data.path={celeba}"])
    source = training.resolve(settings)
    assert source.shape == (218, 178, 3) and settings.model["image_shape"] == [side, side, 3]
    with without_numbers():
        model = models.get(settings.architecture)(**settings.model)
    reader = data.reader(model, source, settings.data)
    found = reader.read(np.arange(1), lambda p, n: p % n, np.zeros([1, reader.draws]))
    assert found["image"].shape == (1, side, side, 3)
