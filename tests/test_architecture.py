"""The rooms of the project and the way of its imports, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOP_OF_UTILS = 8
HEAVY = {
    "predict.py": ("matplotlib", "numba", "torch", "utils.loss_functions", "models"),
    "eval.py": ("matplotlib", "numba", "torch", "models.alignment_training_loop"),
    "multitask_train.py": ("matplotlib", "numba", "torch"),
}


def module_files():
    """Every file of the program by the name of its module."""
    folders = [ROOT / name for name in ("utils", "models", "configs", "benchmarks")]
    paths = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths
    }


FILES = module_files()


def room_of(module):
    """`utils/data` for a file in it, `utils/files.py` for one at the top of utils/, `eval.py` for a recipe."""
    parts = FILES[module].relative_to(ROOT).parts
    if parts[0] == "utils":
        return "/".join(parts[:2])
    return parts[0]


def imports_of(module):
    """The project's modules that a file imports anywhere in it, in functions and for type hints too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written out from the top"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {inner} if inner in FILES else {node.module} & set(FILES)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
    return found


def room_imports():
    rooms = {}
    for module in FILES:
        if FILES[module].name == "__init__.py" and not imports_of(module):
            continue
        others = {room_of(other) for other in imports_of(module)} - {room_of(module)}
        rooms.setdefault(room_of(module), set()).update(others)
    return rooms


def layers(graph):
    """How many rooms stand below each, along the longest way down.

    Raises:
        RecursionError: there is a circle.
    """
    found = {}

    def layer(room, way=()):
        if room in way:
            raise RecursionError(" -> ".join([*way[way.index(room) :], room]))
        if room not in found:
            found[room] = 1 + max((layer(other, (*way, room)) for other in graph.get(room, ())), default=0)
        return found[room]

    for room in graph:
        layer(room)
    return found


def test_no_room_is_imported_by_one_that_it_imports():
    found = layers(room_imports())
    assert max(found.values()) <= 12
    assert len(found) <= 24


def test_no_file_is_imported_by_one_that_it_imports():
    layers({module: imports_of(module) - {module} for module in FILES})


def test_a_circle_would_be_found():
    with pytest.raises(RecursionError, match="b -> c -> b"):
        layers({"a": {"b"}, "b": {"c"}, "c": {"b"}})


def drawn_floors():
    """The rooms on each line of the page's picture, from the top."""
    picture = re.search(r"```\n(.*?)```", PAGE, re.DOTALL)[1]
    room = r"utils/\w+(?:\.py|/)|\w+\.py|(?:models|configs|benchmarks)/"
    return [re.findall(room, line) for line in picture.splitlines()]


def test_the_page_draws_every_room_and_no_import_goes_up_in_it():
    floors = [[name.rstrip("/") for name in floor] for floor in drawn_floors()]
    height = {room: -number for number, floor in enumerate(floors) for room in floor}
    graph = room_imports()
    assert set(height) == set(graph)
    upwards = [(room, other) for room, others in graph.items() for other in others if height[other] > height[room]]
    assert upwards == []


def test_few_files_lie_at_the_top_of_utils():
    top = [path for path in (ROOT / "utils").glob("*.py") if path.name != "__init__.py"]
    assert len(top) <= TOP_OF_UTILS


@pytest.mark.parametrize("recipe", HEAVY)
def test_help_loads_next_to_nothing(recipe):
    program = (
        "import runpy, sys\n"
        f"sys.argv = [{recipe!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({recipe!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stderr.splitlines()
    assert [name for name in loaded if name.startswith(HEAVY[recipe])] == []
    assert len([name for name in loaded if name.split(".")[0] in ("utils", "models", "configs")]) <= 40
    assert recipe in done.stdout or "--checkpoint" in done.stdout


def test_the_walks_name_what_is_there():
    for path, name in re.findall(r"`((?:utils|models|configs)/[\w/]+\.py)(?::([\w.]+))?`", PAGE):
        assert (ROOT / path).is_file(), path
        source = (ROOT / path).read_text(encoding="utf-8")
        for part in name.split(".") if name else []:
            assert re.search(rf"(def|class) {part}\b", source), f"{path}:{name}"
