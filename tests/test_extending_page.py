"""docs/extending.md: everything on the page is done as it says, in a copy of the project, and run."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SMALL

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n# (.*?)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```bash\n(.*?)\n```", PAGE)
COPIED = ("configs", "models", "utils", "tests/contracts", "tests/__init__.py")
MODULES_OUTSIDE = ("my_losses.py", "my_experiment.py")


def insert(file, place, lines):
    """Puts lines where the page says: 'in NAME' after the line that opens it, 'at the top', 'before LINE'."""
    text = file.read_text(encoding="utf-8")
    kind, _, name = place.partition(" ")
    pattern = {
        "in": rf"^(?:CONFIG\.)?{re.escape(name)}\b.* = .*[({{]\n",
        "at": r"^from __future__ import annotations\n",
        "before": rf"(?=^{re.escape(name)}$)",
    }[kind]
    changed, number = re.subn(pattern, lambda match: match[0] + lines, text, flags=re.MULTILINE)
    assert number == 1, f"{file.name} has {number} places {place!r}"
    file.write_text(changed, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project in which the page has been followed."""
    copy = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source, target = ROOT / name, copy / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "test_*.py"))
        else:
            shutil.copy(source, target)
    for script in ROOT.glob("*.py"):
        shutil.copy(script, copy)
    (copy / "library").mkdir()
    for head, body in PYTHON:
        name, _, place = head.partition(", ")
        if place.startswith(("in ", "at ", "before ")) and name not in MODULES_OUTSIDE:
            insert(copy / name, place, body)
        else:
            folder = copy / "library" if name == "my_losses.py" else copy
            assert not (folder / name).exists(), name
            (folder / name).write_text(body, encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def run(copy):
    def run(*arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["library", str(copy)])}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=copy, env=environment, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def trained(run, copy, data_root):
    """The page's command, with the page's loss, encoder and settings, at a size of seconds."""
    (command,) = COMMANDS
    path, python, *arguments = shlex.split(command)
    assert (path, python) == ("PYTHONPATH=library", "python")
    run(
        *arguments, f"--config.DATASET_PATH={data_root}", *SMALL, "--config.NUM_EPOCHS=1", "--config.CAUSAL=True",
        "--config.LOSS_TYPE.spread=True", "--config.BASEARCH.ARCHITECTURE=window",
    )  # fmt: skip
    return copy / "output" / "experiment" / "run-001"


def test_the_contracts_that_the_page_shows_hold(run, copy):
    tests = [head for head, _ in PYTHON if head.startswith("test_")]
    assert len(tests) == 6
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", copy, *tests)
    assert "6 passed" in done.stdout


def test_the_losses_and_the_encoder_of_the_page_are_trained(trained):
    head = (trained / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train_middles_loss", "train_spread_loss", "train_GTCC_loss", "val_middles_loss"} <= set(head)


def test_the_readout_and_the_metric_of_the_page_are_evaluated(trained, run):
    evaluated = run("eval.py", "--checkpoint", trained / "ckpt" / "best_model_combined.pt").stdout
    assert "nearest" in evaluated
    assert re.search(r"\bAA\b", evaluated)
    assert (trained / "EVAL" / "best_model_combined" / "AA.csv").is_file()


def test_the_page_is_linked():
    assert "docs/extending.md" in (ROOT / "README.md").read_text(encoding="utf-8")
