"""What every figure must do. From a test of your own:

    from tests.contracts.figures import check_figure

    def test_my_figure(tmp_path):
        check_figure(lambda path: plot_mine(path, values), tmp_path)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.image import imread

from tests.contracts.requirement import require


def check_figure(draw: Callable[[Path], None], folder: Path) -> None:
    """All contracts of a figure.

    It writes one PNG with something on it, the same every time, and leaves everything else as it was: other files,
    matplotlib's settings and open figures, random numbers.

    Args:
        draw: draws it into this file.
        folder: an empty folder to draw into.

    Raises:
        AssertionError: saying what the figure does and what was expected.
    """
    settings = dict(matplotlib.rcParams)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first, second = folder / "first.png", folder / "second.png"
    draw(first)
    require(first.is_file(), f"writes no file {first.name}")
    draw(second)
    names = {file.name for file in folder.iterdir()}
    require(names == {first.name, second.name}, f"writes {', '.join(sorted(names))}; expected the file alone")
    pixels = imread(first)
    require(pixels.std() > 0, "draws nothing")
    require(first.read_bytes() == second.read_bytes(), "draws the same values in two ways")
    require(dict(matplotlib.rcParams) == settings, "changes matplotlib's settings")
    require(not pyplot.get_fignums(), "leaves a figure open")
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    same = before[0] == after[0] and np.array_equal(before[1], after[1]) and torch.equal(before[2], after[2])
    require(same, "draws from a global source of random numbers")
