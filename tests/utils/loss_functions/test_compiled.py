"""Compiled loops run wherever the program does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from utils.loss_functions.compiled import runs_compiled

pytest.importorskip("numba")
ROOT = Path(__file__).parents[3]
MODULE = """
from utils.loss_functions.compiled import compiled

@compiled(nogil=True)
def double(number):
    return 2 * number

print(double(3), double.stats.cache_path)
"""


@pytest.mark.parametrize("writable", [True, False])
def test_runs_with_a_cache_and_where_none_can_be_written(tmp_path, writable):
    (tmp_path / "loop.py").write_text(MODULE)
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment["PYTHONPATH"] = str(ROOT)
    if not writable:
        # No folder can be made where a file lies, not even by root.
        (tmp_path / "__pycache__").write_text("")
        environment.update(HOME="/dev/null/home", XDG_CACHE_HOME="/dev/null/cache")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "loop.py")], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result, folder = done.stdout.split(maxsplit=1)
    assert result == "6"
    assert (folder.strip() != "None") == writable


def test_another_type_or_device_runs_without():
    assert runs_compiled(torch.zeros(2))
    assert runs_compiled(torch.zeros(2, dtype=torch.float64))
    assert not runs_compiled(torch.zeros(2, dtype=torch.bfloat16))
    assert not runs_compiled(torch.zeros(2, device="meta"))
