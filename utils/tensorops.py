"""Progress of one sequence: path length of its embedding, predicted progress, and the truth.

Frame numbers are rows of the sequence; the ends in a time_dict are inclusive. Background is labelled 'SIL'
('background' is understood too) and earns no progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.data.frame_segments import FrameSegments, is_action
from utils.loss_functions.compiled import runs_compiled


def get_cum_matrix(features: Tensor) -> Tensor:
    """Path length of the embedding up to each frame: sum over s < t of ||f_(s+1) - f_s||.

    Differentiable everywhere: a step between two equal frames passes no gradient (the subgradient 0).

    Args:
        features: (T, D) frame embeddings, T >= 1.

    Returns:
        (T,) on the features' device, starting at 0 and never decreasing.

    Source: the numerator of online progress, "Learning to Predict Activity Progress by Self-Supervised Video
    Alignment" (CVPR 2024).
    """
    return _PathLength.apply(features, features.dtype)


class _PathLength(torch.autograd.Function):
    """Path length with its gradient in closed form: autograd's own chain of small operations takes twice as long,
    and a compiled loop (`path_length_scan.py`), on a CPU where numba is installed, half of this one."""

    @staticmethod
    def forward(ctx, features: Tensor, dtype: torch.dtype) -> Tensor:
        path = torch.empty(len(features), dtype=dtype, device=features.device)
        if runs_compiled(features):
            # Imported here because numba takes a while to load.
            from utils.path_length_scan import path_length

            features = features.contiguous()
            steps = torch.empty(len(features) - 1, dtype=features.dtype)
            path_length(features.numpy(), steps.numpy(), path.numpy())
        else:
            steps = torch.linalg.vector_norm(features[1:] - features[:-1], dim=1)
            path[0] = 0
            # Summed in double precision: a video has tens of thousands of frames.
            path[1:] = steps.cumsum(0, dtype=torch.float64)
        ctx.save_for_backward(features, steps)
        return path

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None]:
        features, steps = ctx.saved_tensors
        if runs_compiled(features):
            from utils.path_length_scan import path_length_gradient

            gradient = torch.empty_like(features)
            path_length_gradient(features.numpy(), steps.numpy(), upstream.contiguous().numpy(), gradient.numpy())
            return gradient, None
        # A step adds to the path length of every later frame.
        later = upstream[1:].flip(0).cumsum(0, dtype=torch.float64).flip(0)
        pull = (later / steps).masked_fill_(steps == 0, 0.0).to(features.dtype).unsqueeze(1)
        pull = pull * (features[1:] - features[:-1])
        gradient = torch.nn.functional.pad(pull, (0, 0, 1, 0))
        gradient[:-1] -= pull
        return gradient, None


def get_normalized_predicted_progress_video(features: Tensor) -> Tensor:
    """Predicted progress over the whole video: path length over the total path length.

    Args:
        features: (T, D) frame embeddings.

    Returns:
        (T,) in [0, 1], from 0 to 1. A video whose frames are all equal moves linearly in time.
    """
    path = get_cum_matrix(features)
    total = path[-1]
    linear = torch.linspace(0, 1, len(features), device=features.device, dtype=features.dtype)
    moves = total > 0
    # Dividing by 1 where nothing moves keeps that branch's gradient finite.
    return torch.where(moves, path / torch.where(moves, total, 1.0), linear)


def get_normalized_predicted_progress_action(features: Tensor, time_dict: Mapping[str, Any]) -> Tensor:
    """Predicted progress inside each action: path length since the action began over the action's own.

    Args:
        features: (T, D) frame embeddings.
        time_dict: 'step', 'start_frame', 'end_frame' of the segments; frames out of range are clamped.

    Returns:
        (T,) in [0, 1]: from 0 to 1 in each action, 0 in background, 0.5 in an action of a single frame, linear
        in an action whose frames are all equal.
    """
    device, dtype = features.device, features.dtype
    segments = FrameSegments(time_dict, len(features))
    path = _PathLength.apply(features, torch.float64)

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device, non_blocking=True)

    first, last = on_device(segments.first), on_device(segments.last)
    total = (path[last] - path[first]).to(dtype)
    covered = (path - path[first]).to(dtype)
    moves = total > 0
    predicted = torch.where(
        moves, covered / torch.where(moves, total, 1.0), on_device(segments.linear).to(dtype)
    )
    return torch.where(on_device(segments.is_action), predicted, 0.0)


def get_trueprogress(time_dict: Mapping[str, Any]) -> Tensor:
    """True progress of the activity: every action an equal share, linear inside it, constant in background.

    Args:
        time_dict: 'step', 'start_frame', 'end_frame' of the segments.

    Returns:
        (T,) float32 in [0, 1], T = last end + 1; all zero for a video without any action. Inside the k-th of n
        actions it runs from (k - 1) / n to k / n, both reached; a single-frame action stands at its middle.
    """
    segments = FrameSegments(time_dict)
    done_before = np.where(segments.is_action, segments.actions_begun - 1, segments.actions_begun)
    inside = np.where(segments.is_action, segments.linear, 0)
    progress = (done_before + inside) / max(int(is_action(time_dict).sum()), 1)
    return torch.from_numpy(progress.astype(np.float32))


def get_trueprogress_per_action(time_dict: Mapping[str, Any]) -> Tensor:
    """True progress inside each action: linear from 0 at its first frame to 1 at its last.

    Args:
        time_dict: 'step', 'start_frame', 'end_frame' of the segments.

    Returns:
        (T,) float32 in [0, 1], T = last end + 1; 0 in background, 0.5 in an action of a single frame.
    """
    segments = FrameSegments(time_dict)
    return torch.from_numpy(np.where(segments.is_action, segments.linear, 0).astype(np.float32))
