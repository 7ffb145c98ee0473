import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.utils.metrics.annotations import annotation
from utils.figures import similarity_matrix
from utils.figures.action_bands import action_legend, draw_action_bands, video_action_styles
from utils.figures.palette import action_styles
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import plot_similarity

VIDEO = annotation(("pour_milk", 20), ("SIL", 5), ("stir", 1), ("pour_milk", 30))


@pytest.fixture
def drawn(monkeypatch):
    """Figures that have been saved."""
    figures = []
    original = Figure.savefig

    def savefig(self, *arguments, **settings):
        figures.append(self)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_every_action_has_a_fill_of_its_own():
    styles = action_styles(f"action {i}" for i in range(35))
    assert len({(style.colour, style.hatch) for style in styles.values()}) == 35
    assert [style.number for style in styles.values()] == list(range(1, 36))


def test_bands_cover_every_frame_once_and_background_has_no_style():
    axes = Figure().subplots()
    styles = video_action_styles([VIDEO])
    assert list(styles) == ["pour_milk", "stir"]
    draw_action_bands(axes, VIDEO, styles)
    bounds = sorted((p.get_x(), p.get_x() + p.get_width()) for p in axes.patches)
    assert bounds == [(-0.5, 19.5), (19.5, 24.5), (24.5, 25.5), (25.5, 55.5)]
    assert [patch.get_label() for patch in action_legend(styles, True)] == [
        "1  pour milk",
        "2  stir",
        "background",
    ]


def test_progress_figure_shows_its_curves_and_says_their_errors(tmp_path, drawn):
    truth = np.linspace(0, 1, 56)
    inside = np.where(np.arange(56) < 20, truth, np.nan)
    panels = [
        ProgressPanel("video", truth, truth + 0.1, truth - 0.2),
        ProgressPanel("action", inside, inside, inside),
    ]
    plot_progress(tmp_path / "progress.png", panels, VIDEO, "task · video")
    (figure,) = drawn
    first, second, _ = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in first.lines}
    np.testing.assert_allclose(lines["truth"], truth)
    np.testing.assert_allclose(lines["predicted (error 0.100)"], truth + 0.1)
    np.testing.assert_allclose(lines["clock (error 0.200)"], truth - 0.2)
    assert "predicted (error 0.000)" in [line.get_label() for line in second.lines]
    assert {"1  pour milk", "2  stir", "background", "task · video", "frame"} <= set(texts(figure))
    assert imread(tmp_path / "progress.png").std() > 0.05


def test_a_curve_that_begins_anew_is_not_joined_to_the_one_before(tmp_path, drawn):
    truth = np.array([0.0, 0.5, 1.0, 0.5, 0.0, 1.0])
    times = annotation(("a", 3), ("b", 1), ("c", 2))
    panel = ProgressPanel("action", truth, truth, truth, restarts=times["start_frame"][1:])
    plot_progress(tmp_path / "progress.png", [panel], times, "x")
    lines = {line.get_label(): line.get_xydata() for line in drawn[0].axes[0].lines}
    expected = [[0, 0], [1, 0.5], [2, 1], [2.5, np.nan], [3, 0.5], [3.5, np.nan], [4, 0], [5, 1]]
    np.testing.assert_allclose(lines["truth"], expected)
    dots = [line for line in drawn[0].axes[0].lines if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in dots] == [[[3, 0.5]]] * 3


def test_similarity_figure_shows_truth_path_and_neighbours(tmp_path, drawn):
    embedding = torch.linspace(0, 1, 56)[:, None] * torch.ones(1, 4)
    plot_similarity(
        tmp_path / "similarity.png", embedding, embedding, VIDEO, VIDEO, "first", "second", "task"
    )
    (figure,) = drawn
    axes = figure.axes[1]
    matrix = axes.images[0].get_array()
    assert matrix.shape == (56, 56)
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-3)
    assert matrix.min() == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(axes.lines[-1].get_xdata(), np.arange(56))
    neighbours, truth = (points.get_offsets() for points in axes.collections)
    np.testing.assert_array_equal(neighbours[:, 0], np.arange(56))
    # 50 frames of pouring have two valid frames each, the one frame of stirring has one.
    assert len(truth) == 50 * 2 + 1


def test_long_videos_are_thinned_and_odd_ones_drawn(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(similarity_matrix, "LONGEST_SIDE", 20)
    long, short = torch.randn(56, 3), torch.zeros(2, 3)
    plot_similarity(tmp_path / "a.png", long, short, VIDEO, annotation(("SIL", 2)), "long", "short", "task")
    assert drawn[0].axes[1].images[0].get_array().shape == (19, 1)
