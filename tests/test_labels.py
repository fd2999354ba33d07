"""Names of classes: from folders of the data to a run, its release, the tools and the card."""

import json
import re
import shutil
import types

import numpy as np
import pytest
from PIL import Image
from tiny import TESTS

from tfgans import card, durable, labels, latents, models, use
from tfgans.errors import BadInput

NAMES = ("ankle boot", "bag, small", "coat")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tool):
    folder = tmp_path_factory.mktemp("labels")
    pixels = np.random.RandomState(0).randint(0, 256, [3, 4, 16, 16, 3], "uint8")
    for name, own in zip(NAMES, pixels, strict=True):
        (folder / "data" / name).mkdir(parents=True)
        for k, picture in enumerate(own):
            Image.fromarray(picture).save(folder / "data" / name / f"{k}.png")
    words = ("--tiny", "--data", "data", "--run", "run", "--set", "train.steps=2")
    done = tool(folder, "train", "cgan", *words)
    assert done.returncode == 0, done.stderr
    shutil.move(folder / "saved_models" / "cgan", folder / "cgan")
    return folder


def test_a_release_keeps_the_names_of_its_run(folder):
    for name in ("cgan", "run", "cgan/1/model.keras"):
        model = models.load(folder / name)
        assert (model.label_names, model.label_kind) == (NAMES, "classes")
    kept = json.loads((folder / "cgan" / "1" / "labels.json").read_text())
    assert kept == {"classes": list(NAMES)}


@pytest.mark.thorough
def test_a_release_of_a_release_keeps_them_too(folder, tool):
    done = tool(folder, "export", "cgan", "again", "--root", "other")
    assert done.returncode == 0, done.stderr
    assert models.load(folder / "other" / "again").label_names == NAMES


@pytest.mark.parametrize("name, number", [("ankle boot", 0), ("bag, small", 1), ("coat", 2)])
def test_a_name_is_its_number(folder, tool, name, number):
    pictures = []
    for word in (name, number):
        done = tool(folder, "sample", "cgan", "-n", "2", "--label", word, "--out", f"as-{word}")
        assert done.returncode == 0, done.stderr
        pictures.append((folder / f"as-{word}" / "cgan-seed0.png").read_bytes())
    assert pictures[0] == pictures[1]
    model = models.load(folder / "cgan")
    made, _, _ = use.call(model, "serving_default", {"z": ",".join(["0"] * 8), "label": name})
    np.testing.assert_array_equal(
        made["image"], model(np.zeros([1, 8], "float32"), np.array([number]))
    )
    assert latents.Space(model, name).label == number


def test_small_and_capital_letters():
    model = types.SimpleNamespace(label_names=("Pie", "pie", "Tart"))
    found = [labels.number(model, word) for word in ("TART", "tart", "pie", "Pie")]
    assert found == [2, 2, 1, 0]
    with pytest.raises(BadInput, match="No label is 'PIE'"):
        labels.number(model, "PIE")


def test_the_release_that_comes_with_the_package_knows_clothes():
    model = models.load("stylegan2-fashion")
    assert labels.number(model, "ankle boot") == 9 and labels.number(model, "Bag") == 8


def test_every_tool_with_labels_takes_names(run, folder, tmp_path):
    for file in (TESTS.parent / "tools").glob("*.py"):
        for kind in re.findall(r'"--label",\s*type=(\w+)', file.read_text(encoding="utf-8")):
            assert kind == "label", file
    words = ("--frames", 1, "--seeds", 0, 1, "--label", "coat")
    run("walk", folder / "cgan", "z", *words)
    assert (tmp_path / "samples" / "cgan-z.gif").exists()
    with pytest.raises(BadInput, match="No label is 'boot'"):
        run("walk", folder / "cgan", "z", *words[:-1], "boot", "--out", "none")
    assert not (tmp_path / "none").exists()


def test_several_names(folder):
    model = models.load(folder / "cgan")
    spec = {spec.name: spec for spec in model.endpoints()["serving_default"][1]}["label"]
    rows = use.tensor_of(model, "label", spec, "coat,0,ankle boot", [])
    np.testing.assert_array_equal(rows, np.eye(3)[[2, 0, 0]])


def test_an_unknown_name_gets_those_there_are(folder, tool):
    done = tool(folder, "sample", "cgan", "--label", "boot", "--out", "none")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert not (folder / "none").exists()
    wanted = "No label is 'boot'. Give a number or a name: 0 ankle boot, 1 bag, small, 2 coat."
    assert wanted in done.stderr
    done = tool(folder, "sample", "cgan", "--label", "3")
    assert done.returncode == 1 and "from 0 to 2" in done.stderr
    many = models.load(folder / "cgan")
    many.label_names = tuple(f"name {k}" for k in range(1000))
    with pytest.raises(BadInput, match="19 name 19 and 980 more") as error:
        labels.number(many, "boot")
    assert len(str(error.value)) < 700
    with pytest.raises(BadInput, match="A label vector"):
        latents.Space(models.load(folder / "cgan"), ["coat", "0", "1"])


def test_a_file_without_names_takes_numbers(folder, tool, tmp_path):
    shutil.copy(folder / "cgan" / "1" / "model.keras", tmp_path / "own.keras")
    model = models.load(tmp_path / "own.keras")
    assert model.label_names == () and labels.number(model, 2) == 2
    done = tool(tmp_path, "sample", "own.keras", "--label", "boot")
    assert done.returncode == 1
    assert "'boot' is no number, and this model knows no names" in done.stderr
    assert not list(card.named(model, "hf://ada/fashion"))


def test_the_names_are_proved_by_the_checksums(folder, tmp_path):
    shutil.copytree(folder / "cgan", tmp_path / "cgan")
    path = tmp_path / "cgan" / "1" / "labels.json"
    path.write_text(path.read_text().replace("coat", "boat"))
    with pytest.raises(durable.Altered, match=r"labels\.json"):
        models.load(tmp_path / "cgan")


def test_the_card_of_a_release_tells_the_names(folder):
    text = card.card(models.load(folder / "cgan"), "ada/clothes", None, False)
    assert "The classes by their numbers: 0 ankle boot, 1 bag, small, 2 coat." in text
    assert "`tfgans sample hf://ada/clothes --label coat`" in text


def test_attributes_come_from_the_configuration(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {attributes: [Smiling, Male], labels: true}\n")
    (tmp_path / "data.json").write_text('{"images": [4], "classes": []}')
    assert labels.of_run(tmp_path) == (("Smiling", "Male"), "attributes")
    model = models.get("gan")(image_shape=(4, 4, 1))
    model.label_names, model.label_kind = labels.of_run(tmp_path)
    (tmp_path / "a").mkdir()
    labels.write(model, tmp_path / "a")
    assert labels.of_file(tmp_path / "a" / "model.keras") == (("Smiling", "Male"), "attributes")
    assert labels.of_run(tmp_path / "a") == ((), "classes")
