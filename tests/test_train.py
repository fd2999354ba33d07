"""tools/train.py as a person runs it: stopped, killed, resumed in processes of their own."""

import csv
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image
from tiny import fit, new

from tfgans import callbacks, models, resuming, storage, training
from tfgans.config import Config, Metrics
from tfgans.strategy import choose_strategy

TRAIN = pathlib.Path(__file__).parent.parent / "tools" / "train.py"
GAN = ["gan", "--tiny", "--set", "train.tick=10"]


def command(*args):
    return [sys.executable, str(TRAIN), *map(str, args)]


def state(run):
    model = keras.models.load_model(storage.find(run))
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    return int(model.step.numpy()), [v.numpy() for v in variables]


def assert_same(run, other):
    (step, ours), (other_step, theirs) = state(run), state(other)
    assert step == other_step
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tool, tmp_path_factory):
    """60 steps in one go."""
    folder = tmp_path_factory.mktemp("whole")
    done = tool(folder, "train", *GAN, "--run", "run", "--set", "train.steps=60")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_leaves_pictures_log_curves_snapshots_and_a_release(whole, tool):
    folder, done = whole
    run = folder / "run"
    with open(run / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40, 50, 60]
    assert int(rows[-1]["images"]) == 60 * 8
    assert float(rows[-1]["discriminator/real"]) > 0
    names = sorted(path.name for path in (run / "samples").iterdir())
    assert names == [*(f"{k:08}.png" for k in range(0, 61, 10)), "real.png"]
    with Image.open(run / "samples" / "00000060.png") as picture:
        assert picture.size == (64, 64)
    assert [path.name for path in storage.snapshots(run)] == ["00000050.keras", "00000060.keras"]
    assert list((run / "tensorboard").iterdir())
    with Image.open(run / "curves.png") as picture:
        assert picture.size[0] > 400
    assert Config.from_dict(Config.load(run / "config.yaml").to_dict()).train.steps == 60
    assert "Running the tiny of gan" in done.stdout and "--data PATH" in done.stdout
    assert re.search(r"^Machine: \w+ \(.*TFGANS_MACHINE", done.stdout, re.MULTILINE)
    line = re.search(r"step 60/60  0.5k images  [\d.]+ images/s  0:00 left  (.*)", done.stdout)
    assert "generator/fake" in line.group(1)
    used = re.search(r"python tools/(sample).py (gan)", done.stdout).groups()
    sample = tool(folder, *used, "-n", 4)
    assert sample.returncode == 0, sample.stderr
    with Image.open(folder / "samples" / "gan-seed0.png") as picture:
        assert picture.size == (16, 16)


def test_interrupted_and_killed_runs_go_on_to_the_same_end(tool, tmp_path, monkeypatch):
    """Ctrl-C in the middle, then SIGKILL, then to the end: bit for bit the uninterrupted run."""
    endless = command(*GAN, "--run", "run", "--set", "train.steps=1000000")
    first = subprocess.Popen(endless, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: storage.snapshots(tmp_path / "run"))
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 130
    assert "Stopped; everything is saved in run. To go on: python" in output
    stopped = int(storage.snapshots(tmp_path / "run")[-1].stem)

    second = subprocess.Popen(endless, cwd=tmp_path, stdout=subprocess.PIPE)
    wait_for(lambda: int(storage.snapshots(tmp_path / "run")[-1].stem) > stopped)
    second.kill()
    second.communicate()
    goal = int(storage.snapshots(tmp_path / "run")[-1].stem) + 25
    monkeypatch.setattr(callbacks.log, "draw_curves", lambda *args: None)  # slow, and not looked at
    done = tool(tmp_path, "train", *GAN, "--run", "run", "--set", f"train.steps={goal}")
    assert done.returncode == 0, done.stderr
    assert "Going on from" in done.stdout
    straight = Config.load("gan", "tiny", ["train.tick=10", f"train.steps={goal}"])
    assert training.train(straight, tmp_path / "straight")
    assert_same(tmp_path / "run", tmp_path / "straight")
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == list(range(10, goal + 1, 10))


def wait_for(condition, seconds=120):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.thorough
def test_stylegan2_resumes_bit_for_bit_in_a_new_process(tmp_path):
    """6 = 3 + 3 with EMA, path length mean, w average and noise; penalties in steps 0, 2 and 4."""
    changes = ["train.tick=3", "train.steps=6", "model.r1_every=2", "model.path_length_every=2"]
    assert training.train(Config.load("stylegan2", "tiny", changes), tmp_path / "straight")
    shutil.copytree(tmp_path / "straight", tmp_path / "resumed")
    half, whole = storage.snapshots(tmp_path / "resumed")
    assert half.stem == "00000003"
    whole.unlink()
    changes = [word for change in changes for word in ("--set", change)]
    resume = command("stylegan2", "--tiny", "--run", "resumed", *changes)
    done = subprocess.run(resume, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Going on from resumed/snapshots/00000003.keras." in done.stdout
    assert_same(tmp_path / "straight", tmp_path / "resumed")


def test_other_settings_are_refused_with_the_differences(whole, tool):
    folder, _ = whole
    before = (folder / "run" / "config.yaml").read_text()
    changes = ["--set", "model.pieces=3", "--set", "data.batch_size=16"]
    done = tool(folder, "train", *GAN, "--run", "run", *changes)
    assert done.returncode != 0
    for text in ("data.batch_size: 8 -> 16", "model.pieces: not given -> 3", "--force", "--run"):
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "run" / "config.yaml").read_text() == before


@pytest.mark.thorough
def test_force_goes_on_with_other_settings(tool, tmp_path):
    for extra in ([], ["--set", "data.flip=true", "--set", "train.steps=30", "--force"]):
        done = tool(tmp_path, "train", *GAN, "--run", "run", *extra)
        assert done.returncode == 0, done.stderr
    assert state(tmp_path / "run")[0] == 30


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A run of WGAN-GP with one snapshot, after two steps; and its model."""
    run = tmp_path_factory.mktemp("two_steps") / "run"
    model, settings, source = new("wgan_gp")
    fit(model, settings, source, 2)
    storage.save(model, run / "snapshots" / "00000002.keras")
    resuming.write_settings(run, settings)
    return run, model


@pytest.fixture
def a_run(two_steps, tmp_path):
    return shutil.copytree(two_steps[0], tmp_path / "run")


@pytest.fixture
def began(monkeypatch):
    """The models with which `training.train` would train."""
    models = []
    monkeypatch.setattr(training, "fit", lambda strategy, model, *rest: models.append(model))
    return models


def test_new_settings_take_effect_and_weights_moments_and_step_stay(two_steps, a_run):
    changes = ["model.penalty_weight=3.0", "optimizers.generator.learning_rate=2e-5",
               "optimizers.discriminator.beta_2=0.5", "train.precision=mixed_float16",
               "model.n_critic=3"]  # fmt: skip
    settings = Config.load("wgan_gp", "tiny", changes)
    training.resolve(settings)
    model, old = training.begin(a_run, settings), two_steps[1]
    assert (model.penalty_weight, model.n_critic, int(model.step.numpy())) == (3.0, 3, 2)
    for a, b in zip(old.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    generator, critic = (
        model.optimizers[p].inner_optimizer for p in ("generator", "discriminator")
    )
    assert float(generator.learning_rate) == pytest.approx(2e-5)
    assert (critic.beta_2, int(critic.iterations.numpy())) == (0.5, 4)
    assert callable(critic._learning_rate)  # the schedule of the configuration, as before
    for ours, player in ((generator, "generator"), (critic, "discriminator")):
        moments = zip(old.optimizers[player]._momentums, ours._momentums, strict=True)
        assert all([np.array_equal(a, b) for a, b in moments])
        assert any(np.any(moment) for moment in ours._momentums)


def test_each_setting_of_the_model_and_its_optimizers_counts(two_steps):
    for change, unlike in (
        ("model.penalty_weight=3.0", True),
        ("optimizers.generator.learning_rate=2e-5", True),
        ("optimizers.discriminator.beta_2=0.5", True),
        ("train.precision=mixed_bfloat16", True),
        ("model.penalty_weight=10.0", False),  # the default
        ("data.flip=true", False),
        ("train.steps=9", False),
    ):
        settings = Config.load("wgan_gp", "tiny", [change])
        assert resuming.unlike(two_steps[1], settings) == unlike, change


@pytest.mark.thorough
def test_new_settings_take_effect_on_all_replicas(two_steps, a_run, two_replicas):
    settings = Config.load("wgan_gp", "tiny", ["model.penalty_weight=3.0"])
    with two_replicas.scope():
        model = training.begin(a_run, settings)
    assert model.penalty_weight == 3.0 and int(model.step.numpy()) == 2
    kernels = zip(two_steps[1].generator.weights, model.generator.weights, strict=True)
    for before, now in kernels:
        for replica in two_replicas.experimental_local_results(now.value):
            np.testing.assert_array_equal(replica, before)


def test_force_is_needed_once_and_holds_from_then_on(a_run, began):
    """A run that is killed before its next snapshot still goes on with its new settings."""
    settings = Config.load("wgan_gp", "tiny", ["model.penalty_weight=3.0"])
    message = r"penalty_weight: not given -> 3.0. To start a new run: --run FOLDER. .*--force"
    with pytest.raises(storage.Refused, match=message):
        training.train(settings, a_run)
    assert not began and "penalty_weight" not in (a_run / "config.yaml").read_text()
    assert training.train(settings, a_run, force=True)
    assert Config.load(a_run / "config.yaml").model["penalty_weight"] == 3.0
    assert training.train(settings, a_run)
    assert [(int(m.step.numpy()), m.penalty_weight) for m in began] == [(2, 3.0)] * 2


def test_a_default_that_a_new_version_changed_is_printed(a_run, capsys):
    """config.yaml has the settings that were given, and not those that the version had."""
    settings = Config.load("wgan_gp", "tiny", ["model.penalty_weight=3.0"])
    resuming.write_settings(a_run, settings)
    assert training.begin(a_run, settings).penalty_weight == 3.0
    assert "Not as in the snapshot: model.penalty_weight: 10.0 -> 3.0.\n" in capsys.readouterr().out


def test_a_run_goes_on_as_it_was_saved_where_no_setting_has_changed(a_run, began, monkeypatch):
    monkeypatch.setattr(training, "moved", None)
    assert training.train(Config.load("wgan_gp", "tiny", ["train.steps=9"]), a_run)
    assert int(began[0].step.numpy()) == 2


@pytest.mark.parametrize(
    "change, message",
    [
        ("model.width=12", "model.width: 8 -> 12"),
        ("model.image_shape=[32, 32, 3]", r"model.image_shape: \[16, 16, 3\] -> \[32, 32, 3\]"),
        ("optimizers.generator.amsgrad=true", "optimizers.generator.amsgrad: False -> True"),
        ("architecture=gan", "architecture: WGANGP -> GAN"),
    ],
)
def test_settings_that_need_other_weights_are_refused_and_not_written(change, message, a_run):
    before = (a_run / "config.yaml").read_bytes()
    settings = Config.load("wgan_gp", "tiny", ["train.steps=9"])
    if change.startswith("architecture"):
        settings = Config.load("gan", "tiny", ["train.steps=9"])
    else:
        settings = Config.load("wgan_gp", "tiny", ["train.steps=9", change])
    with pytest.raises(storage.Refused, match=f"{message}.*--run FOLDER") as error:
        training.train(settings, a_run, force=True)
    assert len(str(error.value).splitlines()) == 1 and "beta" not in str(error.value)
    assert (a_run / "config.yaml").read_bytes() == before


def test_new_settings_never_take_a_step_into_another_stage(tmp_path):
    """The weights of a stage are prepared when it begins: the next scale of SinGAN."""
    model, settings, _ = new("singan")
    model.step.assign(3)
    storage.save(model, tmp_path / "snapshots" / "00000003.keras")
    settings.model["scale_steps"] = 2
    with pytest.raises(storage.Refused, match="model.scale_steps: 1 -> 2"):
        training.begin(tmp_path, settings)


def classes(folder, *names, count=2):
    for name in names:
        (folder / name).mkdir(parents=True)
        for k in range(count):
            Image.fromarray(np.full([8, 8, 3], 40 * k, "uint8")).save(folder / name / f"{k}.png")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("dog", "ant", "class 0 was 'cat', is 'ant'"),  # in the order of the alphabet
        ("dog", "emu", "class 1 was 'dog', is 'emu'"),
    ],
)
def test_a_run_does_not_go_on_with_other_classes(old, new, message, tmp_path):
    classes(tmp_path / "pets", "cat", "dog")
    settings = Config.load("sngan", "tiny", [f"data.path={tmp_path / 'pets'}", "data.labels=true"])
    facts = resuming.facts_of(training.resolve(settings), settings)
    resuming.write_data(tmp_path, facts)
    assert facts == {"images": [4], "classes": ["cat", "dog"]}
    resuming.check_data(tmp_path, facts, force=False)
    (tmp_path / "pets" / old).rename(tmp_path / "pets" / new)
    now = resuming.facts_of(training.resolve(settings), settings)
    with pytest.raises(storage.Refused, match=f"{message}.*--run FOLDER.*--force") as error:
        resuming.check_data(tmp_path, now, force=False)
    assert len(str(error.value).splitlines()) == 1
    resuming.check_data(tmp_path, now, force=True)


def test_a_training_remembers_its_classes_and_says_that_images_are_gone(tmp_path, began, capsys):
    classes(tmp_path / "pets", "cat", "dog")
    changes = [f"data.path={tmp_path / 'pets'}", "data.labels=true"]
    changes.append("model.discriminator_channels=[4, 4, 4, 4]")
    settings = Config.load("sngan", "tiny", changes)
    run = tmp_path / "run"
    assert training.train(settings, run)
    (tmp_path / "pets" / "cat" / "0.png").unlink()
    assert training.train(settings, run)
    assert "run began with 4 images; the data now hold 3." in capsys.readouterr().out
    (tmp_path / "pets" / "dog").rename(tmp_path / "pets" / "ant")
    with pytest.raises(storage.Refused, match="class 0 was 'cat', is 'ant'"):
        training.train(settings, run)
    (run / "data.json").unlink()  # a run of an older version
    assert training.train(settings, run) and (run / "data.json").exists()
    assert len(began) == 3


def test_other_metrics_begin_anew():
    """`--force --set metrics.names=[...]`: the rows of the run have other columns."""
    rows = [{"step": "10", "metrics/swd": "1.0"}, {"step": "20", "metrics/ms_ssim": "0.5"}]
    by = Metrics(names=["swd"], patience=1)
    assert callbacks.best_row(rows, by) is None and not callbacks.no_better(rows, by)
    rows.append({"step": "30", "metrics/swd": "2.0"})
    assert callbacks.best_row(rows, by) is rows[0] and callbacks.no_better(rows, by)


@pytest.mark.parametrize("name, images", [("cyclegan", 2), ("pix2pix", 1), ("seqgan", 1)])
def test_every_kind_of_data_is_remembered(name, images):
    settings = Config.load(name, "tiny")
    facts = resuming.facts_of(training.resolve(settings), settings)
    assert len(facts["images"]) == images and min(facts["images"]) > 1
    assert facts["classes"] == []


def test_dry_run_prints_settings_sizes_and_memory_and_writes_nothing(tool, tmp_path):
    done = tool(tmp_path, "train", "gan", "--tiny", "--dry-run", "--set", "data.batch_size=16")
    assert done.returncode == 0, done.stderr
    for text in (
        "batch_size: 16", "image_shape:", "generator: generator: ",
        "discriminator: discriminator: ", "Memory of a process on a CPU, estimated: ",
    ):  # fmt: skip
        assert text in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "args, message",
    [
        (["stylgan2"], "Did you mean 'stylegan2'?"),
        (["gan", "--set", "modl.pieces=3"], "Did you mean 'model'?"),
        (["gan", "--data", "nowhere"], "nowhere"),
        (["stylegan2", "--tiny", "--set", "model.image_shape=[250, 250, 3]"], "256x256"),
        (["stylegan2", "--tiny", "--set", "data.batch_size=6"], "groups of 4"),
    ],
)
def test_mistakes_get_one_clear_line(args, message, tool, tmp_path):
    done = tool(tmp_path, "train", *args)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]


def test_list_names_all_configurations(tool, tmp_path):
    done = tool(tmp_path, "train", "--list")
    assert {"gan", "stylegan2", "wgan_gp"} <= set(done.stdout.split())


def images(folder, count=40, size=(12, 12), mode="RGB"):
    keys = np.random.RandomState(0)
    for k in range(count):
        kind = folder / "ab"[k % 2]
        kind.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        Image.fromarray(keys.randint(0, 255, shape).astype("uint8")).save(kind / f"{k:03}.png")


def test_size_channels_and_classes_come_from_the_data(tmp_path):
    images(tmp_path / "data", size=(16, 24), mode="L")
    settings = Config.load(
        "stylegan2", changes=[f"data.path={tmp_path / 'data'}", "data.labels=true"]
    )
    training.resolve(settings)
    assert settings.model == {"image_shape": [24, 16, 1], "num_classes": 2}


def test_a_broken_image_in_the_middle_is_reported_and_skipped_or_fails(tool, tmp_path):
    images(tmp_path / "data")
    broken = tmp_path / "data" / "a" / "004.png"
    broken.write_bytes(broken.read_bytes()[:100])
    arguments = ["train", "gan", "--tiny", "--data", "data"]
    for change in ("image_shape=[12, 12, 3]", "generator_width=8", "discriminator_width=4"):
        arguments += ["--set", f"model.{change}"]
    done = tool(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("skipped broken image .*004.png", done.stdout)) == 1
    done = tool(tmp_path, *arguments, "--run", "strict", "--set", "data.broken=fail")
    assert done.returncode != 0
    assert "004.png" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_not_a_number_stops_the_run_names_the_term_and_keeps_the_snapshot(tmp_path):
    settings = Config.load("gan", "tiny", ["train.steps=40", "train.tick=10"])

    class Poisoned(models.MODELS["gan"]):
        def generator_loss(self, n):
            terms = super().generator_loss(n)
            return {"fake": terms["fake"] / (0.0 if self.now >= 20 else 1.0) * 0.0}

    source = training.resolve(settings)
    model = Poisoned(**settings.model)
    model.compile(run_eagerly=True)
    dataset = training.batches(choose_strategy(), model, source, settings)
    with pytest.raises(FloatingPointError, match="generator/fake") as error:
        model.fit(
            dataset, steps_per_epoch=40, shuffle=False, verbose=0,
            callbacks=[callbacks.StopOnNaN(10), callbacks.Snapshot(10, tmp_path, keep=5)],
        )  # fmt: skip
    assert "discriminator" not in str(error.value)
    assert [int(path.stem) for path in storage.snapshots(tmp_path)] == [10, 20]


def test_a_damaged_snapshot_is_passed_over(whole, capsys, tmp_path):
    folder, _ = whole
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    for path in storage.snapshots(folder / "run"):
        (run / "snapshots" / path.name).write_bytes(path.read_bytes())
    newest = storage.snapshots(run)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    model = storage.resume(run)
    assert int(model.step.numpy()) == 50
    assert "cannot be read" in capsys.readouterr().out


def test_a_snapshot_never_has_its_name_before_it_is_whole(tmp_path, monkeypatch):
    model = training.build(Config.load("gan", "tiny"))
    path = tmp_path / "snapshots" / "00000010.keras"
    storage.save(model, path)
    good = path.read_bytes()

    def interrupted(where):
        pathlib.Path(where).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.save(model, path)
    assert path.read_bytes() == good
    assert storage.snapshots(tmp_path) == [path]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_signals_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    settings = Config.load("gan", "tiny", ["train.steps=2", "train.tick=2"])
    assert training.train(settings, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
