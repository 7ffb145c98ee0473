"""The normaliser of online progress: mean total path length of a task's training videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from utils.data.dataset import VideoDataset
from utils.data.frame_segments import is_action
from utils.tensorops import path_length
from utils.training.processes import Processes

# By task, or at action level by task and action.
MeanPaths = dict[str, float] | dict[str, dict[str, float]]


@torch.inference_mode()
def mean_path_lengths(
    model: Callable[[list[Tensor]], Mapping[str, list[Tensor]]],
    dataset: VideoDataset,
    device: torch.device,
    level: str = "video",
    epoch: int | None = None,
    processes: Processes | None = None,
) -> MeanPaths:
    """G of online progress for each task: the mean total path length of its videos' embeddings.

    Args:
        model: a network in evaluation mode, on `device`.
        dataset: the training videos. Test videos must not be used: the predictor would know their path length.
        device: where to compute.
        level: 'action' for the mean of each action of the task instead, by its label, over all its segments.
        epoch: take the frames that training uses in this epoch; None: every frame.
        processes: the processes that share the videos; each must make this call, and gets the same means. None: this
            process embeds every video.

    Source: "Learning to Predict Activity Progress by Self-Supervised Video Alignment" (CVPR 2024).
    """
    processes = processes or Processes()
    videos = dataset if epoch is None else dataset.in_epoch(epoch)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    own = processes.share(range(len(dataset)))
    for index in tqdm(own, desc="path lengths", leave=False, disable=None if processes.is_main else True):
        features, time_dict = videos[index]
        path = path_length(model([features.to(device)])["outputs"][0])
        for label, first, last in _actions(time_dict) if level == "action" else [("", 0, -1)]:
            part = dataset.videos[index].task, label
            sums[part] += float(path[last] - path[first])
            counts[part] += 1
    sums, counts = processes.sum(sums), processes.sum(counts)
    means: dict[str, dict[str, float]] = {task: {} for task in dataset.tasks}
    for (task, label), total in sums.items():
        means[task][label] = total / counts[task, label]
    return means if level == "action" else {task: of_task[""] for task, of_task in means.items()}


def _actions(time_dict: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    segments = zip(time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True)
    return (segment for segment, counts in zip(segments, is_action(time_dict), strict=True) if counts)
