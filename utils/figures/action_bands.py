"""Bands that show which action happens when, along an axis of another plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from utils.data.segments import is_background
from utils.figures.palette import BACKGROUND, ActionStyle, action_styles
from utils.figures.style import shown_name

LEGEND_COLUMNS = 4
LONGEST_LABEL = 28
MOST_ENTRIES = 32


def video_action_styles(time_dicts: Iterable[Mapping]) -> dict[str, ActionStyle]:
    """One style per action of the videos, without background."""
    return action_styles(step for times in time_dicts for step in times["step"] if not is_background(step))


def draw_action_bands(
    axes: Axes, time_dict: Mapping, styles: Mapping[str, ActionStyle], vertical: bool = False
) -> None:
    """Fill the axes with one band per segment, numbered where the number fits.

    Args:
        axes: separate axes for the bands; their long side is time in frames.
        time_dict: annotation of the video.
        styles: from `video_action_styles`.
        vertical: time runs along the vertical side.
    """
    number_of_frames = time_dict["end_frame"][-1] + 1
    shortest_numbered = (0.03 if vertical else 0.018) * number_of_frames
    for step, start, end in zip(
        time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True
    ):
        style = styles.get(step)
        corner, width, height = (start - 0.5, 0), end - start + 1, 1
        if vertical:
            corner, width, height = corner[::-1], height, width
        axes.add_patch(
            Rectangle(
                corner,
                width,
                height,
                linewidth=0.4,
                edgecolor="white",
                facecolor=BACKGROUND if style is None else style.colour,
            )
        )
        if style is None:
            continue
        if style.hatch:  # a second patch, so that the hatching is dark and the border stays white
            axes.add_patch(
                Rectangle(
                    corner, width, height, linewidth=0, fill=False, hatch=style.hatch, edgecolor="#00000066"
                )
            )
        if end - start + 1 > shortest_numbered:
            middle = ((start + end) / 2, 0.5)
            axes.text(
                *(middle[::-1] if vertical else middle),
                str(style.number),
                ha="center",
                va="center",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
            )
    limits = (-0.5, number_of_frames - 0.5)
    if vertical:
        axes.set(ylim=limits, xlim=(0, 1), xticks=[])
    else:
        axes.set(xlim=limits, ylim=(0, 1), yticks=[])


def action_legend(styles: Mapping[str, ActionStyle], with_background: bool) -> list[Patch]:
    """Legend entries: number and name of every action (only the first ones if there are very many), and background."""
    patches = [
        Patch(
            facecolor=s.colour,
            edgecolor="#444444",
            hatch=s.hatch,
            linewidth=0.4,
            label=f"{s.number}  {shown_name(label.replace('_', ' '), LONGEST_LABEL)}",
        )
        for label, s in list(styles.items())[:MOST_ENTRIES]
    ]
    if len(styles) > MOST_ENTRIES:
        patches.append(Patch(visible=False, label=f"and {len(styles) - MOST_ENTRIES} more"))
    if with_background:
        patches.append(Patch(facecolor=BACKGROUND, edgecolor="#444444", linewidth=0.4, label="background"))
    return patches


def legend_height(entries: Sequence[Patch]) -> float:
    """Height in inches that `add_action_legend` needs."""
    return 0.3 + 0.2 * -(-len(entries) // LEGEND_COLUMNS)


def add_action_legend(figure: Figure, entries: Sequence[Patch]) -> None:
    """Puts the legend of the actions at the bottom of the figure."""
    figure.legend(handles=entries, loc="outside lower center", ncols=LEGEND_COLUMNS)
