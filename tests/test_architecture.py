"""The rules of ARCHITECTURE.md, held against the imports in the source."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "excise"
FILES = sorted(SOURCE.rglob("*.py"))

# The rooms that may import the first domain; `cli` and `report` reach it through experiments.
KNOWS_COLOR = {"color", "experiments", "report"}


def room_of(path: Path) -> str:
    inside = path.relative_to(SOURCE)
    return inside.parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of excise that a file imports anywhere, also inside functions."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            parts = node.module.split(".")
            if parts[0] == "excise":
                rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("excise.")}
    return rooms - {room_of(path)}


def floors() -> dict[str, int]:
    """The floor of each room as the table of ARCHITECTURE.md says it."""
    table: dict[str, int] = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| (\d) \| ([^|]+) \|", line)
        if row:
            for room in re.findall(r"`([a-z]+)(?:/|\.py)`", row[2]):
                table[room] = int(row[1])
    return table


def test_the_table_names_every_room():
    assert set(floors()) == {room_of(path) for path in FILES} - {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_from_floors_below(path: Path):
    levels = floors()
    here = room_of(path)
    if here == "__init__":
        return
    for room in imported_rooms(path):
        assert levels[room] < levels[here], f"{here} imports {room}"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if room_of(path) not in KNOWS_COLOR],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_nothing_outside_the_domain_and_its_experiments_knows_about_colour(path: Path):
    assert "color" not in imported_rooms(path)


def test_the_documents_and_the_source_name_no_path_of_a_machine():
    written = [*FILES, *ROOT.glob("*.md"), *(ROOT / "tests").rglob("*.py")]
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(?:home|Users|work|root)/[a-z]", text), path.name
