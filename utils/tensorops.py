"""Progress of one sequence: path length of its embedding, predicted progress, and ground truth.

Frame numbers are rows of the sequence; the ends in a time_dict are inclusive. Background is labelled 'SIL' (or
'background'); progress does not increase in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.data.frame_segments import FrameSegments, is_action


def get_cum_matrix(features: Tensor) -> Tensor:
    """Path length of the embedding up to each frame: sum over s < t of ||f_(s+1) - f_s||.

    Differentiable everywhere: a step between two equal frames passes no gradient (the subgradient 0).

    Args:
        features: (T, D) frame embeddings, T >= 1.

    Returns:
        (T,) on the features' device, in units of the embedding's Euclidean distance; starts at 0, never decreases.

    Source: the numerator of online progress, "Learning to Predict Activity Progress by Self-Supervised Video
    Alignment" (CVPR 2024).
    """
    return _double_path(features).to(features.dtype)


def _double_path(features: Tensor) -> Tensor:
    """`get_cum_matrix` in double precision, because a video can have tens of thousands of steps to add."""
    steps = torch.linalg.vector_norm(features[1:] - features[:-1], dim=1)
    return torch.nn.functional.pad(steps.cumsum(0, dtype=torch.float64), (1, 0))


def path_length(
    frames: Tensor | np.ndarray, before: Tensor | np.ndarray | None = None, path: float = 0.0, block: int = 256
) -> np.ndarray:
    """Path length of a recording, given whole or in consecutive parts: `get_cum_matrix` in double precision.

    Args:
        frames: (T, ...), such as (T, D) or convolution maps (T, C, H, W); T >= 0.
        before: (1, ...) the frame before `frames`; None if `frames` begins the recording.
        path: path length up to `before`.
        block: frames that are converted at once, so that not all frames are copied.

    Returns:
        (T,) float64.
    """
    lengths = np.empty(len(frames))
    for start in range(0, len(frames), block):
        part = _as_tensor(frames[start : start + block])
        joined = torch.cat([part[:1] if before is None else _as_tensor(before), part]).flatten(1).double()
        lengths[start : start + len(part)] = path + get_cum_matrix(joined)[1:].cpu().numpy()
        before, path = part[-1:], lengths[start + len(part) - 1]
    return lengths


def _as_tensor(frames: Tensor | np.ndarray) -> Tensor:
    # A copy, because torch accepts no array that is read-only, has negative strides or another byte order.
    return torch.from_numpy(frames.astype(np.float64)) if isinstance(frames, np.ndarray) else frames


def mean_total_path(paths: Iterable[np.ndarray]) -> float:
    """G, the divisor of online progress: the mean total path length over the training recordings.

    Args:
        paths: (T_i,) path lengths of recordings, or of the parts of them that show one action; at least one.
    """
    return float(np.mean([path[-1] - path[0] for path in paths]))


def share_of(part: np.ndarray, whole: np.ndarray | float) -> np.ndarray:
    """Online progress: part / whole, clamped to [0, 1]. If the whole is 0, it is 0 for a part of 0, else 1.

    Args:
        part: (T,) the amount so far, such as the path length.
        whole: the mean total amount in training recordings, such as G; (T,) or one number.
    """
    share = np.divide(part, whole, out=(part > 0).astype(np.float64), where=np.asarray(whole) > 0)
    return np.clip(share, 0.0, 1.0)


def get_normalized_predicted_progress_video(features: Tensor, total: float | None = None) -> Tensor:
    """Predicted progress over the whole video: path length over the total path length.

    Args:
        features: (T, D) frame embeddings.
        total: what the path length is divided by, such as the mean total of training videos. None or 0: its own total.

    Returns:
        (T,) in [0, 1], from 0 to 1. If all frames of a video are equal, progress is linear in time. With a given total,
        it is from 0 to any end, not clamped.
    """
    path = get_cum_matrix(features)
    if total:
        return path / total
    total = path[-1]
    linear = torch.linspace(0, 1, len(features), device=features.device, dtype=features.dtype)
    moves = total > 0
    # If all frames are equal, dividing by 1 instead of 0 keeps the gradient finite.
    return torch.where(moves, path / torch.where(moves, total, 1.0), linear)


def get_normalized_predicted_progress_action(
    features: Tensor, time_dict: Mapping[str, Any], totals: Sequence[float] | None = None
) -> Tensor:
    """Predicted progress inside each action: path length since its first frame over the action's total path length.

    Args:
        features: (T, D) frame embeddings.
        time_dict: 'step', 'start_frame', 'end_frame' of the segments; frames out of range are clamped.
        totals: (S,) what the path length in each segment is divided by; 0: its own total. None: always its own.

    Returns:
        (T,) in [0, 1]: from 0 to 1 in each action, 0 in background, 0.5 in an action of a single frame, linear
        in an action whose frames are all equal. With a given total, it is from 0 to any end, not clamped.
    """
    device, dtype = features.device, features.dtype
    segments = FrameSegments(time_dict, len(features))
    path = _double_path(features)

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device, non_blocking=True)

    first, last = on_device(segments.first), on_device(segments.last)
    total = (path[last] - path[first]).to(dtype)
    covered = (path - path[first]).to(dtype)
    if totals is not None:
        given = np.where(segments.last > segments.first, np.asarray(totals)[segments.segment], 0.0)
        total = torch.where(on_device(given > 0), on_device(given).to(dtype), total)
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
        actions it runs from (k - 1) / n to k / n, both included; an action of one frame has the middle of these.
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
