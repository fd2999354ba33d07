"""The data kind "tokens": sequences of integers, all of the same length.

The file is a text file: one sequence per line, numbers from 0, separated by blanks, without a start
token. "synthetic" draws the data of SeqGAN's experiment: sequences of a random recurrent network,
the oracle, which also gives the likelihood of any sequence.
"""

import collections
import pathlib

import numpy as np
import tensorflow as tf

from tfgans.data.settings import Data
from tfgans.data.source import DataError

SYNTHETIC = 10_000  # sequences
CHUNK = 500  # sequences that the oracle computes at once, to save memory


class Tokens:
    """A set of sequences in memory.

    Args:
        path: Path of the file, or "synthetic".
        sequences: int32 [n, length].
    """

    failure = None  # see `Images`

    def __init__(self, path, sequences):
        self.path, self.sequences = path, sequences

    def __len__(self):
        return len(self.sequences)

    @property
    def length(self) -> int:
        return self.sequences.shape[1]

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest token."""
        return int(self.sequences.max()) + 1


def open_tokens(path, length: int | None = None) -> Tokens:
    """Reads a text file of sequences.

    Args:
        path: Path of the file.
        length: Number of tokens of a sequence; lines of other lengths are skipped. The default is
            the most frequent length.

    Raises:
        DataError: The file does not exist, a word is not a number, or no line has that length.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise DataError(
            f"There is no file {path}.",
            "Set data.path to a text file: one sequence of integers per line, separated by blanks.",
        )
    lines = []
    try:
        for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
            lines.append([token(word, path, number) for word in line.split()])
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file ({error}).", "Write numbers as text.") from None
    counts = collections.Counter(len(line) for line in lines if line)
    if not counts:
        raise DataError(f"{path} is empty.", "Put one sequence of integers on each line.")
    length = length or counts.most_common(1)[0][0]
    if not counts[length]:
        found = ", ".join(map(str, sorted(counts)))
        raise DataError(
            f"{path} has no line of {length} tokens; its lines have {found}.",
            "Set model.length to one of these lengths.",
        )
    if skipped := counts.total() - counts[length]:
        print(f"{skipped} of {counts.total()} lines of {path} skipped: not {length} tokens long.")
    return Tokens(path, np.array([line for line in lines if len(line) == length], "int32"))


def token(word, path, number):
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise DataError(
            f"Line {number} of {path} holds {word[:40]!r}.",
            "Tokens are numbers from 0, of at most nine digits: number the words of a text first.",
        )
    return int(word)


def to_text(tokens) -> str:
    """Writes sequences [n, length] as text for `open_tokens`."""
    return "".join(" ".join(map(str, line)) + "\n" for line in np.asarray(tokens))


class Oracle:
    """An LSTM with fixed weights drawn from N(0, 1): the source of synthetic sequences.

    The first input is token 0, which is not part of the sequence.

    Args:
        vocabulary_size: Number of tokens.
        width: Length of the embeddings and of the state.
        seed: Seed of the weights.

    Attributes:
        weights: Embedding [V, width]; kernel [width, 4 width], recurrent kernel and bias of the
            four gates (input, forget, output, cell); output kernel [width, V] and bias.
    """

    def __init__(self, vocabulary_size: int, width: int = 32, seed: int = 0):
        self.width = width
        shapes = [[vocabulary_size, width], [width, 4 * width], [width, 4 * width], [4 * width]]
        shapes += [[width, vocabulary_size], [vocabulary_size]]
        draws = np.random.default_rng(seed)
        self.weights = [draws.standard_normal(shape, "float32") for shape in shapes]

    def sample(self, count: int, length: int, seed: int = 0) -> np.ndarray:
        """Draws sequences, int32 [count, length]."""
        u = np.random.default_rng([seed, 1]).random([count, length], "float32")

        def draw(part, t, log_p):
            cumulated = np.exp(log_p).cumsum(axis=1)
            # Scaled by the full sum, which rounding moves away from 1.
            return (cumulated <= u[part, t, None] * cumulated[:, -1:]).sum(axis=1)

        return self._walk(count, length, draw)[0]

    def nll(self, tokens: np.ndarray) -> np.ndarray:
        """Returns -log p of each token given the tokens before it, in nats, float32 [n, length]."""
        return self._walk(*tokens.shape, lambda part, t, log_p: tokens[part, t])[1]

    def _walk(self, count, length, choose):
        """Returns the tokens that `choose(rows, t, log-probabilities)` picks, and their -log p."""
        embedding, kernel, recurrent, bias, output, output_bias = self.weights
        tokens, nll = np.empty([count, length], "int32"), np.empty([count, length], "float32")
        for start in range(0, count, CHUNK):
            part = slice(start, min(start + CHUNK, count))
            rows = np.arange(part.stop - start)
            h = c = np.zeros([len(rows), self.width], "float32")
            token = np.zeros(len(rows), "int32")
            for t in range(length):
                gates = embedding[token] @ kernel + h @ recurrent + bias
                i, f, o, g = np.split(gates, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                logits = h @ output + output_bias
                logits -= logits.max(axis=1, keepdims=True)
                log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
                token = tokens[part, t] = choose(part, t, log_p)
                nll[part, t] = -log_p[rows, token]
        return tokens, nll


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # does not overflow


def resolve(settings: Data, given: dict, defaults: dict) -> Tokens:
    """Opens the data; sets length and vocabulary_size where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        model = defaults | given
        oracle = Oracle(model["vocabulary_size"])
        return Tokens("synthetic", oracle.sample(SYNTHETIC, model["length"]))
    source = open_tokens(settings.path, given.get("length"))
    given.setdefault("length", source.length)
    given.setdefault("vocabulary_size", source.vocabulary_size)
    return source


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    return {"tokens": tf.TensorSpec([model.length], "int32")}


class Reader:
    """Feeds a model with sequences: "tokens", int32 [length].

    Args:
        model: Its length and vocabulary_size must fit the data.
        source: The sequences.
        config: Not used.

    Raises:
        DataError: The sequences do not fit the model.
    """

    unit = "sequences"
    real = "tokens"
    settings = ()
    draws = 0

    def __init__(self, model, source: Tokens, config: Data, stage: int):
        if source.length != model.length or source.vocabulary_size > model.vocabulary_size:
            raise DataError(
                f"The sequences of {source.path} are {source.length} tokens long, and the largest "
                f"token is {source.vocabulary_size - 1}; the model has length = {model.length} "
                f"and vocabulary_size = {model.vocabulary_size}.",
                f"Set model.length to {source.length} and model.vocabulary_size to "
                f"{source.vocabulary_size} or more.",
            )
        self.sequences = source.sequences
        self.signature = signature(model, stage)

    def read(self, positions, order, draws):
        return {"tokens": self.sequences[[order(p, len(self.sequences)) for p in positions]]}
