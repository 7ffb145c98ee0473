"""What is measured in an evaluation: the trained network, what it competes with, and of which kind each one is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, UNTRAINED_NETWORKS
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS
from utils.registry import AUTO

CONSTANT, INDEX, CLOCK, SHARE_OF_TIME = "constant 0.5", "mean truth at index", "clock", "t / T"
RANDOM_NEIGHBOURS, MOST_FREQUENT, CHANCE = "random neighbours", "most frequent action", "chance"
EQUAL_PARTS, RANDOM_CLUSTERS = "equal parts", "random clusters"


class Kind(str, Enum):
    """What kind of thing is measured.

    NAIVE: guesses that see no features. RAW: the features themselves, the input of the network.
    """

    TRAINED = "trained"
    NAIVE = "naive"
    RAW = "raw"
    UNTRAINED = "untrained"


class Variant(NamedTuple):
    """One row of an evaluation.

    Attributes:
        name: as it stands in tables and files.
        kind: see `Kind`.
        readout: what reads progress from the embedding, where it is compared with training videos; '' for the path,
            and where a metric judges the embedding itself. AUTO is what cross-validation chose for the checkpoint.
    """

    name: str
    kind: Kind
    readout: str = ""


def row_name(source: str, readout: str = "") -> str:
    """The row of a network's or the raw features' read-out: those of the trained network carry their own name alone."""
    if not readout:
        return source
    return readout if source == TRAINED else f"{readout}, {source}"


_READOUTS = ("", *READOUTS_OF_TRAINING_VIDEOS)
_SOURCES = ((TRAINED, Kind.TRAINED), (UNTRAINED, Kind.UNTRAINED), (RAW, Kind.RAW))
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            *(Variant(row_name(source, r), kind, r) for (source, kind), r in product(_SOURCES, _READOUTS)),
            Variant(AUTO, Kind.TRAINED, AUTO),
            *(
                Variant(name, Kind.NAIVE)
                for name in (
                    CONSTANT, INDEX, CLOCK, SHARE_OF_TIME, RANDOM_NEIGHBOURS, MOST_FREQUENT, CHANCE, EQUAL_PARTS,
                    RANDOM_CLUSTERS,
                )
            ),
        )
    }
)
# The row that the figures of one untrained network belong to.
ROW_OF_SEED: Mapping[str, str] = MappingProxyType(
    {row_name(network, r): row_name(UNTRAINED, r) for network, r in product(UNTRAINED_NETWORKS, _READOUTS)}
)
