"""The normaliser of online progress: mean total path length of a task's training videos."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import nn

from utils.data.dataset import VideoDataset
from utils.tensorops import mean_total_path, path_length


@torch.inference_mode()
def mean_path_lengths(model: nn.Module, dataset: VideoDataset, device: torch.device) -> dict[str, float]:
    """G of online progress for each task: the mean total path length of its videos' embeddings.

    Args:
        model: a network in evaluation mode, on `device`.
        dataset: the training videos. Test videos must not be used: the predictor would know their path length.
        device: where to compute.

    Source: "Learning to Predict Activity Progress by Self-Supervised Video Alignment" (CVPR 2024).
    """
    paths: dict[str, list[np.ndarray]] = defaultdict(list)
    for index, video in enumerate(dataset.videos):
        features, _ = dataset[index]
        embedding = model([features.to(device)])["outputs"][0]
        paths[video.task].append(path_length(embedding))
    return {task: mean_total_path(of_task) for task, of_task in paths.items()}
