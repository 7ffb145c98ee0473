"""The pictures of an evaluation: which videos are drawn, and from what."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from utils.data.frame_segments import action_frames
from utils.evaluation.baselines import online_action_progress, online_video_progress, task_statistics
from utils.figures.embedding_map import FEWEST_FRAMES, plot_embedding_map
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import plot_similarity
from utils.files import safe_name
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
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    number_of_videos: int,
) -> list[Picture]:
    """Progress curves of the first test videos, and similarity matrices of successive ones of them.

    A lone test video is paired with the first training video.
    """
    statistics = task_statistics(train)
    pictures = []
    shown = list(test[:number_of_videos])
    for video in shown:
        over_video, in_actions = (
            online_video_progress(video, statistics),
            online_action_progress(video, statistics),
        )
        inside = action_frames(video.time_dict)

        def gaps(values: np.ndarray, inside: np.ndarray = inside) -> np.ndarray:
            return np.where(inside, values, np.nan)

        panels = [
            ProgressPanel("whole video, online", video.progress, over_video[TRAINED], over_video["clock"])
        ]
        if inside.any():
            panels.append(
                ProgressPanel(
                    "inside each action, online",
                    gaps(video.action_progress),
                    gaps(in_actions[TRAINED]),
                    gaps(in_actions["clock"]),
                    restarts=video.time_dict["start_frame"][1:],
                )
            )
        file = f"{safe_name('progress', task, video.handle)}.png"
        with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
            plot_progress(folder / file, panels, video.time_dict, f"{task} · {video.handle}")
        pictures.append(Picture(file, "progress", task, (video.handle,)))
    partners = shown if len(shown) > 1 else [*shown, *(test[1:2] or train[:1])]
    for first, second in pairwise(partners):
        file = f"{safe_name('similarity', task, first.handle, second.handle)}.png"
        with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
            plot_similarity(
                folder / file,
                first.embeddings[TRAINED],
                second.embeddings[TRAINED],
                first.time_dict,
                second.time_dict,
                first.handle,
                second.handle,
                task,
            )
        pictures.append(Picture(file, "similarity", task, (first.handle, second.handle)))
    return pictures


def draw_map(folder: Path, task: str, test: Sequence[EmbeddedVideo], method: str = "pca") -> list[Picture]:
    """The map of the test videos' frames, by the trained and by the untrained network."""
    file = f"{safe_name('map', task)}.png"
    number_of_frames = sum(len(video.progress) for video in test)
    if number_of_frames < FEWEST_FRAMES[method]:
        logger.warning("task %r: %d frames are too few for a map by %s", task, number_of_frames, method)
        return []
    networks = {
        network: [video.embeddings[network] for video in test] for network in (TRAINED, UNTRAINED)
    }
    plot_embedding_map(folder / file, networks, [video.progress for video in test], task, method)
    return [Picture(file, "map", task)]
