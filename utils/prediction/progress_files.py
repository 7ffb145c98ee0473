"""The progress models of a checkpoint: fitted to its training and validation recordings, kept beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from utils.checkpoints.fingerprint import TRAINING_ANNOTATION, Fingerprint
from utils.ckpt_save import CHECKPOINT_TYPES, load_checkpoint, load_model
from utils.data.dataset import VideoData, VideoDataset
from utils.data.features import FEATURE_RANK
from utils.data.preparation import training_annotation_digest
from utils.errors import CheckpointError, DataError, first_line, nearest_name, shown
from utils.files import write_text
from utils.prediction.embedding import TRAINED, embed_videos
from utils.prediction.progress.candidates import fit_candidates
from utils.prediction.progress.cross_validation import FEWEST_RECORDINGS, NAIVE, OutOfFold, cross_validate, scale_of
from utils.prediction.progress.files import load_models, save_models
from utils.prediction.progress.model import EMBEDDING, ProgressModel, fit_progress
from utils.prediction.progress.of_embedding import choose_embedding
from utils.prediction.progress.report import judge_on, report_text, sentences
from utils.prediction.readouts.recording import LabelledRecording
from utils.prediction.training_embeddings import fingerprint_of_training
from utils.registry import reads_maps

logger = logging.getLogger(__name__)


def progress_path(checkpoint_path: str | Path) -> Path:
    """`<stem>.progress.pt` in the checkpoint's folder."""
    path = Path(checkpoint_path)
    return path.with_name(f"{path.stem}.progress.pt")


def recordings_of(dataset: VideoDataset, task: str) -> list[LabelledRecording]:
    """The recordings of a task in one split, with their features as a network is given them.

    Raises:
        DataError: the features are maps.
    """
    recordings = []
    for index in dataset.of_task(task):
        features, time_dict = dataset[index]
        if features.ndim != FEATURE_RANK:
            raise DataError(f"{dataset.videos[index].handle}: convolution maps; progress is fitted to (T, D) features")
        recordings.append(
            LabelledRecording(
                dataset.videos[index].handle, features.numpy(), time_dict, dataset.videos[index].group
            )
        )
    return recordings


def seen_frame_rate(config: Mapping[str, Any]) -> float | None:
    """Frames a second of those that are used, every SKIP_RATE-th of the recording; None if nobody knows."""
    rate = config.get("FRAME_RATE")
    return rate / int(config.get("SKIP_RATE") or 1) if rate else None


def fit_to_features(
    data: VideoData, seed: int, frame_rate: float | None, tasks: Sequence[str] | None = None
) -> tuple[dict[str, ProgressModel], dict[str, OutOfFold]]:
    """A progress model of every task from its features alone, and what cross-validation found.

    A task with too few recordings, or without labels, is left out with a warning.
    """
    models, found = {}, {}
    for task in data.train.tasks if tasks is None else tasks:
        if task in data.unlabelled_tasks:
            logger.warning("task %r: no progress model: it has no labels, from which read-outs learn", task)
            continue
        recordings = [*recordings_of(data.train, task), *recordings_of(data.val, task)]
        try:
            found[task] = cross_validate(recordings, seed)
        except DataError as error:
            logger.warning("task %r: no progress model: %s", task, error)
            continue
        models[task] = fit_progress(recordings, seed, frame_rate, found=found[task])
    return models, found


def fit_for_checkpoint(
    path: str | Path,
    checkpoint: Mapping[str, Any],
    data: VideoData,
    device: torch.device | str = "cpu",
    features: tuple[Mapping[str, ProgressModel], Mapping[str, OutOfFold]] | None = None,
) -> dict[str, ProgressModel]:
    """Chooses how a checkpoint's recordings are read, and writes it beside the checkpoint.

    The network has seen the training recordings, so that its embedding of them is no example of one of a new recording.
    Read-outs of the embedding are therefore fitted to the training recordings and judged on the validation recordings
    alone, and one is chosen only if it beats the best read-out of the features there by more than the standard error of
    the paired difference.

    Args:
        path, checkpoint: the file and its content.
        data: loaded by its configuration.
        device: where to embed.
        features: what `fit_to_features` gives, if it has been done.

    Returns:
        The models by task.
    """
    config = checkpoint["config"]
    seed, frame_rate = int(config.get("SEED", 0)), seen_frame_rate(config)
    if reads_maps(config):
        models, found = {}, {}
    else:
        models, found = features or fit_to_features(data, seed, frame_rate)
    chosen: dict[str, ProgressModel] = dict(models)
    network = {TRAINED: load_model(checkpoint, device)}
    for task in data.train.tasks:
        if task in data.unlabelled_tasks:
            continue
        train, val = (_embedded(network, split, task, device) for split in (data.train, data.val))
        choice = choose_embedding(train, val, found.get(task), seed)
        if choice.is_chosen:
            names = [*NAIVE, choice.name]
            chosen[task] = fit_progress([*train, *val], seed, frame_rate, EMBEDDING, names, name=choice.name)
        if task in chosen:
            report = {**chosen[task].report, "embedding": choice.as_description()}
            if task in models:  # the features' cross-validation has all candidates
                report["errors"] = models[task].report["errors"]
            chosen[task] = replace(chosen[task], report=report)
    if chosen:
        fingerprint = fingerprint_of_training(checkpoint, config, data)
        save_models(chosen, progress_path(path), fingerprint=fingerprint.as_description())
    return chosen


def fit_progress_of_run(
    run: Path, data: VideoData, config: Mapping[str, Any], device: torch.device | str = "cpu"
) -> None:
    """Chooses how progress is read by the best checkpoints of a run that has ended, and says what was found.

    Without the setting FIT_PROGRESS, nothing is done.
    A checkpoint whose models are those that would be made now keeps them, so that a resumed run does nothing twice.
    """
    if not config["FIT_PROGRESS"] or len(data.train) + len(data.val) < FEWEST_RECORDINGS:
        return
    features = None
    for kind in CHECKPOINT_TYPES:
        path = run / "ckpt" / f"best_model_{kind}.pt"
        checkpoint = load_checkpoint(path)
        try:
            if load_for_checkpoint(path, checkpoint) is not None:
                continue
        except (CheckpointError, DataError) as error:
            logger.info("%s", error)
        if features is None and not reads_maps(config):
            features = fit_to_features(data, config["SEED"], seen_frame_rate(config))
        models = fit_for_checkpoint(path, checkpoint, data, device, features)
        if not models:
            continue
        texts = {task: report_text(task, model) for task, model in models.items()}
        write_text(path.with_name(f"{path.stem}.progress.txt"), "\n\n".join(texts.values()) + "\n")
        for task, model in models.items():
            # The features say the same of each checkpoint: their table is shown once.
            text = texts[task] if kind == CHECKPOINT_TYPES[0] else "\n".join(sentences(model)[1:])
            logger.info("%s, task %r, how progress is read:\n%s", path.stem, task, text)


def _embedded(
    network: Mapping[str, nn.Module], dataset: VideoDataset, task: str, device: torch.device | str
) -> list[LabelledRecording]:
    """The recordings of a task in one split, with their embeddings as frames."""
    indices = dataset.of_task(task)
    videos = embed_videos(network, dataset, indices, device, f"embedding {task}")
    return [
        LabelledRecording(video.handle, video.embeddings[TRAINED].numpy(), video.time_dict, dataset.videos[index].group)
        for index, video in zip(indices, videos, strict=True)
    ]


def load_for_checkpoint(path: str | Path, checkpoint: Mapping[str, Any]) -> dict[str, ProgressModel] | None:
    """The progress models beside a checkpoint, by task; None if there are none.

    Raises:
        CheckpointError: the file can't be used, or was made from other weights or settings.
    """
    own = progress_path(path)
    if not own.is_file():
        return None
    again = f"python -m utils.prediction.fit_progress --checkpoint {path} fits them again"
    try:
        models, extra = load_models(own)
        made_from = Fingerprint.read(extra.get("fingerprint"))
    except (CheckpointError, DataError) as error:
        raise CheckpointError(f"{own}: {first_line(error)}; {again}") from error
    config = checkpoint["config"]
    annotation = training_annotation_digest(config)
    at_hand = {} if annotation is None else {TRAINING_ANNOTATION: annotation}
    if differences := made_from.differences(Fingerprint.of(checkpoint, config, {**made_from.data, **at_hand})):
        raise CheckpointError(f"{own} was made from other {' and '.join(differences)} than {path} stands for; {again}")
    return models


def chosen_model(models: Mapping[str, ProgressModel], task: str | None, path: str | Path) -> ProgressModel:
    """The model of a task; of the only task if none is named.

    Raises:
        DataError: there is no such task, or none is named and there are several.
    """
    if task is None:
        if len(models) > 1:
            raise DataError(f"{path} was fitted to tasks {', '.join(sorted(models))}; --task says which this is")
        return next(iter(models.values()))
    if task not in models:
        nearest = nearest_name(task, models)
        hint = f"did you mean {nearest!r}?" if nearest else f"expected one of {', '.join(sorted(models))}"
        raise DataError(f"{path} has no progress model of task {shown(task)}; {hint}")
    return models[task]


def judge_test(model: ProgressModel, data: VideoData, task: str, checkpoint: Mapping[str, Any] | None = None) -> str:
    """A sentence on the test recordings of a task, which chose nothing.

    Args:
        model: of the task.
        data: what it was fitted to, with its test recordings.
        task: its name.
        checkpoint: the network whose embedding the model reads, if it does.
    """
    if not data.test.of_task(task):
        return "There is no test recording."
    tests = recordings_of(data.test, task)
    fitted = [*recordings_of(data.train, task), *recordings_of(data.val, task)]
    naive = fit_candidates(fitted, scale_of(fitted), 0, NAIVE).by_frame
    others = {
        name: [np.abs(readout.start().update(one.frames) - one.progress).mean() for one in tests]
        for name, readout in naive.items()
    }
    if model.input == EMBEDDING:
        tests = _embedded({TRAINED: load_model(checkpoint)}, data.test, task, "cpu")
    return judge_on(model, others, tests)
