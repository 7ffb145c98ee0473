"""Embedding videos once, for every metric to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from utils.data.dataset import VideoDataset
from utils.errors import CheckpointError
from utils.tensorops import get_trueprogress, get_trueprogress_per_action, path_length

TRAINED, UNTRAINED, RAW = "trained network", "untrained network", "raw features"
# The names of the embeddings of networks with fresh weights. What is said of "the untrained network" is their mean.
UNTRAINED_NETWORKS = (UNTRAINED, *(f"{UNTRAINED}, seed {number}" for number in range(2, 6)))


@dataclass(frozen=True)
class ProgressVideo:
    """What estimators of progress need of one video.

    Attributes:
        handle: name of the video.
        time_dict: its annotation.
        progress: (T,) true progress over the video, in [0, 1].
        action_progress: (T,) true progress inside each action, in [0, 1]; anything in background.
        paths: by source ('trained network', 'raw features', ...), (T,) path length up to each frame.
    """

    handle: str
    time_dict: Mapping
    progress: np.ndarray
    action_progress: np.ndarray
    paths: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class EmbeddedVideo(ProgressVideo):
    """A video and all that its metrics need.

    Attributes:
        embeddings: by network (TRAINED, UNTRAINED_NETWORKS), (T, D) float32 on the CPU; and where they are asked for
            the RAW features, unless they are maps.
        paths (of ProgressVideo): of the networks' embeddings and of the RAW features.
    """

    embeddings: Mapping[str, Tensor]


@torch.inference_mode()
def embed_videos(
    networks: Mapping[str, nn.Module],
    dataset: VideoDataset,
    indices: Sequence[int],
    device: torch.device | str = "cpu",
    description: str = "embedding",
    with_raw: bool = False,
) -> list[EmbeddedVideo]:
    """Embed videos by several networks, reading the features of each video once.

    Args:
        networks: by name, in evaluation mode and on `device`; each gives {'outputs': [(T, D)]}.
        dataset: items are (features, time_dict).
        indices: which videos.
        device: where the networks are.
        description: title of the progress bar.
        with_raw: keep the features themselves as an embedding too, if they are (T, D).

    Raises:
        CheckpointError: an embedding isn't finite; names the video.
    """
    videos = []
    for index in tqdm(indices, desc=description, unit="video", disable=None, leave=False):
        features, time_dict = dataset[index]
        features = features.to(device)
        embeddings = {name: network([features])["outputs"][0].float() for name, network in networks.items()}
        handle = dataset.videos[index].handle
        for name, embedding in embeddings.items():
            if not torch.isfinite(embedding).all():
                raise CheckpointError(f"the {name} gives a non-finite embedding for video {handle!r}")
        videos.append(embedded_video(handle, time_dict, embeddings, features, with_raw))
    return videos


def embedded_video(
    handle: str,
    time_dict: Mapping,
    embeddings: Mapping[str, Tensor],
    features: Tensor | None = None,
    with_raw: bool = False,
) -> EmbeddedVideo:
    """A video that has been embedded.

    Args:
        handle, time_dict: its name and annotation.
        embeddings: by network, (T, D).
        features: (T, ...), or None if there are none.
        with_raw: keep the features themselves as an embedding too, if they are (T, D).
    """
    sources = dict(embeddings) if features is None else {**embeddings, RAW: features}
    kept = dict(embeddings)
    if with_raw and features is not None and features.ndim == 2:
        kept[RAW] = features.float()
    return EmbeddedVideo(
        handle=handle,
        time_dict=time_dict,
        progress=get_trueprogress(time_dict).double().numpy(),
        action_progress=get_trueprogress_per_action(time_dict).double().numpy(),
        paths={name: path_length(values) for name, values in sources.items()},
        embeddings={name: values.cpu() for name, values in kept.items()},
    )
