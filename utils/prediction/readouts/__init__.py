"""Ways to read progress from an embedding, each causal and chosen by name.

A read-out is a class of the `Readout` protocol. One that compares with training videos says how many of their frames it
can afford, `most_frames`, and is made from a `TrainingReference`; any other from the mean path length of the training
videos. `utils.registry.READOUTS` says which. `tests/contracts/readouts.py` checks what is expected of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from utils.prediction.readouts.alignment import AlignmentReadout
from utils.prediction.readouts.neighbours import NeighboursReadout
from utils.prediction.readouts.path import PathReadout
from utils.prediction.readouts.protocol import Readout, ReadoutState
from utils.prediction.readouts.reference import TrainingReference
from utils.registry import READOUTS, code_of

__all__ = [
    "READOUTS",
    "READOUTS_OF_TRAINING_VIDEOS",
    "AlignmentReadout",
    "NeighboursReadout",
    "PathReadout",
    "Readout",
    "ReadoutState",
    "TrainingReference",
    "make_path_readout",
    "make_training_readout",
    "run_readout",
]

READOUTS_OF_TRAINING_VIDEOS = tuple(name for name, choice in READOUTS.items() if choice.of_training_videos)


def make_training_readout(
    name: str, embeddings: Sequence[Tensor | np.ndarray], progress: Sequence[Tensor | np.ndarray]
) -> Readout:
    """A read-out that compares with training videos, thinned to as many frames as it can afford.

    Args:
        name: of READOUTS_OF_TRAINING_VIDEOS.
        embeddings, progress: of the training videos, as for `TrainingReference`.
    """
    made_from = code_of(READOUTS[name])
    return made_from(TrainingReference(embeddings, progress, made_from.most_frames))


def make_path_readout(name: str, normalizer: float) -> Readout:
    """A read-out that needs no training video.

    Args:
        name: of READOUTS, and not of READOUTS_OF_TRAINING_VIDEOS.
        normalizer: mean path length of the training videos.

    Raises:
        ValueError: the normaliser is negative or not finite.
    """
    return code_of(READOUTS[name])(normalizer)


def run_readout(readout: Readout, embedding: Tensor | np.ndarray) -> np.ndarray:
    """Progress of a whole video, frame by frame from the frames so far.

    Args:
        readout: any read-out.
        embedding: (T, D) tensor or array.

    Returns:
        (T,) float64 in [0, 1].
    """
    return readout.start().update(embedding)
