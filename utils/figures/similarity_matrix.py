"""Figure of the nearest frame of one video for each frame of another, and of the closeness of all frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from torch import Tensor

from utils.data.frame_segments import FrameSegments, label_numbers
from utils.data.segments import BACKGROUND, is_background
from utils.figures.action_bands import (
    action_legend,
    add_action_legend,
    draw_action_bands,
    legend_height,
    video_action_styles,
)
from utils.figures.palette import NEITHER, RIGHT, TRUTH, WRONG
from utils.figures.saving import FigurePath, save_figure
from utils.figures.style import STYLE, WIDTH, shown_name
from utils.metrics.dynamic_time_warping import dynamic_time_warping_path
from utils.metrics.nearest_neighbours import nearest_neighbours
from utils.metrics.valid_alignment import ValidAlignment, valid_alignment

LONGEST_SIDE = 400  # cells; the picture has two pixels for each, and more would only make the file larger
LONGEST_VIDEO_NAME = 42
# The faster mode with inner products is inaccurate for small distances, which matter most here.
EXACT = "donot_use_mm_for_euclid_dist"
CONTRAST = 4  # power of the share of frames that are further away
GREYS = colormaps["Greys"].resampled(28)  # few enough that a PNG keeps each of them
DARKEST = 0.42  # share of the grey scale that is used, so that every mark is visible


@rc_context(STYLE)
def plot_similarity(
    path: FigurePath,
    first: Tensor,
    second: Tensor,
    time_dict: Mapping | None,
    other: Mapping | None,
    name: str,
    other_name: str,
    title: str,
    time_warping: bool = False,
) -> None:
    """Draw the nearest neighbour of every frame of a video, whether it is right, and the closeness of all frames.

    EAE, KT and KTW measure the nearest neighbour in Euclidean distance. It is right if it is in the same action; the
    ground truth is drawn too. A frame of background, or of an action that the other video doesn't have, has no
    counterpart. The grey of a cell is the closeness of `closeness_by_frame`.

    Args:
        path: where to write; see `save_figure`.
        first: (N, D) embedding of the first video, on the vertical axis.
        second: (M, D) embedding of the second, on the horizontal axis.
        time_dict, other: their annotations; None if one of them has none: then there is no ground truth to draw.
        name, other_name: their names.
        title: title of the figure.
        time_warping: also draw the path of dynamic time warping, which no metric uses.
    """
    stride = -(-max(len(first), len(second)) // LONGEST_SIDE)
    distance = torch.cdist(first[::stride], second[::stride], compute_mode=EXACT).numpy()
    neighbours = nearest_neighbours(first.numpy(), second.numpy())[0]
    known = time_dict is not None and other is not None
    if not known:
        time_dict, other = (_one_segment(len(frames)) for frames in (first, second))
    truth = valid_alignment(time_dict, other)
    numbering: dict[str, int] = {}
    labels, other_labels = _frame_labels(time_dict, numbering), _frame_labels(other, numbering)
    counts = np.zeros(len(first), dtype=bool)
    counts[truth.alignable] = True
    right = counts & (other_labels[neighbours] == labels)

    styles = video_action_styles([time_dict, other])
    entries = action_legend(styles, known and any(is_background(step) for step in [*time_dict["step"], *other["step"]]))
    # Frames are square if the picture then has a reasonable shape.
    height = (WIDTH - 1.2) * float(np.clip(len(first) / len(second), 0.4, 1.1))
    figure = Figure(figsize=(WIDTH, height + legend_height(entries) + 1.6), layout="constrained")
    (bands, axes), (corner, other_bands) = figure.subplots(
        2, 2, width_ratios=[0.045, 1], height_ratios=[height, 0.3]
    )
    corner.axis("off")
    axes.imshow(
        closeness_by_frame(distance),
        cmap=GREYS,
        origin="lower",
        aspect="auto",
        vmin=0,
        vmax=1 / DARKEST,
        extent=(-0.5, len(second) - 0.5, -0.5, len(first) - 0.5),
        interpolation="nearest",
    )
    handles = [_draw_truth(axes, truth, FrameSegments(time_dict).segment)] if known else []
    if time_warping:
        found = dynamic_time_warping_path(distance) * stride
        warping = {"color": TRUTH, "linewidth": 0.8, "linestyle": (0, (4, 2))}
        label = "time warping, which no metric measures" if known else "time warping"
        handles += axes.plot(found[:, 1], found[:, 0], label=label, **warping)
    handles += _draw_neighbours(axes, neighbours, right, counts) if known else _draw_all(axes, neighbours)
    axes.set(xlim=(-0.5, len(second) - 0.5), ylim=(-0.5, len(first) - 0.5))
    axes.tick_params(labelbottom=False, labelleft=False)
    grey = Patch(facecolor=GREYS(0.8 * DARKEST), label="the darker, the fewer frames of the second video are nearer")
    # The legend is below the title, which reserves the space; it may be wider than the axes.
    axes.legend(
        handles=[*handles, grey], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, markerscale=1.4
    ).set_in_layout(False)
    axes.set_title(
        f"{shown_name(title, LONGEST_VIDEO_NAME)} · the nearest frame of the second video to each frame of the first",
        pad=14 * -(-(len(handles) + 1) // 2) + 8,
    )
    draw_action_bands(bands, time_dict, styles, vertical=True)
    draw_action_bands(other_bands, other, styles)
    if not known:  # the axes alone stay
        for each in (bands, other_bands):
            each.patches[0].remove()
            each.spines[["top", "right", "bottom", "left"]].set_visible(False)
    bands.set_ylabel(f"{shown_name(name, LONGEST_VIDEO_NAME)}, frame")
    other_bands.set_xlabel(f"{shown_name(other_name, LONGEST_VIDEO_NAME)}, frame")
    if entries:
        add_action_legend(figure, entries)
    save_figure(figure, path)


def closeness_by_frame(distance: np.ndarray) -> np.ndarray:
    """Closeness of each frame of the second video to a frame of the first, relative to all frames of the second.

    It is (1 - q)^4, where q is the share of frames that are nearer: 1 for the nearest frame, 0.66 and 0.32 if a tenth
    and a quarter of the frames are nearer. Ranks show structure at any scale of distances. They are computed for each
    row separately, because the nearest neighbour is chosen within a row.

    Args:
        distance: (N, M) distances.

    Returns:
        (N, M) float64 in [0, 1]; equal distances of a row are equally close.
    """
    order = distance.argsort(axis=1, kind="stable")
    increasing = np.take_along_axis(distance, order, axis=1)
    nearer = np.zeros(distance.shape, dtype=np.int64)
    nearer[:, 1:] = np.where(increasing[:, 1:] > increasing[:, :-1], np.arange(1, distance.shape[1]), 0)
    nearer = np.maximum.accumulate(nearer, axis=1)
    ranks = np.empty_like(nearer)
    np.put_along_axis(ranks, order, nearer, axis=1)
    return (1 - ranks / distance.shape[1]) ** CONTRAST


def _frame_labels(time_dict: Mapping, numbering: dict[str, int]) -> np.ndarray:
    """(T,) int64, the number of each frame's action; -1 in background and for a frame in no segment."""
    return np.append(label_numbers(time_dict["step"], numbering), -1)[FrameSegments(time_dict).segment]


def _one_segment(number_of_frames: int) -> dict:
    """Replaces a missing annotation: one background segment."""
    return {"step": [BACKGROUND], "start_frame": [0], "end_frame": [number_of_frames - 1]}


def _draw_all(axes: Axes, neighbours: np.ndarray) -> list[Line2D]:
    """One mark for every frame of the first video, if it is not known whether its neighbour is right."""
    style = {"marker": "o", "color": RIGHT, "markersize": 3.2, "markeredgewidth": 0}
    return axes.plot(neighbours, np.arange(len(neighbours)), linestyle="", label="nearest frame", **style)


def _draw_truth(axes: Axes, truth: ValidAlignment, segments: np.ndarray) -> Line2D:
    """Draws a thin line for every pair of segments that show the same action."""
    style = {"color": TRUTH, "linewidth": 1.0, "marker": "o", "markersize": 1.2}
    for column, valid in zip(truth.position.T, truth.valid.T, strict=True):
        rows, columns = truth.alignable[valid], column[valid]
        ends = np.flatnonzero(np.diff(segments[rows])) + 1
        axes.plot(*(np.insert(values.astype(np.float64), ends, np.nan) for values in (columns, rows)), **style)
    return Line2D([], [], label="true alignment", **style)


def _draw_neighbours(axes: Axes, neighbours: np.ndarray, right: np.ndarray, counts: np.ndarray) -> list[Line2D]:
    """Draws a mark for every frame of the first video; its kind shows whether the neighbour is right."""
    share = f"{right[counts].mean():.0%}" if counts.any() else "none"
    kinds = (
        (~counts, "nearest frame, but there is no counterpart",
         {"marker": "o", "color": NEITHER, "markerfacecolor": "none", "markersize": 3.0, "markeredgewidth": 0.7}),
        (counts & ~right, "nearest frame: in another action or background",
         {"marker": "x", "color": WRONG, "markersize": 4.0, "markeredgewidth": 1.4}),
        (right, f"nearest frame: in the same action ({share} of those with a counterpart)",
         {"marker": "o", "color": RIGHT, "markersize": 4.2, "markeredgewidth": 0}),
    )
    halo = [withStroke(linewidth=2.4, foreground="white")]  # marks and greys may be equally dark in print
    lines = [
        axes.plot(neighbours[chosen], np.flatnonzero(chosen), linestyle="", label=label, path_effects=halo, **style)[0]
        for chosen, label, style in kinds
    ]
    return lines[::-1]
