"""Progress without learning, and progress by path length: what every predicted progress is held against.

Each estimator gives the progress of one video at every frame, over the whole video or inside each action.
What needs training data reads it from `TaskStatistics`. An *online* estimator uses nothing after the current
frame; an *offline* one divides by what it finds at the end, and so is told where the end is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.data.frame_segments import FrameSegments, is_action, segment_lengths
from utils.evaluation.variants import CLOCK, CONSTANT, INDEX, SHARE_OF_TIME
from utils.prediction.embedding import ProgressVideo
from utils.prediction.readouts.naive import mean_of_running
from utils.tensorops import mean_total_path, share_of


@dataclass(frozen=True)
class _Means:
    """Means over training videos (or over the training instances of one action)."""

    length: float
    paths: Mapping[str, float]
    progress_at_index: np.ndarray


@dataclass(frozen=True)
class TaskStatistics:
    """What the training videos of one task tell about lengths; see `task_statistics`.

    Attributes:
        video: means over whole videos.
        actions: means over the instances of each action label.
        unseen_action: means of the above over labels, for a label that no training video shows.
    """

    video: _Means
    actions: Mapping[str, _Means]
    unseen_action: _Means

    def action(self, label: str) -> _Means:
        """Means of an action label."""
        return self.actions.get(label, self.unseen_action)


def task_statistics(videos: Sequence[ProgressVideo]) -> TaskStatistics:
    """Mean lengths, mean total paths and mean true progress at each index of a task's training videos.

    Args:
        videos: training videos of one task, at least one.

    Returns:
        The statistics. Action lengths count frames; the path of an action starts again at its first frame.

    Raises:
        ValueError: there is no training video.
    """
    if not videos:
        raise ValueError("progress needs the training videos of the task to be normalised, and there is none")
    sources = videos[0].paths
    video = _Means(
        float(np.mean([len(v.progress) for v in videos])),
        {s: mean_total_path(v.paths[s] for v in videos) for s in sources},
        mean_of_running([v.progress for v in videos]),
    )

    instances: dict[str, list[tuple[ProgressVideo, int, int]]] = {}
    for v in videos:
        segments = zip(
            v.time_dict["step"],
            v.time_dict["start_frame"],
            v.time_dict["end_frame"],
            is_action(v.time_dict),
            strict=True,
        )
        for step, start, end, counts in segments:
            if counts:
                instances.setdefault(step, []).append((v, start, end))
    actions = {
        step: _Means(
            float(np.mean([end - start + 1 for _, start, end in found])),
            {s: mean_total_path(v.paths[s][start : end + 1] for v, start, end in found) for s in sources},
            mean_of_running([v.action_progress[start : end + 1] for v, start, end in found]),
        )
        for step, found in instances.items()
    }
    means = list(actions.values()) or [video]
    unseen = _Means(
        float(np.mean([m.length for m in means])),
        {s: float(np.mean([m.paths[s] for m in means])) for s in sources},
        mean_of_running([m.progress_at_index for m in means]),
    )
    return TaskStatistics(video, actions, unseen)


def _at_index(curve: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The curve at the indices, and 1 past its end: every training example was over by then."""
    return np.where(index < len(curve), curve[np.minimum(index, len(curve) - 1)], 1.0)


def online_video_progress(video: ProgressVideo, statistics: TaskStatistics) -> dict[str, np.ndarray]:
    """Progress over the video from the frames so far.

    A source's path length over its mean total G in the training videos (GTCC, CVPR 2024, section 3.4), and:
    one half, the mean true progress of training videos at this index, time over their mean length.

    Returns:
        By name, (T,) float64 in [0, 1].
    """
    index = np.arange(len(video.progress))
    means = statistics.video
    return {
        **{source: share_of(path, means.paths[source]) for source, path in video.paths.items()},
        CONSTANT: np.full(len(index), 0.5),
        INDEX: _at_index(means.progress_at_index, index),
        CLOCK: share_of(index, means.length),
    }


def offline_video_progress(video: ProgressVideo) -> dict[str, np.ndarray]:
    """Progress over the video divided by what is found at its end; knows where the end is.

    A source's path length over its own total (linear in time where nothing moves), and time over its own.

    Returns:
        By name, (T,) float64 in [0, 1].
    """
    time = np.linspace(0.0, 1.0, len(video.progress))
    return {
        **{source: path / path[-1] if path[-1] > 0 else time for source, path in video.paths.items()},
        SHARE_OF_TIME: time,
    }


def online_action_progress(video: ProgressVideo, statistics: TaskStatistics) -> dict[str, np.ndarray]:
    """Progress inside each action from the frames since it began; the segment and its label are known.

    As `online_video_progress`, with path and time starting again at each boundary and means over the training
    instances of the label.

    Returns:
        By name, (T,) float64 in [0, 1], 0 in background.
    """
    segments = FrameSegments(video.time_dict)
    means = [statistics.action(step) for step in video.time_dict["step"]]
    index = np.arange(len(segments.first)) - segments.first

    def per_frame(values: Sequence[float]) -> np.ndarray:
        return np.asarray(values)[segments.segment]

    progress = {
        source: share_of(path - path[segments.first], per_frame([m.paths[source] for m in means]))
        for source, path in video.paths.items()
    }
    progress[CONSTANT] = np.full(len(index), 0.5)
    progress[INDEX] = np.concatenate(
        [
            _at_index(m.progress_at_index, np.arange(n))
            for m, n in zip(means, segment_lengths(video.time_dict), strict=True)
        ]
    )
    progress[CLOCK] = share_of(index, per_frame([m.length for m in means]))
    return {name: np.where(segments.is_action, values, 0.0) for name, values in progress.items()}


def offline_action_progress(video: ProgressVideo) -> dict[str, np.ndarray]:
    """Progress inside each action divided by what is found at the action's end; knows where each one ends.

    As `utils.tensorops.get_normalized_predicted_progress_action`, from path lengths: linear where nothing
    moves, 0.5 in an action of one frame.

    Returns:
        By name, (T,) float64 in [0, 1], 0 in background.
    """
    segments = FrameSegments(video.time_dict)
    progress = {}
    for source, path in video.paths.items():
        before = path[segments.first]
        total = path[segments.last] - before
        progress[source] = np.where(total > 0, (path - before) / np.where(total > 0, total, 1.0), segments.linear)
    progress[SHARE_OF_TIME] = segments.linear
    return {name: np.where(segments.is_action, values, 0.0) for name, values in progress.items()}
