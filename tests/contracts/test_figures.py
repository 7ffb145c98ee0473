"""Every figure keeps the contracts, and each contract refuses one that breaks it."""

import inspect
import pkgutil
from importlib import import_module

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure

import utils.figures
from tests.contracts.figures import check_figure
from tests.contracts.requirement import random_walk
from utils.figures.embedding_map import plot_embedding_map
from utils.figures.loss_curves import plot_loss_curves
from utils.figures.prediction_curve import plot_prediction
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import plot_similarity

VIDEO = {"step": ["pour", "SIL", "stir"], "start_frame": [0, 12, 15], "end_frame": [11, 14, 29]}
TRUTH = np.linspace(0, 1, 30)
FIRST, SECOND = random_walk(30, 4), random_walk(30, 4, 1)
EPOCHS = [{"epoch": epoch, "train_total_loss": 1 / (epoch + 1), "val_total_loss": 0.5} for epoch in range(3)]

FIGURES = {
    plot_embedding_map: lambda path: plot_embedding_map(path, {"trained": [FIRST, SECOND]}, [TRUTH, TRUTH], "tea"),
    plot_loss_curves: lambda path: plot_loss_curves(EPOCHS, path, {"combined": "total_loss"}),
    plot_prediction: lambda path: plot_prediction(path, TRUTH, "recording"),
    plot_progress: lambda path: plot_progress(
        path, [ProgressPanel("whole video", TRUTH, TRUTH**2, 1 - TRUTH)], VIDEO, "tea"
    ),
    plot_similarity: lambda path: plot_similarity(path, FIRST, SECOND, VIDEO, VIDEO, "one", "other", "tea"),
}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_every_figure_keeps_the_contracts(figure, tmp_path):
    check_figure(FIGURES[figure], tmp_path)


def test_no_figure_is_left_out():
    modules = [import_module(f"utils.figures.{module.name}") for module in pkgutil.iter_modules(utils.figures.__path__)]
    found = {
        function for module in modules for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("plot_") and function.__module__ == module.__name__
    }  # fmt: skip
    assert found == set(FIGURES)


def plot(path, values=TRUTH):
    """A figure that keeps every contract."""
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot(values)
    figure.savefig(path)


def with_a_note(path):
    plot(path)
    path.with_suffix(".txt").write_text("drawn")


def opened(path):
    pyplot.figure()
    plot(path)


def takes_a_draw_away(path):
    torch.rand(3)
    plot(path)


BROKEN = {
    "writes no file": lambda path: None,
    "expected the file alone": with_a_note,
    "draws nothing": lambda path: Figure(figsize=(2, 2)).savefig(path),
    "in two ways": lambda path: plot(path, np.random.default_rng().random(9)),
    "leaves a figure open": opened,
    "global source": takes_a_draw_away,
}


@pytest.mark.parametrize("refusal", BROKEN)
def test_a_figure_that_breaks_a_contract_is_refused(refusal, tmp_path):
    try:
        with pytest.raises(AssertionError, match=refusal):
            check_figure(BROKEN[refusal], tmp_path)
    finally:
        pyplot.close("all")


def test_changed_settings_are_refused(tmp_path):
    def sets_them_for_others(path):
        plot(path)
        matplotlib.rcParams["figure.max_open_warning"] = 7

    with matplotlib.rc_context(), pytest.raises(AssertionError, match="changes matplotlib's settings"):
        check_figure(sets_them_for_others, tmp_path)


def test_a_figure_that_keeps_them_all_passes(tmp_path):
    check_figure(plot, tmp_path)
