"""Every setting changes what it says it changes.

A new setting fails `test_every_setting_is_known_here` until it has a line in `CHANGES`, with another value and what
that value must change, or in `CHANGES_NO_RESULT`, with the reason.
"""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import models.alignment_training_loop as loop
from configs.generic_config import get_generic_config
from configs.settings import SAFE_TO_CHANGE, Settings
from tests.tiny_training import (
    LOSSES,
    equal,
    flat,
    make_training,
    one_pixel,
    only,
    small_config,
    train,
    weights_after_an_epoch,
    write_recordings,
)
from tests.utils.data.builders import entry, write_annotation
from tests.utils.video.filmed import write_filmed
from utils.ckpt_save import load_checkpoint
from utils.data.dataset import load_data
from utils.errors import ConfigError, DataError, TrainingDiverged
from utils.prediction import progress_files
from utils.prediction.progress import of_embedding
from utils.prediction.progress.candidates import fit_candidates
from utils.prediction.progress.cross_validation import cross_validate
from utils.prediction.progress.files import load_models
from utils.training.reproducibility import choose_device
from utils.video.data_set import make_missing_features


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two folders of data sets: 'here' and, of the same names and other values, 'there'."""
    root = tmp_path_factory.mktemp("data")
    for seed, place in enumerate(("here", "there")):
        lengths = {"brew": (12, 15, 11, 14, 16, 13), "fold": (11, 12, 15, 13)}
        write_recordings(root / place / "tiny", lengths, seed=seed)
        handles = [f"brew_{number}" for number in range(6)]
        listed = {"train": handles[:5], "test": handles[5:]}
        write_recordings(root / place / "listed", {"brew": lengths["brew"]}, seed=seed, split=listed)
        # As many frames as features: a file that can be read either way.
        write_recordings(root / place / "square", {"brew": (12,) * 6}, seed=seed, width=12)
        # No boundary shows a convention of ends, two frames follow the last segment, and one label is a number.
        write_recordings(root / place / "odd", {"brew": (12,) * 6}, seed=seed)
        write_recordings(root / place / "archives", {"brew": (12,) * 6}, seed=seed)
        for path in (root / place / "archives" / "features").iterdir():
            np.savez(path.with_suffix(".npz"), features=np.load(path), pose=np.load(path) * 2)
            path.unlink()
        filmed = write_filmed(root / place / "filmed", lengths=(4 + seed, 5))
        for inner in ("videos/left", "other_videos"):  # the videos of the other names
            (filmed / inner).mkdir()
            for number in range(2):
                shutil.copy(filmed / "videos" / f"tea_{1 - number}.mp4", filmed / inner / f"tea_{number}.mp4")
        videos = [(f"brew_{number}", ["cut", 7], [0, 6], [4, 9]) for number in range(6)]
        write_annotation(root / place / "odd", {"brew": entry(*videos)})
    return root


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr("utils.training.log.plot_loss_curves", one_pixel)


def weights(config: Settings, folder: Path) -> Any:
    """The weights after some steps."""
    return weights_after_an_epoch(config, folder / "run")


def recordings(config: Settings, folder: Path) -> Any:
    """What is loaded: the videos of every split, their segments and features, and what an epoch takes of them."""
    data = load_data(config.to_dict())
    splits = {
        name: [(video.task, video.handle, time_dict, features)
               for video, (features, time_dict) in zip(split.videos, split, strict=True)]
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test))
    }
    in_epoch = data.train.in_epoch(1)
    return splits, [in_epoch[index] for index in range(len(data.train))]


def features_of_videos(config: Settings, folder: Path) -> Any:
    """What is made of videos, in a copy of the data set, because it is kept there."""
    data_set = folder / "data" / config.DATASET_NAME
    shutil.copytree(Path(config.DATASET_PATH) / config.DATASET_NAME, data_set)
    make_missing_features({**config.to_dict(), "DATASET_PATH": str(folder / "data")})
    return [torch.from_numpy(np.load(path)) for path in sorted((data_set / config.FEATURES_FOLDER).glob("*.npy"))]


def recordings_or_refusal(config: Settings, folder: Path) -> Any:
    """What is loaded, or why nothing is."""
    try:
        return recordings(config, folder)
    except DataError as error:
        return str(error)


def batches(config: Settings, folder: Path) -> Any:
    """Which videos come together, in which order, in two epochs."""
    sampler = make_training(config, folder / "run").sampler
    drawn = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        drawn.append(list(sampler))
    return drawn


def files(config: Settings, folder: Path) -> Any:
    """The files that the command writes."""
    train(config, folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def folders(config: Settings, folder: Path) -> Any:
    """The folders that the command writes into."""
    train(config, folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir())


def epochs(config: Settings, folder: Path) -> Any:
    """The epochs in the log."""
    with open(train(config, folder) / "metrics.csv", newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def steps_before_giving_up(config: Settings, folder: Path) -> Any:
    """How many steps without a finite loss a run takes."""

    def without_a_loss(*arguments, **settings):
        return lambda outputs, *rest, **more: {"total_loss": outputs["outputs"][0].sum() * math.nan}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "get_loss_function", without_a_loss)
        with pytest.raises(TrainingDiverged):
            train(config, folder)
    (last,) = folder.rglob("last.pt")
    return load_checkpoint(last)["training_state"]["bad_steps"]


def progress_models(config: Settings, folder: Path) -> Any:
    """The progress models of a run, by their files, and the frame rate that each answers by."""
    with pytest.MonkeyPatch.context() as patch:  # the read-outs that are fitted fastest
        patch.setattr(progress_files, "cross_validate", partial(cross_validate, names=("path",)))
        patch.setattr(of_embedding, "fit_candidates", partial(fit_candidates, names=("path",)))
        run = train(config, folder)
    return [
        (path.name, [model.frame_rate for model in load_models(path)[0].values()])
        for path in sorted(run.rglob("*.progress.pt"))
    ]


@dataclass(frozen=True)
class Change:
    """A setting's other value, what it must change, and the settings under which it counts at all."""

    value: Any
    observed: Callable[[Settings, Path], Any] = weights
    under: Mapping[str, Any] = field(default_factory=dict)


def under_loss(loss: str, **values: Any) -> dict[str, Change]:
    groups = {"tcc": "TCC_ORIGINAL_PARAMS"}
    group = groups.get(loss, f"{loss}_PARAMS")
    return {f"{group}.{name}": Change(value, under=only(loss)) for name, value in values.items()}


ODD = {"DATASET_NAME": "odd", "INTEGER_LABELS": "take"}
FILMED = {"DATASET_NAME": "filmed", "TASKS": (), "ENCODER": "pixels,size=2"}
RESNET = {"BASEARCH.ARCHITECTURE": "resnet50"}
PROGRESS = {"PROGRESS_LOSS.enabled": True, "PROGRESS_LOSS.frames": "all"}
CURRICULUM = {**PROGRESS, "PROGRESS_LOSS.lambda_curriculum.enabled": True}
CONTRAST = {**only("VAOT"), "VAOT_PARAMS.intra_weight": 1.0}
ENCODER = "BASEARCH.TEMPORAL_STACKING_ARCH"

CHANGES: dict[str, Change] = {
    "EXPERIMENTNAME": Change("another", files),
    "OUTPUT_FOLDER": Change("elsewhere", files),
    "SEED": Change(1, batches),
    "LABELS": Change(False, recordings),
    "PRECISION": Change("bfloat16"),
    "DATASET_NAME": Change("square", recordings),
    "DATASET_PATH": Change("there", recordings),
    "TASKS": Change(("fold",), recordings),
    "BACKGROUND_LABELS": Change(("SIL", "cut"), recordings),
    "ANNOTATION_SCALING": Change("proportional", recordings),
    "INTEGER_LABELS": Change("take", recordings_or_refusal, {"DATASET_NAME": "odd"}),
    "SEGMENT_ENDS": Change("inclusive", recordings, ODD),
    "UNLABELLED_TAIL": Change("background", recordings, ODD),
    "SKIP_RATE": Change(2, recordings),
    "FRAME_RATE": Change(5.0, progress_models, {"FIT_PROGRESS": True}),
    "MAX_FRAMES": Change(8, recordings),
    "STANDARDIZE": Change(True, recordings),
    "TRAIN_SPLIT": Change((0.34, 0.5), recordings),
    "VALIDATION_FRACTION": Change(0.4, recordings, {"DATASET_NAME": "listed"}),
    "FEATURE_LAYOUT": Change("features_first", recordings, {"DATASET_NAME": "square"}),
    "FEATURES_FOLDER": Change("other_features", recordings),
    "VIDEOS_FOLDER": Change("other_videos", features_of_videos, FILMED),
    "ENCODER": Change("pixels,size=3", features_of_videos, FILMED),
    "MOTION": Change(True, features_of_videos, {**FILMED, "ENCODER": "lite0"}),
    "CAMERAS": Change(("left",), features_of_videos, FILMED),
    "FEATURES_KEY": Change("pose", recordings, {"DATASET_NAME": "archives"}),
    "BATCH_SIZE": Change(4, batches),
    "NUM_EPOCHS": Change(2, epochs),
    "LEARNING_RATE": Change(1e-3),
    "WEIGHT_DECAY": Change(0.1),
    "MAX_GRAD_NORM": Change(1e-3),
    "MAX_BAD_STEPS": Change(3, steps_before_giving_up, {"MAX_BAD_STEPS": 2}),
    "CKPT_EVERY": Change(2, files),
    "TENSORBOARD": Change(True, folders),
    "FIT_PROGRESS": Change(True, progress_models),
    "OUTPUT_DIMENSIONALITY": Change(7),
    "CAUSAL": Change(True),
    "BASEARCH.ARCHITECTURE": Change("naive"),
    "BASEARCH.Resnet50_ARCH.temporal_depth": Change(3, under=RESNET),
    "BASEARCH.Resnet50_ARCH.conv_num_channels": Change(4, under=RESNET),
    "BASEARCH.Resnet50_ARCH.fc_layers": Change((6, 6), under=RESNET),
    "BASEARCH.Resnet50_ARCH.variant": Change("original", under=RESNET),
    f"{ENCODER}.temporal_depth": Change(3),
    f"{ENCODER}.conv_num_channels": Change(7),
    f"{ENCODER}.num_layers": Change(3),
    f"{ENCODER}.hidden_channels": Change((7, 6)),
    "BASEARCH.NAIVE_ARCH.layers": Change((7,), under={"BASEARCH.ARCHITECTURE": "naive"}),
    "ARCHITECTURE.skip": Change(False),
    "ARCHITECTURE.skip_means": Change((2,)),
    "ARCHITECTURE.MCN": Change(False),
    "ARCHITECTURE.num_heads": Change(3),
    "ARCHITECTURE.head_layers": Change((6, 6)),
    "ARCHITECTURE.attn_layers": Change((6, 6)),
    "ARCHITECTURE.attention_layout": Change("interleaved"),
    "ARCHITECTURE.dropping": Change(False),
    "ARCHITECTURE.drop_layers": Change((7,)),
    "LOSS_TYPE.GTCC": Change(True),
    "LOSS_TYPE.tcc": Change(True, under=only("LAV")),
    "LOSS_TYPE.LAV": Change(True),
    "LOSS_TYPE.VAVA": Change(True),
    "LOSS_TYPE.VAOT": Change(True),
    **under_loss("tcc", softmax_temp=0.3, alignment_variance=0.1, similarity="euclidean", normalization="none"),
    **under_loss(
        "GTCC", softmax_temp=0.3, max_gmm_iters=2, n_components=2, delta=0.5, gamma=0.5, alignment_variance=0.1,
        anchors_per_video=3, soft_neighbours="components", similarity="euclidean", normalization="none",
    ),
    "GTCC_PARAMS.reciprocal": Change("chance", under={**only("GTCC"), "GTCC_PARAMS.gamma": 0.5}),
    **under_loss(
        "LAV", min_temp=0.5, alpha=0.3, margin=0.5, window=0.3, similarity="euclidean", trust=0.0, normalization="none",
    ),
    **under_loss(
        "VAVA", zeta=0.05, regularization=0.3, prior_width=0.3, consistency_decay=0.2, intra_weight=0.3,
        inter_weight=0.3, margin=0.5, window=0.3, inter_margin=0.1, iterations=2, similarity="euclidean",
        normalization="none",
    ),
    **under_loss(
        "VAOT", softmax_temp=0.3, structure_weight=0.6, radius=0.3, order_weight=1.0, zeta=0.1, regularization=0.3,
        iterations=2, intra_weight=0.3, similarity="euclidean", normalization="none",
    ),
    "VAOT_PARAMS.margin": Change(0.5, under=CONTRAST),
    "VAOT_PARAMS.window": Change(0.3, under=CONTRAST),
    "PROGRESS_LOSS.enabled": Change(True),
    "PROGRESS_LOSS.level": Change("action", under=PROGRESS),
    "PROGRESS_LOSS.frames": Change("single", under=PROGRESS),
    "PROGRESS_LOSS.normalizer": Change("training", under=PROGRESS),
    "PROGRESS_LOSS.lambda_fixed": Change(5.0, under=PROGRESS),
    "PROGRESS_LOSS.lambda_curriculum.enabled": Change(True, under=PROGRESS),
    "PROGRESS_LOSS.lambda_curriculum.start": Change(0.5, under=CURRICULUM),
    "PROGRESS_LOSS.lambda_curriculum.end": Change(9.0, under=CURRICULUM),
}  # fmt: skip

CHANGES_NO_RESULT: dict[str, tuple[Any, Mapping[str, Any], str]] = {
    "DEVICE": ("auto", {}, "where it is computed"),
    "NUM_WORKERS": (1, {}, "how many processes read the features"),
    "LAZY_LOAD": (False, {"MAX_FRAMES": 8}, "when the features are read"),
    "BASEARCH.Resnet50_ARCH.frames_per_chunk": (4, RESNET, "how many frames are convolved at once"),
}


def test_every_setting_is_known_here():
    known, there = {*CHANGES, *CHANGES_NO_RESULT}, dict(flat(get_generic_config()))
    assert known == there.keys(), "a new setting needs a line in CHANGES or CHANGES_NO_RESULT, an old one has one left"
    assert not CHANGES.keys() & CHANGES_NO_RESULT.keys()


@pytest.fixture(scope="module")
def observe(root, tmp_path_factory):
    """What a configuration leads to; once for each."""
    found: dict[Any, Any] = {}

    def once(observed: Callable[[Settings, Path], Any], settings: Mapping[str, Any]) -> Any:
        folder = tmp_path_factory.mktemp("observed")
        config = small_config(settings)
        config.DATASET_PATH = str(root / config.DATASET_PATH)
        config.OUTPUT_FOLDER = str(folder / config.OUTPUT_FOLDER)
        return observed(config, folder)

    def observe(observed: Callable[[Settings, Path], Any], settings: Mapping[str, Any]) -> Any:
        settings = {"DATASET_PATH": "here", **settings}
        key = (observed, repr(sorted(settings.items())))
        if key not in found:
            found[key] = once(observed, settings)
        return found[key]

    return observe


@pytest.mark.parametrize("key", CHANGES)
def test_another_value_changes_what_it_should(observe, key):
    change = CHANGES[key]
    before = dict(flat(small_config(change.under)))[key]
    assert change.value != before, "the other value is the same value"
    with_default = observe(change.observed, change.under)
    assert not equal(with_default, observe(change.observed, {**change.under, key: change.value}))


@pytest.mark.parametrize("key", CHANGES_NO_RESULT)
def test_what_only_says_how_to_compute_changes_no_result(observe, key):
    value, under, _ = CHANGES_NO_RESULT[key]
    assert value != dict(flat(small_config(under)))[key]
    # Another order of additions rounds otherwise, as does another device.
    torch.testing.assert_close(observe(weights, under), observe(weights, {**under, key: value}), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["cuda:99", "cuda:256", "cuda:999"])
def test_a_device_that_is_not_there_is_refused(name):
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match=f"DEVICE is '{name}'"):
        choose_device(name)


def test_what_a_resumed_run_may_change_leaves_the_weights_alone(observe):
    others = {key: CHANGES_NO_RESULT[key][0] for key in SAFE_TO_CHANGE if key in CHANGES_NO_RESULT}
    # These decide where the data lie and how long lambda's schedule is.
    about_data = {"DATASET_PATH", "FEATURES_FOLDER", "NUM_EPOCHS"}
    others |= {key: CHANGES[key].value for key in SAFE_TO_CHANGE if key in CHANGES and key not in about_data}
    assert len(others) == len(SAFE_TO_CHANGE) - len(about_data)
    assert equal(observe(weights, {}), observe(weights, others))


def all_of(*prefixes: str) -> dict[str, Any]:
    """The other value of every setting that begins with one of these."""
    return {key: change.value for key, change in CHANGES.items() if key.startswith(prefixes)}


PARAMETERS = {"GTCC": "GTCC_PARAMS.", "tcc": "TCC_ORIGINAL_PARAMS.", "LAV": "LAV_PARAMS.", "VAVA": "VAVA_PARAMS.",
              "VAOT": "VAOT_PARAMS."}
TURNED_OFF = {
    **{f"the other losses than {loss}": (only(loss), all_of(*(PARAMETERS[other] for other in LOSSES if other != loss)))
       for loss in LOSSES},
    "the other encoders": ({}, all_of("BASEARCH.Resnet50_ARCH.", "BASEARCH.NAIVE_ARCH.")),
    "the crosstask network": (
        {"ARCHITECTURE.MCN": False},
        all_of(*(f"ARCHITECTURE.{name}" for name in ("num_heads", "head_layers", "attn_layers", "attention_layout"))),
    ),
    "the balance, where no frame is dropped": (only("GTCC"), all_of("GTCC_PARAMS.reciprocal")),
    "the means of the skip projection": ({"ARCHITECTURE.skip": False}, all_of("ARCHITECTURE.skip_means")),
    "the drop network": ({"ARCHITECTURE.dropping": False}, all_of("ARCHITECTURE.drop_layers")),
    "the progress term": (
        {}, {key: value for key, value in all_of("PROGRESS_LOSS.").items() if key != "PROGRESS_LOSS.enabled"},
    ),
    "the curriculum": (PROGRESS, all_of(*(f"PROGRESS_LOSS.lambda_curriculum.{end}" for end in ("start", "end")))),
    "the fixed lambda": (CURRICULUM, all_of("PROGRESS_LOSS.lambda_fixed")),
    "the shares, where the videos are listed": ({"DATASET_NAME": "listed"}, all_of("TRAIN_SPLIT")),
    "the share of a list, where there is none": ({}, all_of("VALIDATION_FRACTION")),
}  # fmt: skip


@pytest.mark.parametrize("what", TURNED_OFF)
def test_settings_of_what_is_off_change_nothing(observe, what):
    under, others = TURNED_OFF[what]
    assert others
    assert equal(observe(weights, under), observe(weights, {**under, **others}))
