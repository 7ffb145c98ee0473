"""The settings for loading a data set, checked and in one place."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.data.annotation import AnnotationReading, handle_problem
from utils.data.features import FEATURE_RANK, MAP_RANK, FeatureFormat
from utils.data.values import is_whole
from utils.errors import DataError, shown
from utils.registry import INTEGER_LABELS, LAYOUTS, SCALINGS, SEGMENT_ENDS, UNLABELLED_TAILS, reads_maps

MAPS_FOLDER = "frames"
# What a configuration means that was stored before these settings existed.
DEFAULTS = {
    "FEATURE_LAYOUT": "frames_first", "FEATURES_FOLDER": "features", "MAX_FRAMES": 0, "SEGMENT_ENDS": "majority",
    "UNLABELLED_TAIL": "refuse", "INTEGER_LABELS": "take", "FEATURES_KEY": "", "FRAME_RATE": 0.0, "LABELS": True,
}  # fmt: skip


@dataclass(frozen=True)
class DataSettings:
    """The settings of a configuration on which the data depends; see `configs.generic_config` for each.

    Args:
        annotation_path: the annotation file.
        split_path: where a split.json may be.
        features_folder: the folder of the feature files (of the maps, for an encoder that reads maps).
        file_format: layout of these files, and SKIP_RATE.
        max_frames: frames of a training video in an epoch, 0 for all.
        frame_rate: of the features, frames/s; 0 where the configuration doesn't say.
        reading: how the annotation is read.
        tasks, scaling, tail, standardize, train_split, validation_fraction, lazy, seed: TASKS, ANNOTATION_SCALING,
            UNLABELLED_TAIL, STANDARDIZE, TRAIN_SPLIT, VALIDATION_FRACTION, LAZY_LOAD and SEED.
    """

    annotation_path: Path
    split_path: Path
    features_folder: Path
    file_format: FeatureFormat
    max_frames: int
    frame_rate: float
    tasks: tuple[str, ...]
    reading: AnnotationReading
    scaling: str
    tail: str
    standardize: bool
    train_split: tuple[float, float]
    validation_fraction: float
    lazy: bool
    seed: int


def read_data_settings(config: Mapping[str, Any]) -> DataSettings:
    """The settings of a configuration.

    FEATURES_FOLDER is relative to the data set's folder, unless it is absolute. The user sets it, so it may be any
    folder. The handles come from the data set's files and may not leave this folder (see `handle_problem`).

    Raises:
        DataError: with every setting that is missing or invalid.
    """
    problems: list[str] = []

    def setting(key: str, accepts: Callable[[Any], bool], expected: str) -> Any:
        value = config.get(key, DEFAULTS.get(key))
        try:
            accepted = accepts(value)
        except (TypeError, ValueError):
            accepted = False
        if not accepted:
            problems.append(f"{key} is {shown(value)}; expected {expected}")
        return value

    name = setting("DATASET_NAME", lambda value: handle_problem(value) is None, "a plain folder name")
    root = setting("DATASET_PATH", _is_path, "a folder")
    features = setting("FEATURES_FOLDER", _is_path, "a folder")
    key = setting("FEATURES_KEY", lambda value: isinstance(value, str), "the name of an array, or ''")
    skip_rate = setting("SKIP_RATE", lambda value: is_whole(value, 1), "a whole number >= 1")
    max_frames = setting(
        "MAX_FRAMES", lambda value: is_whole(value) and value != 1, "0 (all) or 2 or more"
    )
    frame_rate = setting("FRAME_RATE", lambda value: 0 <= value < math.inf, "0 (not known) or more")
    seed = setting("SEED", is_whole, "a whole number >= 0")
    scaling = setting("ANNOTATION_SCALING", lambda value: value in SCALINGS, _one_of(SCALINGS))
    tail = setting("UNLABELLED_TAIL", lambda value: value in UNLABELLED_TAILS, _one_of(UNLABELLED_TAILS))
    segment_ends = setting("SEGMENT_ENDS", lambda value: value in SEGMENT_ENDS, _one_of(SEGMENT_ENDS))
    labels = setting("LABELS", lambda value: isinstance(value, bool), "True or False")
    integer_labels = setting("INTEGER_LABELS", lambda value: value in INTEGER_LABELS, _one_of(INTEGER_LABELS))
    shares = setting(
        "TRAIN_SPLIT",
        lambda value: len(value) == 2 and all(0 <= share <= 1 for share in value),
        "two shares in [0, 1]",
    )
    fraction = setting("VALIDATION_FRACTION", lambda value: 0 <= value < 1, "a share in [0, 1)")
    maps = reads_maps(config)
    layout = setting(
        "FEATURE_LAYOUT",
        lambda value: value in (LAYOUTS[:1] if maps else LAYOUTS),
        f"{LAYOUTS[0]!r}, as maps always are" if maps else _one_of(LAYOUTS),
    )
    if problems:
        raise DataError(problems)

    folder = Path(root) / name
    return DataSettings(
        annotation_path=folder / f"{name}.json",
        split_path=folder / "split.json",
        features_folder=folder / (MAPS_FOLDER if maps else features),
        file_format=FeatureFormat(
            rank=MAP_RANK if maps else FEATURE_RANK,
            features_first=layout == "features_first",
            skip_rate=skip_rate,
            key=key,
        ),
        max_frames=max_frames,
        frame_rate=float(frame_rate),
        tasks=_names(config["TASKS"]),
        reading=AnnotationReading(
            frozenset(_names(config["BACKGROUND_LABELS"])), segment_ends, integer_labels, labels
        ),
        scaling=scaling,
        tail=tail,
        standardize=bool(config["STANDARDIZE"]),
        train_split=tuple(shares),
        validation_fraction=fraction,
        lazy=bool(config["LAZY_LOAD"]),
        seed=seed,
    )


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and bool(os.fspath(value)) and "\0" not in os.fspath(value)


def _one_of(values: tuple[str, ...]) -> str:
    return " or ".join(map(repr, values))
