"""The house rules that a machine can check: sizes, docstrings, names, and tests that assert."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, Function, Module, modules

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bNotImplemented(Error)?\b")
# A released migration is a list of statements that never changes again: nothing to cut up.
REVISION = re.compile(r"^migrations/\w+/\d{4}_\w+\.py$")
ASSERTING_CALLS = {"raises", "warns", "fail", "run_state_machine_as_test"}


def test_every_module_opens_with_a_sentence_that_says_what_it_is_for() -> None:
    found = [
        module.name
        for module in modules(*PACKAGES, "tests")
        if module.text and not _opens_with_a_sentence(module)
    ]
    assert not found, "\n".join(found)


def test_functions_are_short() -> None:
    found = [
        f"{module.at(function)} {function.name} has {lines} lines"
        for module in modules(*PACKAGES, "tests")
        if not REVISION.search(module.name)
        for function in module.functions()
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not found, "\n".join(found)


def test_files_are_short() -> None:
    found = [
        f"{module.name} has {lines} lines"
        for module in modules(*PACKAGES)
        if not REVISION.search(module.name)
        if (lines := len(module.text.splitlines())) > FILE_LINES_MAX
    ]
    assert not found, "\n".join(found)


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{module.name}:{number} {line.strip()}"
        for module in modules(*PACKAGES)
        for number, line in enumerate(module.text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found, "\n".join(found)


def test_money_is_never_a_float() -> None:
    found = [place for module in modules(*PACKAGES, "tests") for place in _floats_of_money(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "amount_minor: float = 1",
        "fee_minor = 1.5",
        "total_minor = float(text)",
        "class A:\n    limit_minor: float | None",
        "def pay(*, amount_minor: float) -> None: ...",
        "def total_minor() -> float: ...",
        "pay(amount_minor=0.5)",
    ],
)
def test_money_in_a_float_would_be_found(text: str) -> None:
    assert list(_floats_of_money(Module(Path("sample.py"), text, ast.parse(text))))


def test_every_test_asserts_something() -> None:
    asserting = _asserting_names(modules("tests"))
    found = [
        f"{module.at(function)} {function.name}"
        for module in modules("tests")
        for function in module.functions()
        if function.name.startswith("test_") and not _asserts(function, asserting)
    ]
    assert not found, "\n".join(found)


def test_no_test_is_skipped_and_none_replaces_our_own_code() -> None:
    forbidden = re.compile(
        r"\b(unittest\.mock|MagicMock|mocker|pytest\.skip|mark\.skip|importorskip)"
    )
    here = Path(__file__).name
    found = [
        f"{module.name}:{number} {line.strip()}"
        for module in modules("tests")
        if module.path.name != here
        for number, line in enumerate(module.text.splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not found, "\n".join(found)


def _opens_with_a_sentence(module: Module) -> bool:
    docstring = ast.get_docstring(module.tree) or ""
    first, _, rest = docstring.partition("\n")
    return first.endswith((".", ":")) and (not rest or rest.startswith("\n"))


def _floats_of_money(module: Module) -> Iterator[str]:
    """Yield where something named `…_minor` is declared as, set to or given a float."""
    for node in ast.walk(module.tree):
        named: list[tuple[str, ast.expr | None]] = []
        match node:
            case ast.AnnAssign():
                named = [(_name(node.target), node.annotation), (_name(node.target), node.value)]
            case ast.Assign():
                named = [(_name(target), node.value) for target in node.targets]
            case ast.arg():
                named = [(node.arg, node.annotation)]
            case ast.keyword():
                named = [(node.arg or "", node.value)]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                named = [(node.name, node.returns)]
        for name, value in named:
            if name.endswith("_minor") and value is not None and _is_float(value):
                yield f"{module.at(value)} {name}"


def _name(target: ast.expr) -> str:
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _is_float(value: ast.expr) -> bool:
    """Whether an annotation allows a float, or a value is plainly one."""
    if isinstance(value, ast.Call):
        return _name(value.func) == "float"
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr):
        return _is_float(value.left) or _is_float(value.right)
    if isinstance(value, ast.Constant):
        return isinstance(value.value, float)
    return _name(value) == "float"


def _asserting_names(tests: list[Module]) -> set[str]:
    """The functions of the tests that assert, themselves or through one another."""
    functions = [function for module in tests for function in module.functions()]
    names = set(ASSERTING_CALLS)
    while True:
        found = {function.name for function in functions if _asserts(function, names)} - names
        if not found:
            return names
        names |= found


def _asserts(function: Function, asserting: set[str]) -> bool:
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and _name(node.func) in asserting)
        for node in ast.walk(function)
    )
