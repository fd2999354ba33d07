"""Photographs of people, their maps and sentences: what belongs together stays together."""

import json

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.data import Data, DataError, batches
from tfgans.data.captions import BIGRAMS
from tfgans.data.outfits import SyntheticPeople, open_outfits, read_outfits


@pytest.fixture
def folder(tmp_path):
    """Six people: person k has the gray value 40 k and class k everywhere but in one corner."""
    table = {}
    for k in range(6):
        for name in ("labels", "images"):
            (tmp_path / name).mkdir(exist_ok=True)
        labels = np.full([8, 8], k, "uint8")
        labels[0, 0] = 6
        Image.fromarray(labels).save(tmp_path / "labels" / f"{k}.png")
        photo = np.full([8, 8, 3], 40 * k, "uint8")
        photo[0, 0] = 255
        Image.fromarray(photo).save(tmp_path / "images" / f"{k}.png")
        table[f"{k}.png"] = [f"number n{k // 2}", f"this is n{k // 2}"]
    (tmp_path / "captions.json").write_text(json.dumps(table))
    return tmp_path


def take(source, n=64, shape=(8, 8, 3), **settings):
    words = source.texts.words
    model = StandIn(
        data_kind="outfits",
        image_shape=shape,
        condition_dim=len(words) + BIGRAMS,
        words=words,
    )
    found = next(iter(batches(model, source, Data(batch_size=n, **settings), seed=0)))
    return {name: value.numpy() for name, value in found.items()}


def test_photograph_map_and_sentence_are_of_one_person(folder):
    source = open_outfits(folder)
    assert source.texts.words == ["is", "n0", "n1", "n2", "number", "this"]
    found = take(source, jitter=3, flip=True)
    for image, numbers in ((found["image"], found["map"]), (found["wrong"], found["wrong_map"])):
        gray = (image[..., 0] + 1) * 127.5
        corner = numbers == 6
        assert corner.any()  # the corner is in some windows, on both sides
        assert {*np.argwhere(corner)[:, 2]} >= {0, 7}
        person = numbers[:, 4, 4]
        np.testing.assert_allclose(gray[:, 4, 4], 40 * person, atol=1)
        assert (
            numbers[~corner] == np.broadcast_to(person[:, None, None], numbers.shape)[~corner]
        ).all()
        # Where the map has the corner, the photograph is lighter than the person.
        assert (
            gray[corner] > np.broadcast_to(gray[:, 4:5, 4:5], gray.shape)[corner] + 1
        ).mean() > 0.9
    person, wrong = found["map"][:, 4, 4], found["wrong_map"][:, 4, 4]
    np.testing.assert_array_equal(found["condition"][:, 1:4], np.eye(3)[person // 2])
    assert (person // 2 != wrong // 2).all()  # never a person with the same sentences
    assert {*wrong} == {*range(6)}


def test_a_broken_photograph_is_replaced_with_all_that_belongs_to_it(folder, capsys):
    (folder / "images" / "2.png").write_bytes(b"broken")
    found = take(open_outfits(folder))
    person = found["map"][:, 4, 4]
    assert {*person} == {0, 1, 3, 4, 5}
    np.testing.assert_array_equal(found["condition"][:, 1:4], np.eye(3)[person // 2])
    np.testing.assert_allclose((found["image"][:, 4, 4, 0] + 1) * 127.5, 40 * person, atol=1)
    assert "skipped broken image" in capsys.readouterr().out


def test_errors(folder):
    table = json.loads((folder / "captions.json").read_text())
    (folder / "captions.json").write_text(json.dumps(table | {"3.png": []}))
    with pytest.raises(DataError, match=r"1 of 6 images have no list of sentences .*3.png"):
        open_outfits(folder)
    for text in ("{", "[1]", "\xff"):
        (folder / "captions.json").write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=r"captions.json is not valid"):
            open_outfits(folder)
    (folder / "captions.json").unlink()
    with pytest.raises(DataError, match=r"has no captions.json. Wanted: folders labels"):
        open_outfits(folder)
    (folder / "captions.json").write_text(json.dumps(table))
    (folder / "labels" / "5.png").unlink()
    with pytest.raises(DataError, match=r"5.png"):
        open_outfits(folder)


def test_a_class_that_there_is_not(folder):
    Image.fromarray(np.full([8, 8], 9, "uint8")).save(folder / "labels" / "4.png")
    with pytest.raises(Exception, match=r"4.png holds the number 9, .* are 0 to 6"):
        take(open_outfits(folder))


@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 48, 3), (128, 128, 3)])
def test_the_dress_of_drawn_people_is_read_back(shape):
    """All four parts of the sentence, in nearly all of 200 people; all 48 outfits occur."""
    photos, maps = SyntheticPeople(shape, 200), SyntheticPeople(shape, 200, labels=True)
    images = np.stack([photos.read(i) for i in range(200)]) / 127.5 - 1
    numbers = np.stack([maps.read(i)[..., 0] for i in range(200)])
    assert {*numbers.ravel()} == {*range(7)}
    assert (read_outfits(images, numbers) == photos.worn).mean(axis=0).min() > 0.99
    assert len(np.unique(SyntheticPeople(shape).worn, axis=0)) == 4 * 2 * 3 * 2
    shirt, sleeves, cloth, cut = photos.worn[0]
    assert photos.sentences(0)[0] == (
        f"a {('red', 'green', 'blue', 'yellow')[shirt]} shirt with {('short', 'long')[sleeves]} "
        f"sleeves and {('black', 'white', 'purple')[cloth]} {('shorts', 'trousers')[cut]}"
    )
