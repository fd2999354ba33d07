"""The rule that the site's docstrings keep: each argument of whatever it shows is explained.

A page shows an object by a line `::: tfgans.NAME`: a function, a class, or a module with its
public functions and classes, where they have docstrings. An argument is explained where the
docstring has it in `Args:` (a class of fields may have it in `Attributes:`). One or two arguments
may stand in the docstring's first paragraph instead, by their names; a formula does that best. An
argument that the same method of a base class explains is explained. `training` and `**kwargs` are
Keras' words, and need no other.

`make docs` and tests/test_docstrings.py ask `unexplained`.
"""

import importlib
import inspect
import re

KNOWN = ("self", "cls", "training")
SHORT = 2  # arguments that the first paragraph may name
SHOWN = re.compile(r"^::: (tfgans[\w.]*)$", re.MULTILINE)
SECTION = re.compile(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)*)", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): ", re.MULTILINE)


def unexplained(page) -> list:
    """A line "NAME: arguments" for each object of a page that lacks explanations.

    Args:
        page: Its text in Markdown.
    """
    lines = []
    for name, found in shown(page):
        if inspect.getdoc(found) is None:
            lines.append(f"{name}: no docstring")
        elif lacking := [word for word in arguments(found) if not is_explained(found, word)]:
            lines.append(f"{name}: {', '.join(lacking)}")
    return lines


def shown(page):
    """Yields (name, object) of all functions and classes that a page shows, methods among them."""
    for name in SHOWN.findall(page):
        found = resolved(name)
        if not inspect.ismodule(found):
            yield name, found
        members = [found] if inspect.isclass(found) else []
        if inspect.ismodule(found):
            own = [x for x in vars(found).values() if getattr(x, "__module__", None) == name]
            for member in own:
                if is_documented(member):
                    yield f"{name}.{member.__name__}", member
            members = [x for x in own if inspect.isclass(x)]
        for cls in members:
            for word, value in vars(cls).items():
                method = getattr(value, "__func__", value)  # of a class method or a static one
                if inspect.isfunction(method) and is_documented(method) and is_own(method):
                    yield f"{name}:{cls.__name__}.{word}", method


def resolved(name):
    """The object of a dotted name."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found


def is_documented(found) -> bool:
    """True for a function or class that the site shows where it has a docstring, and it has one."""
    public = (inspect.isclass(found) or callable(found)) and hasattr(found, "__name__")
    return public and not found.__name__.startswith("_") and bool(found.__doc__)


def is_own(method) -> bool:
    """True for a method of this package, false for one of another that a class names its own."""
    return method.__module__.startswith("tfgans")


def arguments(found) -> list:
    """The names of the arguments of a function, a method or a constructor, in their order."""
    if inspect.isclass(found) and not hasattr(found, "__dataclass_fields__"):
        made = found.__dict__.get("__init__") or found.__dict__.get("__new__")
        if made is None:
            return []
        found = made
    parameters = inspect.signature(found).parameters
    return [
        word
        for word, parameter in parameters.items()
        if word not in KNOWN and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def is_explained(found, word) -> bool:
    """True where the docstring of an object, or of what it overrides, explains an argument.

    Args:
        found: The function, method or class.
        word: The name of the argument.
    """
    texts = [inspect.getdoc(found), *of_bases(found)]
    if inspect.isclass(found):
        texts.append(inspect.getdoc(found.__init__))
    return any(explains(text, word, len(arguments(found))) for text in texts if text)


def explains(text, word, count) -> bool:
    """True where a docstring has an argument in `Args:`, or one of two in its first paragraph.

    Args:
        text: The docstring.
        word: The name of the argument.
        count: Number of arguments of the function.
    """
    entries = [w for part in SECTION.findall(text) for w in ENTRY.findall(part)]
    if word in {w.lstrip("*") for entry in entries for w in entry.split(", ")}:
        return True
    return count <= SHORT and bool(re.search(pattern_of(word), text.split("\n\n")[0]))


def pattern_of(word) -> str:
    """The pattern that finds an argument in a sentence, by its name or, of a list, in the singular.

    Args:
        word: The name. One of a single letter is no plural, and `a` alone is an article.
    """
    if len(word) == 1:
        return f"`{word}`" if word == "a" else rf"\b{word}\b"
    first, rest = f"[{word[0]}{word[0].upper()}]", word[1:].replace("_", "[_ ]")
    return rf"\b{first}({rest}(e?s)?|{rest.removesuffix('s')})\b"


def of_bases(found) -> list:
    """The docstrings of the methods that a method overrides."""
    if not inspect.isfunction(found) or "." not in found.__qualname__:
        return []
    cls = resolved(f"{found.__module__}.{found.__qualname__.rpartition('.')[0]}")
    own = [base for base in cls.__mro__[1:] if base.__module__.startswith("tfgans")]
    methods = [vars(base).get(found.__name__) for base in own]
    return [inspect.getdoc(method) for method in methods if inspect.isfunction(method)]
