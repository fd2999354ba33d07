"""Releases on the hub: pushed with a card, fetched whole, the same model in a fresh process."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import yaml
from hub_server import TOKEN

from tfgans import durable, models, storage, training
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.metrics import write_result
from tfgans.resuming import write_settings

CHANGES = ["data.batch_size=4", "train.steps=4", "train.tick=2", "model.image_shape=[8,8,1]"]


@pytest.fixture
def login(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run on private photographs, with a metric and a callback with a key."""
    folder = tmp_path_factory.mktemp("work")
    pixels = np.random.default_rng(0).integers(0, 256, [9, 8, 8, 1], "uint8")
    (folder / "private").mkdir()
    np.save(folder / "private" / "photos.npy", pixels)
    settings = Config.load("gan", "tiny", CHANGES)
    settings.data.path = str(folder / "private" / "photos.npy")
    assert training.train(settings, folder / "run")
    watcher = {"class": "keras.callbacks.RemoteMonitor", "headers": {"key": "s3cret"}}
    settings.train.callbacks = [watcher]  # as if it had watched
    write_settings(folder / "run", settings)
    protocol = {"extractor": "own-small", "generated_images": 50, "real_images": 9, "seeds": [0]}
    result = {"protocol": protocol, "values": {"fid": {"mean": 12.5, "std": None}}, "notes": []}
    for step in (2, 4, 6):  # the last one is of a later training
        result["values"]["fid"]["mean"] = 10.5 + step
        write_result(result, folder / "run" / "metrics" / f"{step:08}.json")
    return folder


def images_of(model):
    return np.asarray(model.sample(4, seed=3))


FRESH = """
import sys, numpy as np, tfgans
np.save(sys.argv[2], tfgans.models.load(sys.argv[1]).sample(4, seed=3))
"""


def fresh(address, path, **variables):
    """Samples of the release at an address, from a process and a cache of its own."""
    environment = os.environ | {"HF_HOME": str(path.parent / "home")} | variables
    command = [sys.executable, "-c", FRESH, address, path]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_pushed_run_is_the_same_model_in_a_fresh_process(folder, tool, hub, login, tmp_path):
    done = tool(folder, "export", "run", "--push", "ada/faces")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("Made for cpu") and said[1:] == [f"Uploaded: {hub.address}/ada/faces"]
    assert TOKEN not in done.stderr
    assert not (folder / "saved_models" / "release").exists()
    own = images_of(models.load(folder / "run"))
    for variables in ({}, {"HF_HUB_OFFLINE": "1"}):  # the second time from the cache alone
        found = fresh("hf://ada/faces", tmp_path / "images.npy", HF_TOKEN="", **variables)
        assert found.returncode == 0, found.stderr
        np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), own)
        (tmp_path / "images.npy").unlink()


def test_the_card_tells_the_protocol_and_nothing_private(folder, tool, hub, login):
    assert tool(folder, "export", "run", "--push", "ada/card").returncode == 0
    _, files = hub.files("ada/card")
    text = files["README.md"].decode()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["library_name"] == "tfgans" and {"gan", "tfgans"} <= {*head["tags"]}
    assert head["pipeline_tag"] == "unconditional-image-generation" and "license" not in head
    settings = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert settings["architecture"] == "gan" and settings["train"]["steps"] == 4
    assert settings["data"]["path"] == "photos.npy"
    assert settings["train"]["callbacks"] == [{"class": "keras.callbacks.RemoteMonitor"}]
    for words in (
        "[Generative Adversarial Nets](https://arxiv.org/abs/1406.2661)",
        "4 steps with tfgans", "on `photos.npy` (9 examples)",
        "| fid | 14.5 | 0 |", "At step 4, 50 generated against 9 real images, 1 seeds; features of "
        "own-small", 'tfgans.models.load("hf://ada/card")', "tfgans sample hf://ada/card",
    ):  # fmt: skip
        assert words in text
    for private in ("s3cret", "private", str(folder), TOKEN):
        assert private not in text
    last = sorted((folder / "run" / "samples").glob("[0-9]*.png"))[-1]
    assert files["samples.png"] == last.read_bytes() and "](samples.png)" in text


def test_a_release_without_a_run(hub, login, folder, tool):
    done = tool(folder, "export", "stylegan2-fashion", "fashion", "--push", "ada/fashion")
    assert done.returncode == 0, done.stderr
    assert "Written: saved_models/fashion/1\nUploaded: " in done.stdout
    _, files = hub.files("ada/fashion")
    text = files["README.md"].decode()
    assert "a release does not say on which data" in text and "num_classes: 10" in text
    assert files["samples.png"][:4] == b"\x89PNG" and "## Measured" not in text
    names = {*files} - {".gitattributes", "README.md", "samples.png"}
    release = folder / "saved_models" / "fashion" / "1"
    assert names == {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    assert all(files[name] == (release / name).read_bytes() for name in names)


def test_a_new_release_takes_the_place_of_the_old_one(hub, login, folder, tool):
    assert tool(folder, "export", "run", "--push", "ada/twice").returncode == 0
    first, files = hub.files("ada/twice")
    hub.commit("ada/twice", files | {"variables/old": b"1", "notes.txt": b"mine"})
    assert tool(folder, "export", "run", "--push", "ada/twice").returncode == 0
    _, files = hub.files("ada/twice")
    assert "variables/old" not in files and files["notes.txt"] == b"mine"
    own = images_of(models.load(folder / "run"))
    for address in (f"hf://ada/twice@{first}", "hf://ada/twice"):
        np.testing.assert_array_equal(images_of(models.load(address)), own)


# Only whole releases, and nothing else.


def put(hub, name, folder, **more):
    """A repository with the files of a release, and others."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes()
             for p in folder.rglob("*") if p.is_file()}  # fmt: skip
    hub.repositories[name] = {}
    hub.commit(name, files | {key.replace("__", "."): value for key, value in more.items()})
    return files


@pytest.fixture(scope="module")
def release(folder):
    return storage.release(models.load(folder / "run"), "gan", folder / "releases")


def test_only_the_files_of_a_release_are_fetched(hub, release):
    put(hub, "eve/gan", release, setup__py=b"print('run')", weights__pkl=b"x", README__md=b"y")
    hub.asked.clear()
    path = storage.find("hf://eve/gan")
    there = {p.relative_to(path.parent).as_posix() for p in path.parent.rglob("*") if p.is_file()}
    assert there == {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    asked = " ".join(path for _, path in hub.asked)
    assert "model.keras" in asked and "setup.py" not in asked and "weights.pkl" not in asked


def test_an_interrupted_download_is_not_used_and_goes_on(hub, release):
    put(hub, "ada/slow", release)
    hub.stop_after = 3000
    with pytest.raises(BadInput, match="connection to .* for hf://ada/slow fails .* goes on"):
        models.load("hf://ada/slow")
    cache = pathlib.Path(os.environ["HF_HOME"]) / "hub" / "models--ada--slow"
    assert not list(cache.rglob("model.keras"))
    hub.stop_after = None
    np.testing.assert_array_equal(
        images_of(models.load("hf://ada/slow")), images_of(models.load(release))
    )


def test_an_altered_file_is_named(hub, release):
    files = put(hub, "eve/altered", release)
    wrong = bytearray(files["model.keras"])
    wrong[len(wrong) // 2] ^= 1
    hub.commit("eve/altered", files | {"model.keras": bytes(wrong)})
    with pytest.raises(durable.Altered, match="model.keras is altered .* load hf://eve/altered ag"):
        models.load("hf://eve/altered")


def test_a_model_with_code_is_refused(hub, tmp_path):
    lines = keras.layers.Lambda(lambda x: x + 1, output_shape=(1,))
    keras.Sequential([keras.Input([1]), lines]).save(tmp_path / "model.keras")
    durable.write_checksums(tmp_path / "model.keras", [tmp_path / "model.keras"])
    put(hub, "eve/code", tmp_path)
    with pytest.raises(durable.Altered, match="cannot be loaded: .*[Ll]ambda"):
        models.load("hf://eve/code")


def test_a_repository_without_a_release(hub, release):
    hub.repositories["ada/empty"] = {}
    hub.commit("ada/empty", {"README.md": b"soon"})
    with pytest.raises(BadInput, match="hf://ada/empty holds no release of tfgans"):
        models.load("hf://ada/empty")


# One sentence and advice for each refusal.


def one_line(done, *words):
    """Checks that a tool ended with one line that has these words, and without the token."""
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(line) < 700
    assert all(word in line for word in words), line
    assert "hf_" not in line


@pytest.mark.parametrize("token", ["hf_wrong", ""])
def test_a_login_that_is_refused(token, folder, tool, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    before = {name: dict(commits) for name, commits in hub.repositories.items()}
    done = tool(folder, "export", "run", "--push", "ada/refused")
    one_line(done, "refuses the login for ada/refused (401)", "hf auth login")
    assert hub.repositories == before


@pytest.mark.parametrize(
    "address, words",
    [
        ("hf://nobody/none", ["There is no hf://nobody/none", "Check the name"]),
        ("hf://ada/known@v9", ["hf://ada/known@v9 has no such revision"]),
        ("hf://a/b/c", ["hf://a/b/c is no address", "hf://USER/MODEL"]),
        ("hf://", ["is no address"]),
    ],
)
def test_an_address_of_nothing(address, words, hub, tool, tmp_path, release):
    put(hub, "ada/known", release)
    one_line(tool(tmp_path, "sample", address), *words)
    assert not list(tmp_path.iterdir())


def test_a_hub_that_fails(hub, tool, tmp_path, login, folder):
    hub.broken = True
    one_line(tool(tmp_path, "sample", "hf://ada/unseen"), "hf://ada/unseen", "Try again")
    one_line(tool(folder, "export", "run", "--push", "ada/unseen"), "500", "Try again later")


@pytest.mark.parametrize("how", ["OFFLINE", "ENDPOINT"])
def test_without_a_network(how, release, hub, monkeypatch):
    put(hub, f"ada/{how}", release)
    if how == "OFFLINE":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="cannot be reached, and .* Try again with a network"):
        models.load(f"hf://ada/{how}")


def test_a_name_or_a_place_to_push_to_is_needed(tool, tmp_path):
    one_line(tool(tmp_path, "export", "stylegan2-fashion"), "Give a NAME", "--push USER/MODEL")
