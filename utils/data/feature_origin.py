"""Where the features of a recording come from: a small JSON beside their file, where they were made of a video.

`features/tea_1.npy` and `features/tea_1.origin.json`: with which encoder, at which rate and from which files. Features
without one are of unknown origin, and everything that follows from it is the user's to declare.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from utils.data.json_files import read_json_object
from utils.data.values import is_number, is_whole
from utils.errors import DataError, place, shown
from utils.files import write_json

SUFFIX = ".origin.json"


@dataclass(frozen=True)
class FeatureKind:
    """What the features of recordings must have in common to be used together.

    Attributes:
        encoder: its description, from which it can be made again: 'lite0', 'onnx:model.onnx'.
        encoder_name: everything that decides its values (`ImageEncoder.name`).
        frame_rate: frames/s.
        motion: the second half of a frame's features is their difference to the frame before.
        cameras: names of the cameras whose features are concatenated; () for one that has no name.
    """

    encoder: str
    encoder_name: str
    frame_rate: float
    motion: bool = False
    cameras: tuple[str, ...] = ()

    def words(self) -> str:
        """For messages: 'lite0 224x224 stretch 0e1cc640bc62 at 10 frames/s'."""
        motion = " with motion" if self.motion else ""
        cameras = f" of the cameras {', '.join(self.cameras)}" if self.cameras else ""
        return f"{self.encoder_name}{motion} at {self.frame_rate:g} frames/s{cameras}"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a checkpoint or JSON."""
        return {**asdict(self), "cameras": list(self.cameras)}

    @classmethod
    def of(cls, values: Any) -> FeatureKind:
        """From `to_dict`.

        Raises:
            DataError: it isn't one.
        """
        if not isinstance(values, Mapping):
            raise DataError(f"is {shown(values)}; expected the origin of features")
        found = {key: values.get(key) for key in ("encoder", "encoder_name", "frame_rate", "motion", "cameras")}
        rate, cameras = found["frame_rate"], found["cameras"]
        if not (
            isinstance(found["encoder"], str) and isinstance(found["encoder_name"], str)
            and isinstance(found["motion"], bool) and is_number(rate) and 0 < rate < math.inf
            and isinstance(cameras, (list, tuple)) and all(isinstance(name, str) for name in cameras)
        ):  # fmt: skip
            raise DataError(f"is {shown(found)}; expected encoder, encoder_name, frame_rate > 0, motion and cameras")
        return cls(**{**found, "frame_rate": float(rate), "cameras": tuple(cameras)})

    def same_as(self, other: FeatureKind) -> bool:
        """Whether features of both go together; a description may differ, such as by the path of a file."""
        mine, yours = self.to_dict(), other.to_dict()
        return all(mine[key] == yours[key] for key in mine if key != "encoder")


@dataclass(frozen=True)
class FeatureOrigin:
    """The content of the JSON beside a file of features.

    Attributes:
        kind: what it must have in common with others.
        frames: how many there are.
        sources: of each video: its name, bytes, time of change in nanoseconds, and sha256.
        versions: of the libraries that made it.
    """

    kind: FeatureKind
    frames: int
    sources: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def write(self, features: Path) -> None:
        """Writes it beside a file of features."""
        content = {**self.kind.to_dict(), "frames": self.frames, "sources": [dict(one) for one in self.sources],
                   "versions": dict(self.versions)}  # fmt: skip
        write_json(origin_path(features), content)


def origin_path(features: Path) -> Path:
    """Where the origin of a file of features stands."""
    return features.with_suffix(SUFFIX)


def read_origin(features: Path) -> FeatureOrigin | None:
    """The origin of a file of features; None where nothing is known.

    Raises:
        DataError: the JSON can't be read, or isn't one.
    """
    path = origin_path(features)
    if not path.is_file():
        return None
    content = read_json_object(path)
    try:
        kind = FeatureKind.of(content)
        frames, sources, versions = (content.get(key) for key in ("frames", "sources", "versions"))
        if not (is_whole(frames, 1) and isinstance(sources, list) and isinstance(versions, dict)
                and all(isinstance(one, dict) for one in sources)):  # fmt: skip
            raise DataError("lacks frames, sources or versions; expected what utils.video.extract writes")
    except DataError as error:
        raise DataError(f"{place(path)}{error}") from error
    return FeatureOrigin(kind, frames, tuple(sources), versions)


def common_kind(files: Iterable[Path], problems: list[str]) -> FeatureKind | None:
    """The one kind of files of features; None where no origin is known.

    Args:
        files: files of features.
        problems: appended to where some differ, or a JSON can't be read.
    """
    first: tuple[Path, FeatureKind] | None = None
    without: Path | None = None
    for path in files:
        try:
            origin = read_origin(path)
        except DataError as error:
            problems += error.problems
            continue
        if origin is None:
            without = without or path
        elif first is None:
            first = path, origin.kind
        elif not origin.kind.same_as(first[1]):
            problems.append(
                f"{place(path)}its features are of {origin.kind.words()}; expected {first[1].words()}, as of "
                f"{first[0].name}: extract both again with one encoder and rate"
            )
    if first is not None and without is not None:
        problems.append(
            f"{place(without)}no {origin_path(without).name} says which encoder made these features; expected one, as "
            f"for {first[0].name}: extract it again"
        )
    return first[1] if first else None
