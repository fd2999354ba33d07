"""Plain English: no sentence of the code or the documentation begins with What, Whether or Of."""

import ast
import io
import pathlib
import re
import tokenize

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
START = re.compile(  # beginning of a text, paragraph, sentence, table cell or list item
    r"(?:\A|\n\s*\n|[.:;!?|*#-]\s+)[\s\"'(*|-]*(What|Whether|Of)\b"
)
END = re.compile(r"[.!?](?=[\s\"')*]|\Z)|\n\s*\n|\Z")


def python_texts(source):
    """Yields (first line, text) of each docstring, and of each block of comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            if text := ast.get_docstring(node, clean=False):
                yield node.body[0].lineno, text
    block, first, last = [], 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            if block and not (alone and token.start[0] == last + 1):
                yield first, "\n".join(block)
                block = []
            first, last = first if block else token.start[0], token.start[0]
            words = token.string.lstrip("# ")
            block.append(words if block else re.sub(r"\Awh(?=at\b|ether\b)", "Wh", words))
    if block:
        yield first, "\n".join(block)


def markdown_texts(source):
    """Yields (1, text) without code blocks, whose lines become empty."""
    lines, fenced = [], False
    for line in source.splitlines():
        fence = line.lstrip().startswith("```")
        lines.append("" if fenced or fence or line.startswith("    ") else line)
        fenced ^= fence
    yield 1, "\n".join(lines)


def found(path, source):
    """Lists "line: sentence" of each sentence that begins with one of the words."""
    lines = []
    for first, text in (python_texts if path.suffix == ".py" else markdown_texts)(source):
        for match in START.finditer(text):
            start = match.start(1)
            sentence = " ".join(text[start : END.search(text, start).end()].split())
            if not sentence.endswith("?"):
                lines.append(f"{first + text.count(chr(10), 0, start)}: {sentence}")
    return lines


@pytest.mark.parametrize(
    "name, source, expected",
    [
        ("a.py", '"""What it is.\n\nWhat? Of all."""', ["1: What it is.", "3: Of all."]),
        ("a.py", '"""A.\n\n    Args:\n        seed: Of noise.\n"""', ["4: Of noise."]),
        ("a.py", "x = 1  # whether to mirror\ny = 1  # of 2\n", ["1: Whether to mirror"]),
        ("a.py", "# One part\n# of two. Whether\n# so or not.\n", ["2: Whether so or not."]),
        ("a.md", "## What is read\n\n    What?\n\n```\nOf code\n```\n", ["1: What is read"]),
        (
            "a.md",
            "|Here | What differs. |\n\n- Of `a.b`: 1.",
            ["1: What differs.", "3: Of `a.b`: 1."],
        ),
        ("a.md", "**Whether it is.** Yes.", ["1: Whether it is."]),
        ("a.md", "The length of z. Say what it is, and whether it fits.", []),
    ],
)
def test_sentences_are_found(name, source, expected):
    assert found(pathlib.Path(name), source) == expected


def test_sentences_begin_plainly():
    folders = [ROOT / name for name in ("tfgans", "tests", "tools", "benchmarks", "examples")]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    paths += [*ROOT.glob("*.py"), *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    lines = []
    for path in sorted(path.relative_to(ROOT) for path in paths):
        if not any(part.startswith(".") for part in path.parts):
            lines += [f"{path}:{line}" for line in found(path, (ROOT / path).read_text())]
    assert not lines, "\n".join(["Begin these sentences with their subject or verb:", *lines])
