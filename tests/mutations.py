"""Plants errors in the losses of the models, one at a time, and sees that some test fails.

    python tests/mutations.py [MODEL ...]

In each loss and penalty of a model: each term with the other sign, each term left out, each score
with the other sign, real and fake exchanged, each `tf.stop_gradient` taken away. An error must fail
the planted scores or the model's own tests. The ones that no test notices are listed at the end.
"""

import argparse
import ast
import dataclasses
import importlib
import inspect
import multiprocessing
import os
import pathlib
import re
import sys
from collections.abc import Callable

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # as in conftest.py, before TensorFlow is imported
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import keras  # noqa: F401
import pytest
import tensorflow  # noqa: F401

import tfgans.models
import tfgans.training  # noqa: F401

TESTS = pathlib.Path(__file__).parent
LOSS = re.compile(
    r"_loss$|^losses$|_terms$|^compare$|penalty$|^decay$|distance$|^divergence$|^reconstruction$"
    r"|^feature_matching$"
)
SCORE = re.compile(r"(^|_)(score|v)$")
# The words for the two sides of a discriminator.
OPPOSITE = [("real", "fake"), ("real", "made"), ("data", "sample"), ("theirs", "ours")]


@dataclasses.dataclass
class Error:
    """An error to plant: nodes of the syntax tree, by their number, and what takes their place."""

    line: int
    function: str
    what: str
    swaps: dict[int, Callable[[ast.AST], ast.AST]]

    def __str__(self):
        return f"{self.line} {self.function}: {self.what}"


def negative(node):
    return ast.UnaryOp(ast.USub(), node)


def nothing(node):
    return ast.BinOp(ast.Constant(0.0), ast.Mult(), node)


def terms_of(function):
    """The values of a loss's dicts, or the number that a penalty returns: (name, expression)."""
    dicts = {
        ast.unparse(node.targets[0])
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and not is_number(node.value)
    }
    dicts = {name.strip() for names in dicts for name in names.strip("()").split(",")}
    for node in ast.walk(function):
        found = []
        if isinstance(node, ast.Dict):
            found = list(zip(map(ast.unparse, node.keys), node.values, strict=True))
        elif isinstance(node, ast.DictComp):
            found = [(ast.unparse(node.key), node.value)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            found = [(ast.unparse(node.targets[0].slice), node.value)]
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
            found = [(ast.unparse(node.target.slice), node.value)]
        elif isinstance(node, ast.Return) and not isinstance(node.value, ast.Name):
            found = [("the result", node.value)]
        for name, term in found:
            if is_number(term) and ast.unparse(term) not in dicts:
                yield name, term


def is_number(node):
    """False for a dict, a union of dicts, and a tuple; a term's name is that of a number."""
    if isinstance(node, ast.BinOp):
        return not isinstance(node.op, ast.BitOr)
    if isinstance(node, ast.Constant):
        return node.value != 0.0
    return isinstance(node, (ast.Call, ast.UnaryOp, ast.Name))


def summands(node):
    """Both operands of each sum in a term, as far as no function is applied to it."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, (ast.Add, ast.Sub)):
            yield from (node.left, node.right)
        yield from summands(node.left)
        yield from summands(node.right)
    elif isinstance(node, ast.UnaryOp):
        yield from summands(node.operand)


def exchanged(function):
    """The names of real and fake things in the terms, each with its opposite.

    Not those of `tf.abs(real - fake)`: the exchange changes nothing there.
    """
    same = {
        id(name)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("tf.abs", "tf.square")
        for difference in node.args[:1]
        if isinstance(difference, ast.BinOp) and isinstance(difference.op, ast.Sub)
        for name in (difference.left, difference.right)
    }
    names = [
        node
        for _, term in terms_of(function)
        for node in ast.walk(term)
        if isinstance(node, ast.Name) and id(node) not in same
    ]
    ids, pairs = {node.id for node in names}, {}
    for name in ids:
        for word, opposite in OPPOSITE:
            other = re.sub(rf"(?<![a-z]){word}(?![a-z])", opposite, name)
            if other != name and other in ids:
                pairs |= {name: other, other: name}
    return [(node, pairs[node.id]) for node in names if node.id in pairs]


def is_score(node):
    """True where a score is read: a name, or the entry of a network's outputs."""
    name = getattr(node, "id", None) or getattr(getattr(node, "slice", None), "value", None)
    read = isinstance(getattr(node, "ctx", None), ast.Load)
    return read and isinstance(name, str) and bool(SCORE.search(name))


def is_square(call):
    """True for `tf.square(x)`, and for `squared(x, 0.0)`, the mean square of x - 0."""
    name, *others = ast.unparse(call.func), *map(ast.unparse, call.args[1:])
    return name == "tf.square" or (name == "squared" and others == ["0.0"])


def errors_in(source):
    """All errors that can be planted in the source of a model."""
    tree = ast.parse(source)
    number = {id(node): i for i, node in enumerate(ast.walk(tree))}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or not LOSS.search(function.name):
            continue

        def error(what, *swaps, function=function):
            line = swaps[0][0].lineno
            return Error(line, function.name, what, {number[id(n)]: make for n, make in swaps})

        for name, term in terms_of(function):
            yield error(f"{name} with the other sign", (term, negative))
            yield error(f"{name} left out", (term, nothing))
            for node in summands(term):
                part = ast.unparse(node)
                yield error(f"{part} in {name} with the other sign", (node, negative))
        squared = [  # their sign changes nothing
            id(node.args[0])
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and is_square(node)
        ]
        for node in ast.walk(function):
            if is_score(node) and id(node) not in squared:
                yield error(f"{ast.unparse(node)} with the other sign", (node, negative))
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "tf.stop_gradient":
                    yield error(f"{ast.unparse(node)} taken away", (node, lambda n: n.args[0]))
                elif called == "tf.nn.softplus" and isinstance(node.args[0], ast.Call):
                    part = ast.unparse(node.args[0])
                    yield error(f"{part} with the other sign", (node.args[0], negative))
        swaps = [
            (node, lambda n, other=other: ast.Name(other, n.ctx))
            for node, other in exchanged(function)
        ]
        if swaps:
            yield error("real and fake exchanged", *swaps)


def plant(name, source, error):
    """Puts a model with an error in the place of the true one, in this process."""
    tree = ast.parse(source)
    makers = {id(n): error.swaps.get(i) for i, n in enumerate(ast.walk(tree))}

    class Swap(ast.NodeTransformer):
        def visit(self, node):
            make = makers.get(id(node))
            return make(node) if make else self.generic_visit(node)

    module = importlib.import_module(f"tfgans.models.{name}")
    true = tfgans.models.MODELS[name].__name__
    tree = ast.fix_missing_locations(Swap().visit(tree))
    exec(compile(tree, module.__file__, "exec"), vars(module))
    tfgans.models.MODELS[name] = vars(module)[true]


class Watcher:
    """A plugin of pytest: the planted scores and tests that name the loss first; who failed."""

    def __init__(self, loss):
        self.loss, self.failed = loss, ""

    def pytest_collection_modifyitems(self, items):
        def place(item):
            return "planted" not in item.path.name, self.loss not in inspect.getsource(
                item.function
            )

        items.sort(key=place)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = report.nodeid.split("::")[-1]


def check(name, part, parts):
    """Plants the errors of a model, one out of `parts`, and runs its tests on each.

    The first part begins with the model as it is, which must pass.

    Returns:
        (name, error as text, exit status of pytest, the test that failed) of each error.
    """
    source = pathlib.Path(TESTS.parent / f"tfgans/models/{name}.py").read_text()
    errors = [None, *errors_in(source)]
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    planted = f"{TESTS}/contract/test_planted.py::test_each_player_works_for_the_scores_it_wants"
    command = [
        "-xqm", "not slow", "--every-model", "--assert=plain", "-p", "no:cacheprovider",
        "-p", "no:hypothesispytest",
        f"{planted}[{name}]", str(TESTS / f"models/test_{name}.py"),
    ]  # fmt: skip
    results = []
    for error in errors[part::parts]:
        if error:
            plant(name, source, error)
        sys.modules.pop(f"test_{name}", None)  # it holds the class of before
        watcher = Watcher(error.function if error else "")
        status = pytest.main(command, [watcher])
        results.append((name, str(error or ""), status, watcher.failed))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=list(tfgans.models.MODELS), metavar="MODEL")
    names = parser.parse_args().models
    cores, count, survivors = len(os.sched_getaffinity(0)), 0, []
    # Forks of this process: TensorFlow is imported, and not used yet.
    with multiprocessing.get_context("fork").Pool(cores, maxtasksperchild=1) as pool:
        tasks = [(name, part, cores) for name in names for part in range(cores)]
        futures = [pool.apply_async(check, task) for task in tasks]
        for name, error, status, failed in (r for future in futures for r in future.get()):
            line = f"tfgans/models/{name}.py:{error}: {failed or 'no test fails'}"
            print(line, flush=True)
            count += bool(error)
            if status != (pytest.ExitCode.TESTS_FAILED if error else pytest.ExitCode.OK):
                survivors.append(line)
    print(f"\n{count} errors, not noticed: {len(survivors)}", *survivors, sep="\n")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
