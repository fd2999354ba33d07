"""Sequences of integers: the file, the oracle, the batches."""

import numpy as np
import pytest
import tensorflow as tf
from stand_in import StandIn

from tfgans import data
from tfgans.config import Config, Data
from tfgans.data import DataError
from tfgans.data.tokens import Oracle, open_tokens, to_text


@pytest.fixture
def file(tmp_path):
    """Twelve sequences of 5 tokens below 40; all tokens of line i but the last are i."""
    path = tmp_path / "sequences.txt"
    path.write_text("".join(f"{i} {i} {i}  {i} {i + 28}\n" for i in range(12)))
    return path


def model(**attributes):
    defaults = {"data_kind": "tokens", "length": 5, "vocabulary_size": 40}
    return StandIn(**defaults | attributes)


def test_file(file):
    source = open_tokens(file)
    assert len(source) == 12 and source.length == 5 and source.vocabulary_size == 40
    assert source.sequences.dtype == np.int32
    assert source.sequences[3].tolist() == [3, 3, 3, 3, 31]


def test_lines_of_other_lengths_are_skipped(file, capsys):
    file.write_text(file.read_text() + "1 2 3 4\n\n7 7 7 7 7\n")
    assert len(open_tokens(file)) == 13
    assert "1 of 14 lines" in capsys.readouterr().out
    assert open_tokens(file, length=4).sequences.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(DataError, match="no line of 6 tokens; its lines have 4, 5"):
        open_tokens(file, length=6)


@pytest.mark.parametrize("word", ["cat", "-1", "2.5", "٣"])
def test_words_that_are_no_tokens(file, word):
    file.write_text(f"1 2 3\n4 {word} 6\n")
    with pytest.raises(DataError, match=f"Line 2 of .* holds '{word}'.*number the words"):
        open_tokens(file)


def test_files_of_no_use(tmp_path, file):
    with pytest.raises(DataError, match="no file .*nothing.txt.*one sequence of integers"):
        open_tokens(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="no file"):
        open_tokens(tmp_path)
    file.write_text("\n \n")
    with pytest.raises(DataError, match="is empty"):
        open_tokens(file)
    file.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match="not a text file"):
        open_tokens(file)


def test_text_is_what_is_read(tmp_path, file):
    source = open_tokens(file)
    (tmp_path / "again.txt").write_text(to_text(source.sequences))
    again = open_tokens(tmp_path / "again.txt")
    np.testing.assert_array_equal(again.sequences, source.sequences)


def test_batches(file):
    source = open_tokens(file)
    dataset = data.batches(model(batches_per_step=2), source, Data(batch_size=3), seed=0)
    assert dataset.element_spec == {"tokens": tf.TensorSpec([6, 5], tf.int32)}
    read = [batch["tokens"] for batch in dataset.take(4).as_numpy_iterator()]
    passes = np.array(read)[:, :, 0].reshape(2, 12)
    assert (np.sort(passes) == np.arange(12)).all() and (passes[0] != passes[1]).any()
    again = data.batches(model(batches_per_step=2), source, Data(batch_size=3), seed=0, start=3)
    np.testing.assert_array_equal(next(iter(again))["tokens"], read[3])


@pytest.mark.parametrize("wrong", [{"length": 4}, {"vocabulary_size": 39}])
def test_a_model_of_another_size_is_refused(file, wrong):
    with pytest.raises(DataError, match="5 tokens long, and the largest token is 39"):
        data.batches(model(**wrong), open_tokens(file), Data(), seed=0)


def test_open_settings_come_from_the_data(file):
    class Sequences:
        data_kind = "tokens"

        def __init__(self, length=20, vocabulary_size=5000):
            pass

    def opened(**settings):
        return data.resolve(Config("seqgan", given, data=Data(**settings)), Sequences)

    given = {}
    assert len(opened(path=str(file))) == 12
    assert given == {"length": 5, "vocabulary_size": 40}
    given = {"vocabulary_size": 9, "length": 3}
    source = opened(path="synthetic")
    assert source.sequences.shape == (10_000, 3) and source.vocabulary_size == 9
    assert given == {"vocabulary_size": 9, "length": 3}
    for word in ("labels", "flip"):
        with pytest.raises(DataError, match=f"data.{word} is True.*has no setting '{word}'"):
            opened(path="synthetic", **{word: True})
    with pytest.raises(DataError, match="No data are given"):
        opened()


def test_oracle_of_the_paper():
    """V 5000, width 32: own samples have 5.7 to 6.0 nats per token, uniform ones 11.1 to 11.5."""
    oracle = Oracle(5000)
    own = oracle.nll(oracle.sample(120, 20)).mean()
    uniform = oracle.nll(np.random.RandomState(0).randint(0, 5000, [120, 20])).mean()
    assert 5.7 <= own <= 6.0 and 11.1 <= uniform <= 11.5
    oracle.weights[-2:] = [0 * w for w in oracle.weights[-2:]]
    flat = oracle.nll(np.random.RandomState(0).randint(0, 5000, [4, 20]))
    np.testing.assert_allclose(flat, np.log(5000), rtol=1e-5)


def test_oracle_samples_its_own_distribution():
    """The first tokens follow from the start token 0 and the state 0; no state is carried along."""
    oracle = Oracle(6, width=4, seed=1)
    tokens = oracle.sample(8000, 2)
    for prefix in ([], [tokens[0, 0]]):
        rows = tokens if not prefix else tokens[tokens[:, 0] == prefix[0]]
        t = len(prefix)
        tests = np.array([[*prefix, *[k] * (2 - t)] for k in range(6)], "int32")
        p = np.exp(-oracle.nll(tests)[:, t])
        assert p.sum() == pytest.approx(1.0, abs=1e-4)
        found = np.bincount(rows[:, t], minlength=6) / len(rows)
        assert np.abs(found - p).max() < 4 * (0.25 / len(rows)) ** 0.5
    assert np.array_equal(tokens[:700], oracle.sample(700, 2))
    assert not np.array_equal(tokens, oracle.sample(8000, 2, seed=1))
