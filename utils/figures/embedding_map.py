"""A map in two dimensions of the frames of a task's videos, coloured by their true progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from utils.errors import import_extra
from utils.figures.saving import save_figure

METHODS = ("pca", "tsne")
COLOURS = "cividis"  # even in lightness, and made to look the same with any colour vision
MAXIMUM_FRAMES = {"pca": 6000, "tsne": 1000}  # points a picture can show; what t-SNE does in seconds
FEWEST_FRAMES = {"pca": 1, "tsne": 4}
PERPLEXITY = 30.0


def principal_components(frames: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """The two directions of largest variance (principal component analysis, Pearson, 1901).

    Args:
        frames: (N, D), N >= 1.

    Returns:
        (N, 2) float64, centred; the second column is zero if D is 1. The sign of a component, which is
        arbitrary, is such that its largest weight is positive. And the share of the variance in each, in
        [0, 1].
    """
    centred = frames.double() - frames.double().mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    directions = directions[:, -2:].flip(1)
    signs = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True)).sign()
    positions = centred @ (directions * signs)
    if positions.shape[1] == 1:
        positions = torch.nn.functional.pad(positions, (0, 1))
    variances = variances.clamp_min(0).flip(0)
    shares = (variances / variances.sum().clamp_min(torch.finfo(torch.float64).tiny)).tolist()
    return positions, (shares[0], shares[1] if len(shares) > 1 else 0.0)


def neighbour_embedding(frames: Tensor, seed: int = 0) -> Tensor:
    """t-SNE (van der Maaten and Hinton, JMLR 2008), started from the principal components.

    Args:
        frames: (N, D), N >= 4.
        seed: of scikit-learn's random generator.

    Returns:
        (N, 2) float64. Only who is near whom means something, not the distances between groups.

    Raises:
        MissingExtraError: scikit-learn isn't installed.
    """
    library = import_extra("sklearn.manifold", "evaluation", "a map by t-SNE")  # slow to import, and needed by few
    count, width = frames.shape
    start = principal_components(frames)[0].numpy()
    scale = start[:, 0].std()
    start = start / scale * 1e-4 if scale > 0 else "random"
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    method = "barnes_hut" if count > 3 * PERPLEXITY else "exact"
    tsne = library.TSNE(init=start, perplexity=perplexity, random_state=seed, method=method, learning_rate="auto")
    return torch.from_numpy(tsne.fit_transform(frames.double().numpy().reshape(count, width))).double()


def plot_embedding_map(
    path: Path,
    networks: Mapping[str, Sequence[Tensor]],
    progress: Sequence[np.ndarray],
    title: str,
    method: str = "pca",
) -> None:
    """Draw one map a network beside each other, as PNG: a point a frame, a thin line a video.

    Long videos are thinned evenly, so that all maps together hold a bounded number of points. Each map is
    fitted to its own network's frames.

    Args:
        path: where to write.
        networks: by name, the embeddings (T_i, D) of each video; at least one network and one video.
        progress: (T_i,) true progress of each video in [0, 1].
        title: names the task.
        method: 'pca' or 'tsne'.

    Raises:
        ValueError: the method is unknown, or there are too few frames for it.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}; expected one of {', '.join(METHODS)}")
    total = sum(len(values) for values in progress)
    if total < FEWEST_FRAMES[method]:
        raise ValueError(f"{title}: {total} frames; {method} needs at least {FEWEST_FRAMES[method]}")
    stride = -(-total // MAXIMUM_FRAMES[method])
    values = [np.asarray(video)[::stride] for video in progress]
    figure = Figure(figsize=(5.0 * len(networks) + 0.9, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(networks), squeeze=False)[0]
    for axes, (name, embeddings) in zip(all_axes, networks.items(), strict=True):
        frames = torch.cat([video[::stride] for video in embeddings])
        if method == "pca":
            positions, shares = principal_components(frames)
            labels = [f"component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(shares)]
        else:
            positions = neighbour_embedding(frames)
            labels = ["t-SNE 1", "t-SNE 2"]
        points = _draw_map(axes, positions.split([len(video) for video in values]), values)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.set_title(name, fontsize=10, parse_math=False)
    figure.colorbar(points, ax=list(all_axes), label="true progress", fraction=0.05, pad=0.02)
    marks = {"linestyle": "", "markeredgecolor": "black", "markersize": 8}
    figure.legend(
        handles=[
            Line2D([], [], marker="o", markerfacecolor="white", label="first frame", **marks),
            Line2D([], [], marker="s", markerfacecolor="white", label="last frame", **marks),
            Line2D([], [], color="#999999", linewidth=0.8, label="one video"),
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    number = f"{len(values)} video{'s' if len(values) > 1 else ''}"
    figure.suptitle(f"{title} · {number}", parse_math=False)
    save_figure(figure, path)


def _draw_map(axes: Axes, videos: Sequence[Tensor], progress: Sequence[np.ndarray]):
    """The points of all videos; returns what a colour bar is made from."""
    for positions in videos:
        axes.plot(*positions.T.numpy(), color="#999999", linewidth=0.5, alpha=0.6, zorder=1)
    everything = torch.cat(list(videos)).numpy()
    colours = {"cmap": COLOURS, "vmin": 0, "vmax": 1}
    points = axes.scatter(
        *everything.T, c=np.concatenate(progress), s=14, linewidths=0, alpha=0.9, zorder=2, **colours
    )
    for mark, end in (("o", 0), ("s", -1)):
        ends = np.stack([positions[end].numpy() for positions in videos])
        level = [values[end] for values in progress]
        axes.scatter(
            *ends.T, c=level, s=70, marker=mark, edgecolors="black", linewidths=1.1, zorder=3, **colours
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.06)
    return points
