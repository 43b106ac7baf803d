"""The house has floors: a module imports only from the floors below its own, never from a sibling.

The table says on which floor a part stands; what is imported inside a function or for types alone counts too.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tailrace

ROOT = Path(tailrace.__file__).parent

FLOORS = (
    {"errors", "clock", "observe", "signals"},
    {"sse"},
    {"log"},
    {"hub"},
    {"runs", "asgi", "access", "channels"},
    {"facade"},
    {"chat"},
    {"web"},
    {"server"},
)
"""From the bottom up. The library's face, `tailrace/__init__.py`, may show whatever is up to the facade."""

BESIDE = {
    "client": {"sse", "errors"},
    "testing": {"sse", "errors", "clock"},
    "server": {"client"},
    "__init__": set[str]().union(*FLOORS[:6]),
    "__main__": {"server"},
}
"""What stands beside the floors, and what may be used there: the command line uses the client."""

MODULES = sorted(ROOT.rglob("*.py"))


def part_of(name: str) -> str:
    """`tailrace.hub.view` belongs to `hub`; the package itself is `__init__`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path: Path) -> set[str]:
    """All names of ours that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            base = node.module or ""
            # `from tailrace import x` names a part, or something that the face shows.
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "tailrace" else {base}
    return {name for name in names if name.split(".")[0] == "tailrace"}


def parts_used(path: Path) -> set[str]:
    parts = {part_of(name) for name in imported(path)}
    known = {part for floor in FLOORS for part in floor} | BESIDE.keys()
    return {part if part in known else "__init__" for part in parts}


def allowed(part: str) -> set[str]:
    below: set[str] = set()
    for floor in FLOORS:
        if part in floor:
            return below | BESIDE.get(part, set()) | {part}
        below |= floor | ({"__init__"} if "facade" in floor else set())  # from there on the face may be used
    return BESIDE[part] | {part}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    inside = path.relative_to(ROOT)
    part = inside.parts[0] if len(inside.parts) > 1 else inside.stem
    above = parts_used(path) - allowed(part)
    assert not above, f"{inside} imports {sorted(above)}, which is not below {part}"


def test_every_part_has_its_floor() -> None:
    found = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES}
    missing = found - {part for floor in FLOORS for part in floor} - BESIDE.keys()
    assert not missing, f"say on which floor these stand: {sorted(missing)}"


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("hub/x.py", "from tailrace.runs import Run"),
        ("hub/x.py", "def f():\n    import tailrace.facade"),
        ("runs/x.py", "from tailrace.asgi import problem"),
        ("sse/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tailrace.log import Record"),
        ("client/x.py", "from tailrace.runs import Text"),
        ("log/x.py", "from tailrace import Tailrace"),
        ("chat/x.py", "from tailrace import web"),
    ],
)
def test_an_import_upwards_is_found_wherever_it_stands(tmp_path: Path, where: str, line: str) -> None:
    path = tmp_path / "x.py"
    path.write_text(line + "\n")
    assert parts_used(path) - allowed(where.split("/", maxsplit=1)[0])
