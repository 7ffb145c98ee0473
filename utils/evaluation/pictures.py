"""The pictures of an evaluation: which videos are drawn, and from what."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
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
from utils.evaluation.results import CLOCK
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


@dataclass(frozen=True)
class TaskToDraw:
    """What the pictures of a task are drawn from; see `task_to_draw`.

    Attributes:
        task: its name.
        test: all test videos, for the map.
        curves: predicted progress of the first of them.
        partners: videos of which each two successive ones are held against each other.
    """

    task: str
    test: Sequence[EmbeddedVideo]
    curves: Sequence[Curves]
    partners: Sequence[EmbeddedVideo]


def task_to_draw(
    task: str, train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], curves: Sequence[Curves]
) -> TaskToDraw:
    """Progress and similarity are those of the first videos, as many as there are curves of.

    A lone one is held against the second test video, or against the first training video.
    """
    shown = list(test[: len(curves)])
    return TaskToDraw(task, test, curves, shown if len(shown) > 1 else [*shown, *(test[1:2] or train[:1])])


def draw_task(folder: Path, drawn: TaskToDraw, map_method: str = "pca") -> list[Picture]:
    """Draws progress curves, similarity matrices, and the map of the frames of all test videos.

    Args:
        folder: where to write.
        drawn: from what.
        map_method: 'pca' or 'tsne'.

    Returns:
        The pictures that were written. Whatever goes wrong with one is a warning that names it: a picture is no
        reason to lose the figures.
    """
    pictures = []
    for picture, plot in _pictures_of(drawn, map_method):
        try:
            with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
                plot(folder / picture.file)
        except Interrupted:
            raise
        except Exception as error:
            logger.warning("%s is not drawn: %s (%s)", folder / picture.file, first_line(error), type(error).__name__)
        else:
            pictures.append(picture)
    return pictures


def _pictures_of(drawn: TaskToDraw, map_method: str) -> Iterator[tuple[Picture, Callable[[Path], None]]]:
    """Every picture with the function that writes it."""
    for video, curves in zip(drawn.test, drawn.curves, strict=False):
        file = f"{safe_name('progress', drawn.task, video.handle)}.png"
        yield Picture(file, "progress", drawn.task, (video.handle,)), partial(_draw_progress, drawn.task, video, curves)
    for first, second in pairwise(drawn.partners):
        file = f"{safe_name('similarity', drawn.task, first.handle, second.handle)}.png"
        picture = Picture(file, "similarity", drawn.task, (first.handle, second.handle))
        yield picture, partial(_draw_similarity, drawn.task, first, second)
    yield Picture(f"{safe_name('map', drawn.task)}.png", "map", drawn.task), partial(_draw_map, drawn, map_method)


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
        panels.append(ProgressPanel("inside each action, online", truth, found, clock, restarts=restarts))
    plot_progress(path, panels, video.time_dict, f"{task} · {video.handle}")


def _draw_similarity(task: str, first: EmbeddedVideo, second: EmbeddedVideo, path: Path) -> None:
    embeddings, times = (first.embeddings[TRAINED], second.embeddings[TRAINED]), (first.time_dict, second.time_dict)
    plot_similarity(path, *embeddings, *times, first.handle, second.handle, task)


def _draw_map(drawn: TaskToDraw, method: str, path: Path) -> None:
    """Of the trained and of the untrained network, beside each other."""
    networks = {name: [video.embeddings[name] for video in drawn.test] for name in (TRAINED, UNTRAINED)}
    plot_embedding_map(path, networks, [video.progress for video in drawn.test], drawn.task, method)
