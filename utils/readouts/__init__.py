"""Ways to read progress from an embedding, each causal and chosen by name."""

from __future__ import annotations

from utils.readouts.alignment import AlignmentReadout
from utils.readouts.neighbours import NeighboursReadout
from utils.readouts.path import PathReadout
from utils.readouts.protocol import Readout, ReadoutState
from utils.readouts.reference import TrainingReference

__all__ = [
    "READOUTS",
    "READOUTS_OF_TRAINING_VIDEOS",
    "AlignmentReadout",
    "NeighboursReadout",
    "PathReadout",
    "Readout",
    "ReadoutState",
    "TrainingReference",
    "run_readout",
]

# Those that compare with training videos are made from a `TrainingReference`, 'path' from a normaliser.
READOUTS_OF_TRAINING_VIDEOS: dict[str, type[NeighboursReadout] | type[AlignmentReadout]] = {
    "neighbours": NeighboursReadout,
    "alignment": AlignmentReadout,
}
READOUTS = ("path", *READOUTS_OF_TRAINING_VIDEOS)


def run_readout(readout: Readout, embedding):
    """Progress of a whole video, frame by frame from the frames so far.

    Args:
        readout: any read-out.
        embedding: (T, D) tensor or array.

    Returns:
        (T,) float64 in [0, 1].
    """
    return readout.start().update(embedding)
