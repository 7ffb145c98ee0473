"""What a core install runs: imports are core dependencies, all others go through `import_extra`."""

import ast
import re
import sys

import pytest

import eval as evaluation
from tests.conftest import ROOT
from utils import errors
from utils.command import run_command
from utils.errors import BAD_INPUT, MissingExtraError, import_extra

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Libraries that are imported by another name than they are installed by.
INSTALLED_BY = {"absl": "absl-py", "jinja2": "Jinja2", "PIL": "pillow", **errors.INSTALLED_BY}
FILES = [
    path for path in sorted(ROOT.rglob("*.py"))
    if not {"tests", "build"}.intersection(path.parts) and not any(part.startswith(".") for part in path.parts)
]  # fmt: skip
OWN = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if path.is_dir()}


def libraries(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def installed_by(module):
    top = module.partition(".")[0]
    return INSTALLED_BY.get(top, top)


def imports(tree):
    """Every module that an import statement names, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def extras(tree):
    """(module, extra) of every call of `import_extra`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_extra":
            yield tuple(argument.value for argument in node.args[:2])


def trees():
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in FILES}


def test_every_import_is_of_a_core_dependency():
    core = libraries(PROJECT["dependencies"])
    foreign = {
        (file, module) for file, tree in trees().items() for module in imports(tree)
        if module.partition(".")[0] not in OWN | set(sys.stdlib_module_names)
    }  # fmt: skip
    assert {installed_by(module) for _, module in foreign} >= {"torch", "numpy", "absl-py"}
    assert [(file, module) for file, module in sorted(foreign) if installed_by(module) not in core] == []


def test_every_other_library_is_in_the_extra_that_its_import_names():
    groups = {extra: libraries(listed) for extra, listed in PROJECT["optional-dependencies"].items()}
    found = [(file, *named) for file, tree in trees().items() for named in extras(tree)]
    assert {extra for _, _, extra in found} >= {"speed", "evaluation"}
    assert [named for named in found if installed_by(named[1]) not in groups[named[2]]] == []


def test_a_missing_extra_is_named_with_the_line_that_installs_it(monkeypatch):
    assert import_extra("math", "speed", "this") is sys.modules["math"]
    with pytest.raises(MissingExtraError, match=r'this needs absent, .*"alignment-progress\[speed\]".*"\.\[speed\]"'):
        import_extra("absent.part", "speed", "this")

    def lacks_another(module):
        raise ModuleNotFoundError("No module named 'other'", name="other")

    monkeypatch.setattr(errors.importlib, "import_module", lacks_another)
    with pytest.raises(ModuleNotFoundError, match="other") as caught:
        import_extra("present", "speed", "this")
    assert not isinstance(caught.value, MissingExtraError)


def test_a_map_by_t_sne_without_scikit_learn_is_refused_before_anything_is_evaluated(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.manifold", raising=False)
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)
    assert run_command(evaluation.main, ["eval.py", "--checkpoint", "absent.pt", "--tsne"]) == BAD_INPUT
    assert caplog.messages == [
        'error: --tsne needs scikit-learn, which is not installed: pip install "alignment-progress[evaluation]" '
        '(in a checkout: pip install ".[evaluation]")'
    ]
