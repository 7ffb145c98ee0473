"""Similarity of all frames of two videos, with the true and the found alignment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from utils.data.segments import is_background
from utils.figures.action_bands import action_legend, draw_action_bands, video_action_styles
from utils.figures.palette import FOUND, NEIGHBOUR, TRUE
from utils.figures.saving import save_figure
from utils.metrics.dynamic_time_warping import dynamic_time_warping_path
from utils.metrics.nearest_neighbours import nearest_neighbours
from utils.metrics.valid_alignment import valid_alignment

LONGEST_SIDE = 800  # cells; more than the picture has pixels would only cost time
# The faster mode by inner products loses the small distances, which matter most here.
EXACT = "donot_use_mm_for_euclid_dist"
LEGEND_COLUMNS = 4


def plot_similarity(
    path: Path,
    first: Tensor,
    second: Tensor,
    time_dict: Mapping,
    other: Mapping,
    name: str,
    other_name: str,
    title: str,
) -> None:
    """Draw the similarity matrix of two videos as PNG.

    Similarity is 1 - d / max d with Euclidean distance d. On it: every valid alignment of the frames, the
    nearest neighbour of each frame of the first video, and the path of dynamic time warping.

    Args:
        path: where to write.
        first: (N, D) embedding of the first video, on the vertical axis.
        second: (M, D) embedding of the second, on the horizontal axis.
        time_dict, other: their annotations.
        name, other_name: their names.
        title: title of the figure.
    """
    stride = -(-max(len(first), len(second)) // LONGEST_SIDE)
    distance = torch.cdist(first[::stride], second[::stride], compute_mode=EXACT).numpy()
    similarity = 1 - distance / max(float(distance.max()), np.finfo(np.float32).tiny)
    found = dynamic_time_warping_path(distance) * stride
    neighbours = nearest_neighbours(first.numpy(), second.numpy())[0]
    truth = valid_alignment(time_dict, other)
    true_rows, segment = np.nonzero(truth.valid)

    styles = video_action_styles([time_dict, other])
    with_background = any(is_background(step) for step in [*time_dict["step"], *other["step"]])
    entries = action_legend(styles, with_background)
    legend_height = 0.4 + 0.21 * -(-len(entries) // LEGEND_COLUMNS)
    # Frames are square where that leaves a picture of a reasonable shape.
    side = 6.4
    height = side * float(np.clip(len(first) / len(second), 0.45, 1.6))
    figure = Figure(figsize=(side + 2.6, height + legend_height + 1.3), layout="constrained")
    FigureCanvasAgg(figure)
    (bands, axes), (corner, other_bands) = figure.subplots(
        2, 2, width_ratios=[0.05, 1], height_ratios=[height, 0.3]
    )
    corner.axis("off")

    image = axes.imshow(
        similarity,
        cmap="Greys",
        origin="lower",
        aspect="auto",
        vmin=0,
        vmax=1,
        extent=(-0.5, len(second) - 0.5, -0.5, len(first) - 0.5),
        interpolation="nearest",
    )
    axes.scatter(neighbours, np.arange(len(first)), s=5, color=NEIGHBOUR, linewidths=0)
    axes.scatter(
        truth.position[true_rows, segment], truth.alignable[true_rows], s=4, color=TRUE, linewidths=0
    )
    axes.plot(found[:, 1], found[:, 0], color="white", linewidth=3.2)
    axes.plot(found[:, 1], found[:, 0], color=FOUND, linewidth=1.6)
    axes.set(xlim=(-0.5, len(second) - 0.5), ylim=(-0.5, len(first) - 0.5))
    axes.tick_params(labelbottom=False, labelleft=False)
    axes.set_title(title, fontsize=11, pad=26)
    dot = {"marker": "o", "linestyle": "", "markersize": 4}
    axes.legend(
        handles=[
            Line2D([], [], color=TRUE, label="true alignment", **dot),
            Line2D([], [], color=FOUND, linewidth=1.6, label="found path (time warping)"),
            Line2D([], [], color=NEIGHBOUR, label="nearest neighbour", **dot),
        ],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    draw_action_bands(bands, time_dict, styles, vertical=True)
    draw_action_bands(other_bands, other, styles)
    bands.set_ylabel(f"{name}, frame")
    other_bands.set_xlabel(f"{other_name}, frame")
    figure.colorbar(image, ax=axes, label="similarity", fraction=0.04, pad=0.02)
    figure.legend(
        handles=entries, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=8
    )
    save_figure(figure, path)
