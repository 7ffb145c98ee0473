"""What stored figures and embeddings were made from, so that they are used for nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from configs.settings import SAFE_TO_CHANGE
from utils.data.dataset import VideoData
from utils.errors import DataError

# Parts of the data, by the name that a message gives them.
TRAINING_ANNOTATION = "annotation of the training recordings"  # as the files have it
TRAINING_SEGMENTS = "segments of the training recordings"  # over the frames that are used
FEATURES = "features of the training and validation recordings"


def weights_digest(checkpoint: Mapping[str, Any]) -> str:
    """A digest of the network's weights and of the standardisation of its features."""
    digest = hashlib.sha256()
    for tensors in (checkpoint["model_state_dict"], checkpoint.get("standardization") or {}):
        for name, tensor in sorted(tensors.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def training_data_digests(of_data: Mapping[str, str]) -> dict[str, str]:
    """What embeddings of the training videos depend on, of `VideoData.fingerprint()` or a checkpoint's note of it."""
    names = {TRAINING_SEGMENTS: "train", FEATURES: "features"}
    return {part: of_data[name] for part, name in names.items() if name in of_data}


def evaluated_segments(split: str) -> str:
    """The part that says, task by task, which videos a split has, and their segments: the truth of its figures."""
    return f"segments of the {split} recordings"


def evaluated_data_digests(data: VideoData, split: str) -> dict[str, Any]:
    """What figures of a split depend on."""
    of_split = getattr(data, split).fingerprint()
    return {
        **training_data_digests(data.fingerprint()),
        evaluated_segments(split): {task: digests["segments"] for task, digests in of_split.items()},
        f"features of the {split} recordings": {task: digests["features"] for task, digests in of_split.items()},
    }


@dataclass(frozen=True)
class Fingerprint:
    """All that a stored result follows from, as plain values.

    Attributes:
        weights: digest of the weights and of the standardisation.
        settings: the configuration, without what says only where and how a run is carried out.
        data: digests by the name of the part.
        metrics: what is measured and by which version; empty where nothing is.
    """

    weights: str
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        checkpoint: Mapping[str, Any],
        config: Mapping[str, Any],
        data: Mapping[str, Any],
        metrics: Mapping[str, Any] | None = None,
    ) -> Fingerprint:
        """That of a result.

        Args:
            checkpoint: the content of the file.
            config: its configuration, with what a command changed for this result.
            data, metrics: see the attributes.
        """
        left_out = {*SAFE_TO_CHANGE, "EXPERIMENTNAME"}
        settings = {key: value for key, value in config.items() if key not in left_out}
        # Through JSON, so that it equals what has been read from a file: tuples become lists.
        return cls(weights_digest(checkpoint), json.loads(json.dumps(settings)), dict(data), dict(metrics or {}))

    @classmethod
    def read(cls, stored: Any) -> Fingerprint:
        """That of a file, from its plain values.

        Raises:
            DataError: they are no fingerprint, as in files of a time before there was one.
        """
        groups = ("settings", "data", "metrics")
        if not (
            isinstance(stored, Mapping) and set(stored) == {"weights", *groups} and isinstance(stored["weights"], str)
            and all(isinstance(stored[group], Mapping) for group in groups)
        ):
            raise DataError("does not say what it was made from")
        return cls(**stored)

    def as_description(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)

    def differences(self, other: Fingerprint) -> list[str]:
        """The names of the parts in which the two differ: a setting by its key; empty where they are equal."""
        return [
            *(["weights"] if self.weights != other.weights else []),
            *_different_keys(self.settings, other.settings),
            *_different_keys(self.data, other.data),
            *(["version of the metrics"] if self.metrics != other.metrics else []),
        ]


def _different_keys(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    missing = object()
    return [key for key in dict.fromkeys([*own, *other]) if own.get(key, missing) != other.get(key, missing)]
