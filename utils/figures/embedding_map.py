"""Maps in two dimensions of the frames of a task's videos, coloured by their true progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from utils.errors import import_extra
from utils.figures.saving import FigurePath, save_figure
from utils.figures.style import STYLE, WIDTH, shown_name

METHODS = ("pca", "tsne")
COLOURS = "cividis"  # uniform in lightness, and suitable for any colour vision
MAXIMUM_FRAMES = {"pca": 6000, "tsne": 1000}  # points that a figure can show; frames that t-SNE handles in seconds
FEWEST_FRAMES = {"pca": 1, "tsne": 4}
PERPLEXITY = 30.0
COLUMNS = 3
LONGEST_NETWORK_NAME = 34


def principal_components(frames: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """The two directions of largest variance (principal component analysis, Pearson, 1901).

    Args:
        frames: (N, D), N >= 1.

    Returns:
        (N, 2) float64, centred; the second column is zero if D is 1. The sign of a component is arbitrary; here its
        largest weight is positive. And the share of the variance of each component, in [0, 1].
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
        (N, 2) float64. It shows which frames are near each other; the distances between groups have no meaning.

    Raises:
        MissingExtraError: scikit-learn isn't installed.
    """
    library = import_extra("sklearn.manifold", "evaluation", "a map by t-SNE")  # slow to import, and rarely needed
    count, width = frames.shape
    start = principal_components(frames)[0].numpy()
    scale = start[:, 0].std()
    start = start / scale * 1e-4 if scale > 0 else "random"
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    method = "barnes_hut" if count > 3 * PERPLEXITY else "exact"
    tsne = library.TSNE(init=start, perplexity=perplexity, random_state=seed, method=method, learning_rate="auto")
    return torch.from_numpy(tsne.fit_transform(frames.double().numpy().reshape(count, width))).double()


@rc_context(STYLE)
def plot_embedding_map(
    path: FigurePath,
    networks: Mapping[str, Sequence[Tensor]],
    progress: Sequence[np.ndarray],
    title: str,
    method: str = "pca",
    skip_start: float = 0,
    skip_end: float = 0,
) -> None:
    """Draw the maps of several embeddings side by side: one point per frame, one thin line per video.

    Of long videos every k-th frame is drawn, so that the number of points is limited. Each map is fitted to the
    frames of its own embedding.

    Convolutions see zeros before the first and, unless they are causal, after the last frame of a video. Frames
    that depend on these zeros are near each other whatever they show, even without training: skip them.

    Args:
        path: where to write; see `save_figure`.
        networks: name -> embeddings (T_i, D) of each video, such as the raw features, the untrained and the trained
            network; at least one name and one video.
        progress: (T_i,) true progress of each video in [0, 1].
        title: names the task.
        method: 'pca' or 'tsne'.
        skip_start: frames to leave out at the start of each video: the network's `frames_behind`.
        skip_end: frames to leave out at its end: the network's `frames_ahead`. Videos without other frames are left
            out; if too few frames remain for the method, all are drawn. The figure says which.

    Raises:
        ValueError: the method is unknown, or there are too few frames for it.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}; expected one of {', '.join(METHODS)}")
    total = sum(len(values) for values in progress)
    if total < FEWEST_FRAMES[method]:
        raise ValueError(f"{title}: {total} frames; {method} needs at least {FEWEST_FRAMES[method]}")
    kept, note = _kept_frames([len(values) for values in progress], skip_start, skip_end, FEWEST_FRAMES[method])
    total = sum(part.stop - part.start for part in kept.values())
    stride = -(-total // MAXIMUM_FRAMES[method])
    parts = {video: slice(part.start, part.stop, stride) for video, part in kept.items()}
    values = [np.asarray(progress[video])[part] for video, part in parts.items()]
    columns = min(COLUMNS, len(networks))
    lines = -(-len(networks) // columns)
    side = (WIDTH - 0.9) / max(columns, 2)
    figure = Figure(figsize=(WIDTH, side * lines + 1.2), layout="constrained")
    all_axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (name, embeddings) in zip(all_axes, networks.items(), strict=False):
        videos = [embeddings[video][part] for video, part in parts.items()]
        if method == "pca":
            positions, shares = principal_components(torch.cat(videos))
            labels = [f"component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(shares)]
        else:
            positions = neighbour_embedding(torch.cat(videos))
            labels = ["t-SNE 1", "t-SNE 2"]
        points = _draw_map(axes, positions.split([len(video) for video in values]), values)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.set_title(shown_name(name, LONGEST_NETWORK_NAME))
    for axes in all_axes[len(networks):]:
        axes.axis("off")
    figure.colorbar(points, ax=list(all_axes), label="true progress", fraction=0.05, pad=0.02)
    marks = {"linestyle": "", "markeredgecolor": "black", "markersize": 7}
    which = "first frame shown" if note else "first frame", "last frame shown" if note else "last frame"
    figure.legend(
        handles=[
            Line2D([], [], marker="o", markerfacecolor="white", label=which[0], **marks),
            Line2D([], [], marker="s", markerfacecolor="white", label=which[1], **marks),
            Line2D([], [], color="#999999", linewidth=0.8, label="one video"),
        ],
        loc="outside lower center",
        ncols=3,
    )
    number = f"{len(values)} video{'s' if len(values) > 1 else ''}"
    figure.suptitle(f"{shown_name(title)} · {number}" + (f"\n{note}" if note else ""))
    save_figure(figure, path)


def _kept_frames(
    lengths: Sequence[int], skip_start: float, skip_end: float, fewest: int
) -> tuple[dict[int, slice], str]:
    """The frames to draw of each video that has any, and the note in the figure about the other frames."""
    if not skip_start and not skip_end:
        return {video: slice(0, length) for video, length in enumerate(lengths)}, ""
    kept = {
        video: slice(int(skip_start), length - int(skip_end))
        for video, length in enumerate(lengths) if length > skip_start + skip_end
    }
    ends = " and ".join(
        f"the {'first' if at_start else 'last'} {skipped:g} frames"
        for skipped, at_start in ((skip_start, True), (skip_end, False)) if skipped
    )
    where = " or ".join(end for end, skipped in (("before", skip_start), ("after", skip_end)) if skipped)
    if sum(part.stop - part.start for part in kept.values()) < fewest:
        everything = {video: slice(0, length) for video, length in enumerate(lengths)}
        return everything, f"{ends} of each video depend on padding {where} it; too few others to draw alone"
    left_out = len(lengths) - len(kept)
    shorter = f", and {left_out} shorter video{'s' if left_out > 1 else ''}" if left_out else ""
    return kept, f"without {ends} of each video, which depend on padding {where} it{shorter}"


def _draw_map(axes: Axes, videos: Sequence[Tensor], progress: Sequence[np.ndarray]) -> PathCollection:
    """Draws the points of all videos; returns the object for the colour bar."""
    for positions in videos:
        axes.plot(*positions.T.numpy(), color="#999999", linewidth=0.4, alpha=0.5, zorder=1, rasterized=True)
    everything = torch.cat(list(videos)).numpy()
    colours = {"cmap": COLOURS, "vmin": 0, "vmax": 1}
    points = axes.scatter(
        *everything.T, c=np.concatenate(progress), s=10, linewidths=0, alpha=0.9, zorder=2, rasterized=True, **colours
    )
    for mark, end in (("o", 0), ("s", -1)):
        ends = np.stack([positions[end].numpy() for positions in videos])
        level = [values[end] for values in progress]
        axes.scatter(
            *ends.T, c=level, s=45, marker=mark, edgecolors="black", linewidths=1.1, zorder=3, **colours
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.06)
    return points
