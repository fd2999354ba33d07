"""Imports of the package go one way: no circle of files, no room that imports from a higher one."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "tfgans"
# Rooms from the ground up; a file imports from its own room and from those before it.
ROOMS = [
    {
        "errors",
        "version",
        "keras_settings",
        "random",
        "durable",
        "shapes",
        "images",
        "previews",
        "ops",
    },
    {"optimizers", "penalties", "digests", "labels", "hub", "legacy", "memory", "foreign"},
    {"layers", "storage", "strategy"},
    {"features", "data"},
    {"models"},
    {"config"},
    {"metrics", "use"},
    {"callbacks", "pretrained"},
    {"resuming", "training"},
    {"catalog", "latents"},
    {"app"},
    {"card"},
]


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(name):
    """The modules of the package that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {node.module}
    return {module for module in found if module in FILES} - {name}


def circle(graph):
    """Names along a circle of a graph, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        done.add(name)
        path.append(name)
        for other in sorted(graph[name]):
            if found := visit(other):
                return found
        path.pop()
        return None

    return next(filter(None, map(visit, sorted(graph))), None)


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_no_file_imports_itself_through_others():
    assert circle({name: imports(name) for name in FILES}) is None


@pytest.mark.parametrize("name", sorted(set(FILES) - {"tfgans"}))
def test_no_room_imports_from_a_higher_one(name):
    floors = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
    own = floors[name.split(".")[1]]
    for module in imports(name):
        assert module != "tfgans", f"{name} imports the whole package"
        assert floors[module.split(".")[1]] <= own, f"{name} imports {module}"


def test_no_file_imports_at_its_head_what_takes_half_a_second():
    """`import tfgans` would wait for it; `scipy.signal` brings `scipy.stats` along."""
    slow = {"scipy.signal", "scipy.stats", "sklearn", "pandas", "matplotlib.pyplot"}
    for name, path in FILES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                found = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            else:
                continue
            if not name.startswith("tfgans.app"):  # which its users import alone
                assert not found & slow, f"{path}: import {found & slow} where it is used"
