"""Small data sets on disk, and what must hold of every time_dict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def entry(*videos: tuple[str, list, list, list]) -> dict[str, list]:
    """One task of an annotation file from (handle, actions, starts, ends)."""
    keys = ("handles", "hdl_actions", "hdl_start_times", "hdl_end_times")
    return {key: [video[position] for video in videos] for position, key in enumerate(keys)}


def simple_video(handle: str, frames: int = 10) -> tuple[str, list, list, list]:
    """Half open with an inclusive last end: four frames 'cut', the others 'mix'."""
    return handle, ["cut", "mix"], [0, 4], [4, frames - 1]


def write_annotation(folder: Path, content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{folder.name}.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def write_features(folder: Path, handle: str, array: np.ndarray, kind: str = "features") -> Path:
    path = folder / kind / f"{handle}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def features_of(handle: str, frames: int = 10, width: int = 3) -> np.ndarray:
    """Features that differ from video to video."""
    generator = np.random.default_rng(list(handle.encode()))
    return generator.normal(size=(frames, width)).astype(np.float32)


def write_folder(
    folder: Path, tasks: dict[str, list[str]], frames: int = 10, split: dict | None = None
) -> None:
    """A whole data set of simple videos: annotation, features, and split.json where given."""
    write_annotation(
        folder,
        {
            task: entry(*(simple_video(handle, frames) for handle in handles))
            for task, handles in tasks.items()
        },
    )
    for handles in tasks.values():
        for handle in handles:
            write_features(folder, handle, features_of(handle, frames))
    if split is not None:
        (folder / "split.json").write_text(json.dumps(split))


def config_for(folder: Path, **overrides: Any) -> dict[str, Any]:
    return {
        "DATASET_PATH": str(folder.parent),
        "DATASET_NAME": folder.name,
        "TASKS": (),
        "BACKGROUND_LABELS": ("SIL", "background", "0", "Null", "G0"),
        "ANNOTATION_SCALING": "none",
        "SKIP_RATE": 1,
        "STANDARDIZE": False,
        "TRAIN_SPLIT": (0.5, 0.5),
        "VALIDATION_FRACTION": 0.15,
        "LAZY_LOAD": True,
        "SEED": 0,
        "BASEARCH": {"ARCHITECTURE": "temporal_stacking"},
        **overrides,
    }


def assert_valid(time_dict: dict[str, Any], number_of_frames: int | None = None) -> None:
    """The invariants of a time_dict."""
    steps, starts, ends = time_dict["step"], time_dict["start_frame"], time_dict["end_frame"]
    assert len(steps) == len(starts) == len(ends) >= 1
    assert starts[0] == 0
    assert all(type(frame) is int for frame in starts + ends)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    assert all(start == end + 1 for start, end in zip(starts[1:], ends, strict=False))
    assert all(isinstance(step, str) and step for step in steps)
    assert not {"background", "0", "Null", "G0"} & set(steps)
    if number_of_frames is not None:
        assert ends[-1] == number_of_frames - 1


def labels_of_frames(time_dict: dict[str, Any]) -> list[str]:
    """The label of every frame."""
    return [
        step
        for step, start, end in zip(
            time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True
        )
        for _ in range(start, end + 1)
    ]
