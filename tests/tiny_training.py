"""Trainings of a fraction of a second: recordings of a dozen frames, small networks, all in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import multitask_train
from configs.settings import Settings
from configs.validation import complete_config, validate_config
from models.alignment_training_loop import AlignmentTraining
from models.build_model import build_model
from tests.utils.data.builders import entry, write_annotation, write_features
from utils.data.dataset import load_data
from utils.training.interruption import StopRequest
from utils.training.reproducibility import choose_device, seed_everything

LOSSES = ("GTCC", "tcc", "LAV", "VAVA", "VAOT")
LABELS = ("SIL", "cut", "Null", "mix", "pour")
WIDTH = 4


def only(loss: str) -> dict[str, bool]:
    """The settings that turn on this loss alone."""
    return {f"LOSS_TYPE.{name}": name == loss for name in LOSSES}


SMALL = {
    "DATASET_NAME": "tiny", "TASKS": ("brew",), "DEVICE": "cpu", "NUM_EPOCHS": 3, "LEARNING_RATE": 1e-2,
    "OUTPUT_DIMENSIONALITY": 5,
    "BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels": 6, "BASEARCH.TEMPORAL_STACKING_ARCH.num_layers": 2,
    "BASEARCH.NAIVE_ARCH.layers": (6,), "BASEARCH.Resnet50_ARCH.conv_num_channels": 3,
    "BASEARCH.Resnet50_ARCH.fc_layers": (6,), "ARCHITECTURE.num_heads": 2, "ARCHITECTURE.head_layers": (6,),
    "ARCHITECTURE.attn_layers": (6,), "ARCHITECTURE.drop_layers": (6,), "GTCC_PARAMS.n_components": 4,
    "GTCC_PARAMS.anchors_per_video": 6, **only("tcc"),
    "FIT_PROGRESS": False,  # takes longer than the training; tests/test_fit_progress.py turns it on
}  # fmt: skip


def flat(group: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every single setting of a configuration, by its dotted key."""
    for key, value in group.items():
        if hasattr(value, "items"):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def small_config(*settings: Mapping[str, Any]) -> Settings:
    """The defaults, the small sizes, and these settings by their dotted keys, later ones before earlier; validated."""
    config = complete_config({})
    for key, value in (pair for part in (SMALL, *settings) for pair in part.items()):
        *groups, name = key.split(".")
        group = config
        for each in groups:
            group = group[each]
        group[name] = value
    validate_config(config)
    return config


def write_recordings(
    folder: Path, lengths: Mapping[str, Sequence[int]], *, seed: int = 0, width: int = WIDTH,
    split: Mapping[str, Sequence[str]] | None = None, annotated_more: int = 2,
) -> None:
    """A data set with two kinds of features and with maps, as different from each other as the seeds are.

    Args:
        folder: of the data set.
        lengths: frames of each video, by task; the videos are called `<task>_<number>`.
        seed: of all values.
        width: of the features.
        split: content of split.json.
        annotated_more: how many more frames are annotated than there are.
    """
    generator = np.random.default_rng(seed)
    tasks = {}
    for task, frames_of_videos in lengths.items():
        videos = []
        for number, frames in enumerate(frames_of_videos):
            handle = f"{task}_{number}"
            inner = 1 + generator.choice(frames - 1, len(LABELS) - 1, replace=False)
            starts = [0, *sorted(inner.tolist())]
            videos.append((handle, list(LABELS), starts, [*starts[1:], frames - 1 + annotated_more]))
            for kind, shape in (("features", (width,)), ("other_features", (width,)), ("frames", (2, 2, 2))):
                values = 0.5 * generator.normal(size=(frames, *shape)).cumsum(axis=0)
                write_features(folder, handle, values.astype(np.float32), kind)
        tasks[task] = entry(*videos)
    write_annotation(folder, tasks)
    if split is not None:
        (folder / "split.json").write_text(json.dumps(split))


def make_training(config: Settings, run: Path) -> AlignmentTraining:
    """The training of a configuration, as the command makes it."""
    (run / "ckpt").mkdir(parents=True, exist_ok=True)
    data = load_data(config.to_dict())
    seed_everything(config.SEED)
    device = choose_device(config.DEVICE)
    model = build_model(config.to_dict(), data.feature_width, len(data.train.tasks)).to(device)
    return AlignmentTraining(model, data, config, run, device)


def weights_after_an_epoch(config: Settings, run: Path) -> dict[str, Tensor]:
    """The weights after the steps of the second of the epochs, in which every schedule is under way."""
    training = make_training(config, run)
    training.state.epoch = 1
    with StopRequest() as stop:
        training._run_training_steps(stop)
    return {name: weight.detach().cpu().clone() for name, weight in training.model.named_parameters()}


def train(config: Settings, folder: Path) -> Path:
    """Runs the training command on an experiment file with this configuration; returns the run's folder."""
    experiment = folder / "experiment.py"
    experiment.write_text(f"def get_config():\n    return {config.to_dict()!r}\n")
    assert multitask_train.main(["multitask_train.py", "--config", str(experiment)]) == 0
    return max((Path(config.OUTPUT_FOLDER) / config.EXPERIMENTNAME).glob("run-*"))


def one_pixel(rows: Any, path: Path, *settings: Any) -> None:
    """Stands in for the loss curves, which take longer to draw than these trainings."""
    Image.new("RGB", (1, 1)).save(path)


def equal(one: Any, other: Any) -> bool:
    """Whether two values, tensors among them at any depth, are the same to the last bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other
