"""Randomly edited configurations are accepted, or refused in a line that names the place."""

import copy
import difflib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfgans import config, models, training
from tfgans.config import Config
from tfgans.errors import BadInput

FILES = sorted(path for path in config.CONFIGS[0].glob("*.yaml"))
TREES = {path.stem: config.parse(path.read_text()) for path in FILES}
ODD = [
    2**70,
    float("nan"),
    1e400,
    -0.5,
    "synthetic",
    "stylegan2",
    "skip",
    [None],
    [["x"]],
    [0, 1.5],
]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.text(max_size=5),
    st.sampled_from(ODD),
    st.lists(st.integers(-1, 9), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(0, 1) | st.just({"b": []}), max_size=2),
)
CHARACTERS = ["", "", ":", "{", "]", "\t", "\n", "- ", "&a", "*a", "!!python/x", "\0", "é", "1"]
FUZZ = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def places(tree, at=()):
    """The paths of all keys of a tree of dicts."""
    for key, value in tree.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from places(value, (*at, key))


def parent(tree, place):
    for key in place[:-1]:
        tree = tree[key]
    return tree


def load(tree, folder, section=None):
    """Reads a tree as a file, and opens its data unless these take long to make."""
    path = folder / "edited.yaml"
    path.write_text(config.yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
    found = Config.load(path, section)
    assert Config.from_dict(config.parse(found.to_yaml())).to_yaml() == found.to_yaml()
    if models.get(found.architecture).data_kind != "tokens":
        training.resolve(found)
    return found


def section_for(place):
    return place[0] if place[0] in ("demo", "tiny") else None


def in_one_line(error):
    assert "\n" not in str(error) and 10 < len(str(error)) < 700
    return str(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("configurations")


@FUZZ
@given(data=st.data())
def test_a_misspelt_key_is_named_with_the_nearest_right_one(folder, data):
    tree = copy.deepcopy(TREES[data.draw(st.sampled_from(sorted(TREES)))])
    known = [place for place in places(tree) if "optimizers" not in place[:-1]]
    place = data.draw(st.sampled_from([place for place in known if len(place[-1]) > 3]))
    word = list(place[-1])
    at = data.draw(st.integers(0, len(word) - 1))
    edit = data.draw(st.sampled_from(["drop", "double", "swap", "replace"]))
    if edit == "drop":
        del word[at]
    elif edit == "double":
        word.insert(at, word[at])
    elif edit == "replace":
        word[at] = data.draw(st.sampled_from("qxz_0"))
    else:
        word[at - 1], word[at] = word[at], word[at - 1]
    word = "".join(word)
    section = section_for(place)
    if word == place[-1] or len(place) == 1 and section:
        return
    branch = parent(tree, place)
    branch[word] = branch.pop(place[-1])
    with pytest.raises(BadInput) as error:
        load(tree, folder, section)
    words = in_one_line(error.value)
    assert f"named {word!r}" in words or "`architecture: gan`" in words
    if "Did you mean" in words:
        meant = words.split("Did you mean ")[1][1:-2]
        likeness = difflib.SequenceMatcher(None, word, place[-1]).ratio()
        assert difflib.SequenceMatcher(None, word, meant).ratio() >= likeness - 1e-9
    else:
        assert place[-1] in words


@FUZZ
@given(data=st.data())
def test_a_value_of_any_kind_is_taken_or_refused_by_its_key(folder, data):
    tree = copy.deepcopy(TREES[data.draw(st.sampled_from(sorted(TREES)))])
    place = data.draw(st.sampled_from(list(places(tree))))
    parent(tree, place)[place[-1]] = data.draw(JUNK)
    section = section_for(place) or data.draw(st.sampled_from([None, "tiny"]))
    if section not in tree:
        section = None
    try:
        load(tree, folder, section)
    except BadInput as error:
        in_one_line(error)


@FUZZ
@given(data=st.data())
def test_a_setting_that_was_not_there_is_taken_or_refused_by_its_key(folder, data):
    tree = copy.deepcopy(TREES[data.draw(st.sampled_from(sorted(TREES)))])
    sections = {"data": config.Data, "train": config.Train, "metrics": config.Metrics}
    section, cls = data.draw(st.sampled_from(sorted(sections.items())))
    word = data.draw(st.sampled_from(sorted(config.dataclasses.asdict(cls()))))
    value = data.draw(JUNK)
    tree.setdefault(section, {})[word] = value
    try:
        found = load(tree, folder)
        assert getattr(getattr(found, section), word) == value
    except BadInput as error:
        words = in_one_line(error)
        least = f"{section}.{word}" in words
        assert least or "data" in words or "path" in words or "There is no" in words, words


@FUZZ
@given(data=st.data())
def test_a_file_with_other_characters_is_taken_or_refused(folder, data):
    text = data.draw(st.sampled_from(FILES)).read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        new = data.draw(st.sampled_from(CHARACTERS))
        text = text[:at] + new + text[at + 1 :]
    path = folder / "edited.yaml"
    path.write_text(text)
    try:
        for section in (None, "tiny"):
            training.resolve(Config.load(path, section, ["data.path=nowhere"]))
    except BadInput as error:
        assert "\n" not in str(error) or "Accepted:" in str(error)


def test_settings_from_the_command_line_of_any_kind(folder):
    for change in ("train.steps=[1", "train=5", "data=[]x", "=", "a.b.c=1", ".=1", "model=", "x={"):
        with pytest.raises(BadInput) as error:
            Config.load("gan", "tiny", [change, "train.seed=-1"])
        in_one_line(error.value)
