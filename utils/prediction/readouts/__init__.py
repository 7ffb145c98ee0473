"""Ways to read progress from an embedding, each causal and chosen by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from utils.prediction.readouts.alignment import AlignmentReadout
from utils.prediction.readouts.neighbours import NeighboursReadout
from utils.prediction.readouts.path import PathReadout
from utils.prediction.readouts.protocol import Readout, ReadoutState
from utils.prediction.readouts.reference import TrainingReference

__all__ = [
    "READOUTS",
    "READOUTS_OF_TRAINING_VIDEOS",
    "AlignmentReadout",
    "NeighboursReadout",
    "PathReadout",
    "Readout",
    "ReadoutState",
    "TrainingReference",
    "make_training_readout",
    "run_readout",
]

# Those that compare with training videos are made from a `TrainingReference`, 'path' from a normaliser.
READOUTS_OF_TRAINING_VIDEOS: dict[str, type[NeighboursReadout] | type[AlignmentReadout]] = {
    "neighbours": NeighboursReadout,
    "alignment": AlignmentReadout,
}
READOUTS = ("path", *READOUTS_OF_TRAINING_VIDEOS)


def make_training_readout(
    name: str, embeddings: Sequence[Tensor | np.ndarray], progress: Sequence[Tensor | np.ndarray]
) -> Readout:
    """A read-out that compares with training videos, thinned to as many frames as it can afford.

    Args:
        name: of READOUTS_OF_TRAINING_VIDEOS.
        embeddings, progress: of the training videos, as for `TrainingReference`.
    """
    make = READOUTS_OF_TRAINING_VIDEOS[name]
    return make(TrainingReference(embeddings, progress, make.most_frames))


def run_readout(readout: Readout, embedding: Tensor | np.ndarray) -> np.ndarray:
    """Progress of a whole video, frame by frame from the frames so far.

    Args:
        readout: any read-out.
        embedding: (T, D) tensor or array.

    Returns:
        (T,) float64 in [0, 1].
    """
    return readout.start().update(embedding)
