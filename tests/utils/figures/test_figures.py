import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.utils.metrics.annotations import annotation
from utils.figures import similarity_matrix
from utils.figures.action_bands import MOST_ENTRIES, action_legend, draw_action_bands, video_action_styles
from utils.figures.palette import action_styles
from utils.figures.prediction_curve import plot_prediction
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import CONTRAST, closeness_by_frame, plot_similarity

VIDEO = annotation(("pour_milk", 20), ("SIL", 5), ("stir", 1), ("pour_milk", 30))


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


def marks_of(axes):
    """By the beginning of its label, the points of each mark."""
    return {line.get_label(): line.get_xydata() for line in axes.lines if line.get_label().startswith("nearest")}


def test_similarity_figure_shows_truth_and_neighbours(tmp_path, drawn):
    embedding = torch.linspace(0, 1, 56)[:, None] * torch.ones(1, 4)
    plot_similarity(
        tmp_path / "similarity.png", embedding, embedding, VIDEO, VIDEO, "first", "second", "task"
    )
    (figure,) = drawn
    axes = figure.axes[1]
    matrix = axes.images[0].get_array()
    assert matrix.shape == (56, 56)
    np.testing.assert_allclose(np.diag(matrix), 1)
    right, wrong, without = (
        next(points for label, points in marks_of(axes).items() if word in label)
        for word in ("same action (100%", "another action", "no counterpart")
    )
    actions = [*range(20), *range(25, 56)]
    np.testing.assert_array_equal(right, np.stack([actions, actions], axis=1))
    assert len(wrong) == 0
    np.testing.assert_array_equal(without, np.stack([np.arange(20, 25)] * 2, axis=1))
    # 50 frames of pouring have two valid frames each, the one frame of stirring has one.
    truth = [line.get_xydata() for line in axes.lines if not line.get_label().startswith("nearest")]
    assert sum(int(np.isfinite(line).all(axis=1).sum()) for line in truth) == 50 * 2 + 1
    assert not any("warping" in text for text in texts(figure))


def test_a_neighbour_in_another_action_or_in_background_is_marked_as_wrong(tmp_path, drawn):
    times = annotation(("a", 2), ("b", 2), ("SIL", 1), ("only here", 1))
    other = annotation(("b", 2), ("SIL", 2), ("a", 2))
    first = torch.tensor([[5.0], [1], [1], [2], [0], [4]])
    second = torch.arange(6.0)[:, None]
    plot_similarity(tmp_path / "s.png", first, second, times, other, "one", "two", "task")
    marks = {label.split(": ")[-1]: points.tolist() for label, points in marks_of(drawn[0].axes[1]).items()}
    assert marks == {
        "in the same action (50% of those with a counterpart)": [[5, 0], [1, 2]],
        "in another action or background": [[1, 1], [2, 3]],
        "nearest frame, but there is no counterpart": [[0, 4], [4, 5]],
    }


def test_lines_of_the_truth_do_not_join_different_segments(tmp_path, drawn):
    times, other = annotation(("a", 3), ("b", 2), ("a", 2)), annotation(("b", 2), ("a", 3))
    plot_similarity(tmp_path / "s.png", torch.rand(7, 2), torch.rand(5, 2), times, other, "one", "two", "task")
    line = drawn[0].axes[1].lines[0].get_xydata()
    gap = [np.nan, np.nan]
    np.testing.assert_array_equal(line, [[2, 0], [3, 1], [4, 2], gap, [0, 3], [1, 4], gap, [2, 5], [4, 6]])


def test_time_warping_is_drawn_where_asked_for(tmp_path, drawn):
    embedding = torch.linspace(0, 1, 56)[:, None]
    plot_similarity(
        tmp_path / "s.png", embedding, embedding, VIDEO, VIDEO, "one", "two", "task", time_warping=True
    )
    (path,) = [line for line in drawn[0].axes[1].lines if "time warping" in line.get_label()]
    np.testing.assert_array_equal(path.get_xdata(), np.arange(56))


def test_closeness_counts_the_frames_that_are_nearer():
    distance = np.random.default_rng(0).integers(0, 6, size=(7, 11)).astype(float)
    expected = [[(1 - sum(other < own for other in row) / 11) ** CONTRAST for own in row] for row in distance]
    np.testing.assert_allclose(closeness_by_frame(distance), expected)
    np.testing.assert_array_equal(closeness_by_frame(np.zeros((2, 3))), np.ones((2, 3)))


def test_a_panel_can_hold_a_second_estimate_an_interval_and_seconds(tmp_path, drawn):
    truth = np.linspace(0, 1, 56)
    title = "inside each action, online; start and label of the action are given"
    plain = ProgressPanel(title, truth, truth, truth)
    full = ProgressPanel(
        title, truth, truth, truth, "trained", other=truth - 0.3, other_name="best naive guess",
        band=(truth - 0.1, np.minimum(truth + 0.1, 1)), band_name="80 % interval",
    )
    plot_progress(tmp_path / "progress.png", [plain, full], VIDEO, "task · video", frames_per_second=10)
    first, second, bands = drawn[0].axes

    def legend(axes):
        return [text.get_text() for text in axes.get_legend().get_texts()]

    assert first.get_title(loc="left") == title
    assert legend(first) == ["truth", "predicted (error 0.000)", "clock (error 0.000)", "error of the prediction"]
    assert legend(second) == [
        "truth", "trained (error 0.000)", "best naive guess (error 0.300)", "clock (error 0.000)", "80 % interval"
    ]
    corners = second.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(-0.1)
    assert np.isclose(corners, [0, 0.1]).all(axis=1).any()
    assert (bands.get_xlabel(), first.get_xlabel()) == ("time (seconds)", "")
    assert [label.get_text() for label in bands.get_xticklabels()] == ["0", "1", "2", "3", "4", "5"]
    np.testing.assert_allclose(first.get_xticks(), np.arange(6) * 10)


def test_prediction_figure_shows_curve_interval_and_seconds(tmp_path, drawn):
    progress = np.linspace(0, 0.8, 41)
    plot_prediction(tmp_path / "a.png", progress, "$name")
    plot_prediction(
        tmp_path / "b.png", progress, "name", frames_per_second=10, band=(progress / 2, progress), band_name="90 %"
    )
    plain, full = (figure.axes[0] for figure in drawn)
    np.testing.assert_array_equal(plain.lines[0].get_ydata(), progress)
    assert (plain.get_xlabel(), full.get_xlabel()) == ("frame", "time (seconds)")
    assert (plain.get_title(loc="left"), plain.get_title(loc="right")) == ("$name", "80 % at the last frame")
    assert plain.get_legend() is None
    assert [text.get_text() for text in full.get_legend().get_texts()] == ["90 %", "predicted"]


def test_a_legend_of_very_many_actions_is_cut_and_says_so():
    entries = action_legend(action_styles(f"action_{i}" for i in range(100)), True)
    labels = [patch.get_label() for patch in entries]
    assert labels[:2] == ["1  action 0", "2  action 1"]
    assert labels[MOST_ENTRIES:] == [f"and {100 - MOST_ENTRIES} more", "background"]


def test_long_videos_are_thinned_and_odd_ones_drawn(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(similarity_matrix, "LONGEST_SIDE", 20)
    long, short = torch.randn(56, 3), torch.zeros(2, 3)
    plot_similarity(tmp_path / "a.png", long, short, VIDEO, annotation(("SIL", 2)), "long", "short", "task")
    assert drawn[0].axes[1].images[0].get_array().shape == (19, 1)
    assert sum(len(points) for points in marks_of(drawn[0].axes[1]).values()) == 56
