"""The pictures of an evaluation: which videos are drawn, and from what."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from utils.data.frame_segments import action_frames
from utils.errors import Interrupted, first_line
from utils.evaluation.progress import Curves
from utils.evaluation.variants import CLOCK
from utils.figures.embedding_map import plot_embedding_map
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import plot_similarity
from utils.files import safe_name
from utils.metrics.table import Needs
from utils.prediction.embedding import TRAINED, UNTRAINED, EmbeddedVideo

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A picture of an evaluation.

    Attributes:
        file: its name in the folder of the evaluation; a PNG.
        kind: 'progress', 'similarity' or 'map'.
        task: the task that it is about.
        videos: the handles of the videos that it names.
    """

    file: str
    kind: str
    task: str
    videos: tuple[str, ...] = ()

    def as_description(self) -> dict[str, Any]:
        """Plain values for `metrics.json`, key `pictures`; `Picture(**values)` reads them."""
        return {**asdict(self), "videos": list(self.videos)}


def draw_task(
    folder: Path,
    task: str,
    test: Sequence[EmbeddedVideo],
    curves: Sequence[Curves],
    spare: Sequence[EmbeddedVideo],
    map_method: str = "pca",
) -> list[Picture]:
    """Draws progress curves and similarity matrices of the first test videos, and the map of the frames of all.

    Args:
        folder: where to write.
        task: its name.
        test: the test videos.
        curves: predicted progress of the first of them; as many are drawn.
        spare: a training video, which a lone test video is held against.
        map_method: 'pca' or 'tsne'.

    Returns:
        The pictures that were written. Whatever goes wrong with one is a warning that names it: a picture is no
        reason to lose the figures.
    """
    shown = list(test[: len(curves)])
    partners = shown if len(shown) > 1 else [*shown, *(test[1:2] or spare)]
    wanted = [
        (Picture(f"{safe_name('progress', task, video.handle)}.png", "progress", task, (video.handle,)),
         partial(_draw_progress, task, video, of_video))
        for video, of_video in zip(shown, curves, strict=True)
    ]  # fmt: skip
    for pair in pairwise(partners):
        handles = tuple(video.handle for video in pair)
        picture = Picture(f"{safe_name('similarity', task, *handles)}.png", "similarity", task, handles)
        wanted.append((picture, partial(_draw_similarity, task, *pair)))
    wanted.append((Picture(f"{safe_name('map', task)}.png", "map", task), partial(_draw_map, task, test, map_method)))
    return [picture for picture, plot in wanted if _is_drawn(folder / picture.file, plot)]


def _is_drawn(path: Path, plot: Callable[[Path], None]) -> bool:
    try:
        with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
            plot(path)
    except Interrupted:
        raise
    except Exception as error:
        logger.warning("%s is not drawn: %s (%s)", path, first_line(error), type(error).__name__)
        return False
    return True


def _draw_progress(task: str, video: EmbeddedVideo, curves: Curves, path: Path) -> None:
    over_video, in_actions = curves[Needs.VIDEO_ONLINE], curves[Needs.ACTION_ONLINE]
    panels = [ProgressPanel("whole video, online", video.progress, over_video[TRAINED], over_video[CLOCK])]
    inside = action_frames(video.time_dict)
    if inside.any():
        truth, found, clock = (
            np.where(inside, values, np.nan)
            for values in (video.action_progress, in_actions[TRAINED], in_actions[CLOCK])
        )
        restarts = video.time_dict["start_frame"][1:]
        title = "inside each action, online; its start and label are given"
        panels.append(ProgressPanel(title, truth, found, clock, restarts=restarts))
    plot_progress(path, panels, video.time_dict, f"{task} · {video.handle}")


def _draw_similarity(task: str, first: EmbeddedVideo, second: EmbeddedVideo, path: Path) -> None:
    embeddings, times = (first.embeddings[TRAINED], second.embeddings[TRAINED]), (first.time_dict, second.time_dict)
    plot_similarity(path, *embeddings, *times, first.handle, second.handle, task)


def _draw_map(task: str, test: Sequence[EmbeddedVideo], method: str, path: Path) -> None:
    """Of the trained and, where there is one, of the untrained network, beside each other."""
    names = [name for name in (TRAINED, UNTRAINED) if name in test[0].embeddings]
    networks = {name: [video.embeddings[name] for video in test] for name in names}
    plot_embedding_map(path, networks, [video.progress for video in test], task, method)
