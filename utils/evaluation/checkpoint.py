"""From a checkpoint to figures on disk: load, embed task by task, measure, write, then draw."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from configs.settings import with_settings
from models.build_model import build_model
from utils.checkpoints.fingerprint import Fingerprint, evaluated_data_digests
from utils.ckpt_save import load_checkpoint, load_model
from utils.data.data_settings import read_data_settings
from utils.data.dataset import VideoData, load_data
from utils.errors import CheckpointError, DataError
from utils.evaluation.notes import OWN_TASKS_UNKNOWN, VALIDATION_CHOSE
from utils.evaluation.pictures import DRAWN, check_names, draw_task, videos_to_draw
from utils.evaluation.played import Recorded, recorded_videos
from utils.evaluation.provenance import describe_run
from utils.evaluation.results import METRICS_FILE, Result, mean_over_tasks, read_results, save_results
from utils.evaluation.step_discovery import Discovery
from utils.evaluation.task import evaluate_task_with_curves
from utils.files import LONGEST_PART, safe_name, write_json
from utils.metrics.table import METRICS, Metric, Needs
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, UNTRAINED_NETWORKS, EmbeddedVideo, embed_videos
from utils.prediction.progress.model import ProgressModel
from utils.prediction.progress.report import report_text
from utils.prediction.progress_files import load_for_checkpoint, progress_path
from utils.prediction.training_embeddings import TrainingVideos, keep_training_embeddings
from utils.registry import AUTO, SEGMENTATIONS

logger = logging.getLogger(__name__)

# Raised with every change of a metric, a baseline or an interval that changes figures: stored ones are then made again.
METRICS_VERSION = 3
PROGRESS_MODELS = "progress models"
NOT_KNOWN = "not known"  # of frames_ahead, in metrics.json


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate a checkpoint on.

    Attributes:
        split: 'test' or 'val'.
        tasks: names of tasks; empty means those of the checkpoint's configuration.
        dataset_path: folder of the data sets; empty means that of the configuration.
        classify: whether to fit the classifier of PC.
        figures: how many videos a task to draw; see `videos_to_draw`.
        device: where to embed.
        map_method: how the map of a task is made, 'pca' or 'tsne'.
        features_folder: FEATURES_FOLDER; empty means that of the configuration.
        published: whether to measure what is as published programs define it, too.
        videos: handles of videos to draw besides.
        formats: of the pictures: png, pdf, svg; a PNG is always written.
        key_steps: how many key steps to find without labels; 0: none are looked for.
        segmentation: how they are found, one of `SEGMENTATIONS`.
        competitors: whether to evaluate the raw features and the untrained networks, too: they are six sevenths of
            the work.
    """

    split: str = "test"
    tasks: tuple[str, ...] = ()
    dataset_path: str = ""
    classify: bool = True
    figures: int = 3
    device: str = "cpu"
    map_method: str = "pca"
    features_folder: str = ""
    published: bool = False
    videos: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("png",)
    competitors: bool = True
    key_steps: int = 0
    segmentation: str = SEGMENTATIONS[0]

    @property
    def draws(self) -> bool:
        """Whether anything is to be drawn."""
        return bool(self.figures or self.videos)

    def places(self) -> dict[str, str]:
        """The settings that say where the data are; empty where they are those of the configuration."""
        return {"DATASET_PATH": self.dataset_path, "FEATURES_FOLDER": self.features_folder}

    def as_description(self) -> dict[str, Any]:
        """What decides the figures, as plain values."""
        places = {"dataset_path": self.dataset_path, "features_folder": self.features_folder}
        chosen = {"split": self.split, "tasks": list(self.tasks), **places}
        steps = {"key_steps": self.key_steps, "segmentation": self.segmentation} if self.key_steps else {}
        switches = {"classify": self.classify, "published": self.published, "competitors": self.competitors}
        return {**chosen, **switches, **steps}

    @property
    def discovery(self) -> Discovery | None:
        """How key steps are found; None: they aren't looked for."""
        return Discovery(self.key_steps, self.segmentation) if self.key_steps else None

    def is_answered_by(self, description: Any) -> bool:
        """Whether figures made for a request of this description answer this one too: they may hold more besides."""
        if not isinstance(description, Mapping):
            return False
        asked = self.as_description()
        described = {"competitors": True, **description}  # there was no choice at first
        if not self.key_steps:
            described = {key: value for key, value in described.items() if key not in ("key_steps", "segmentation")}
        return set(described) == set(asked) and all(
            described[key] == value or (value is False and described[key] is True) for key, value in asked.items()
        )

    def wants(self, metric: Metric) -> bool:
        """Whether figures of a metric are asked for."""
        return (self.classify or metric.needs is not Needs.LABELS) and (
            (self.published or metric.needs is not Needs.PUBLISHED)
            and (self.key_steps > 0 or not metric.needs.is_key_steps)
        )


def evaluation_folder(checkpoint: Path, split: str = "test", tasks: Sequence[str] = ()) -> Path:
    """RUN/EVAL/<checkpoint stem>, with '-val' appended for the validation split, and '+<task>' for each task.

    RUN is the folder above `ckpt`; a checkpoint that lies elsewhere is its own folder's. An evaluation of some
    tasks alone has a folder of its own, so that it doesn't replace one of all tasks.
    """
    folder = checkpoint.resolve().parent
    run = folder.parent if folder.name == "ckpt" else folder
    name = checkpoint.stem if split == "test" else f"{checkpoint.stem}-{split}"
    if not tasks:
        return run / "EVAL" / name
    chosen = safe_name(*tasks)
    return run / "EVAL" / f"{name}+{chosen if len(chosen) <= LONGEST_PART else safe_name(chosen)}"


def untrained_network(checkpoint: dict[str, Any], number: int = 0) -> nn.Module:
    """The checkpoint's network with fresh weights; the global generator is left as it was.

    Args:
        checkpoint: its content. The weights follow from its SEED, so that runs of other seeds have other ones.
        number: which of the networks of that seed.
    """
    seed = int(checkpoint["config"].get("SEED") or 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence((abs(seed), number)).generate_state(1)[0]))
        model = build_model(checkpoint["config"], checkpoint["feature_width"], len(checkpoint["tasks"]))
    return model.eval()


def evaluate_checkpoint(
    path: Path,
    request: EvaluationRequest,
    folder: Path,
    metrics: Mapping[str, Metric] = METRICS,
    date: datetime | None = None,
) -> list[Result]:
    """Evaluate one checkpoint and write its CSV files, `metrics.json` and pictures.

    Args:
        path: the checkpoint.
        request: what to evaluate on.
        folder: where to write.
        metrics: what to measure.
        date: of the evaluation, as `metrics.json` has it; None for now.

    Returns:
        The figures of every task, then those of the mean of tasks.

    Raises:
        DataError: the data can't be read or isn't of the checkpoint's width, the split has no video or not one
            that is to be drawn, or the network was never trained on a task that is asked for.
        OSError: the folder can't be written to; said before anything is computed.
    """
    checkpoint = load_checkpoint(path)
    config = with_settings(checkpoint["config"], **request.places(), TASKS=request.tasks)
    data_set = data_set_of(config)
    check_writable(folder)
    data = load_data(config, standardization=checkpoint.get("standardization"))
    tasks = _tasks_to_evaluate(data, data_set, request, path, checkpoint)
    check_names(request.videos, (v.handle for v in getattr(data, request.split).videos if v.task in tasks))
    device = torch.device(request.device)
    networks = {TRAINED: load_model(checkpoint, device)}
    if request.competitors:
        networks |= {name: untrained_network(checkpoint, k).to(device) for k, name in enumerate(UNTRAINED_NETWORKS)}
    seen = networks[TRAINED].frames_ahead
    # In frames of the recording, of which the network sees every SKIP_RATE-th.
    frames_ahead = seen * int(config.get("SKIP_RATE") or 1) if seen else 0
    # Frames that the network sees and whose context the encoder pads with zeros.
    padded = tuple(getattr(networks[TRAINED].encoder, side) for side in ("frames_behind", "frames_ahead"))

    def embed(task: str) -> list[list[EmbeddedVideo]]:
        parts = [
            embed_videos(networks, part, part.of_task(task), device, f"embedding {task}, {split}", request.competitors)
            for split, part in (("train", data.train), (request.split, getattr(data, request.split)))
        ]
        if request.competitors:
            return parts
        return [[replace(video, paths={TRAINED: video.paths[TRAINED]}) for video in videos] for videos in parts]

    def keep(embedded: Mapping[str, TrainingVideos]) -> None:
        networks.clear()
        if not request.tasks:
            keep_training_embeddings(path, checkpoint, data, embedded, device, request.places())

    description = {
        "checkpoint": path.name,
        "fingerprint": _fingerprint(path, checkpoint, config, data, request, metrics).as_description(),
        "epoch": checkpoint["epoch"],
        "data_set": config["DATASET_NAME"],
        "skipped_tasks": data.skipped_tasks,
        "run": describe_run(checkpoint, path, data, date or datetime.now()),
    }
    models = _progress_models(path, checkpoint, request)
    return evaluate_embedded(
        folder, tasks, embed, request, description, frames_ahead, metrics, keep, padded, models, recorded_videos(config)
    )


def _progress_models(
    path: Path, checkpoint: Mapping[str, Any], request: EvaluationRequest
) -> dict[str, ProgressModel]:
    """How the checkpoint's progress is read, by task, as cross-validation chose; none where nothing was fitted.

    The validation recordings chose it, so that its figures on them would say nothing.
    """
    if request.split != "test" or not request.competitors:
        return {}
    try:
        return load_for_checkpoint(path, checkpoint) or {}
    except CheckpointError as error:
        logger.warning("no row of the chosen read-out: %s", error)
        return {}


def evaluate_embedded(
    folder: Path,
    tasks: Sequence[str],
    embed: Callable[[str], Sequence[list[EmbeddedVideo]]],
    request: EvaluationRequest,
    description: Mapping[str, Any],
    frames_ahead: float | None = 0,
    metrics: Mapping[str, Metric] = METRICS,
    keep: Callable[[Mapping[str, TrainingVideos]], None] | None = None,
    padded: tuple[float, float] = (0, 0),
    models: Mapping[str, ProgressModel] | None = None,
    recorded: Recorded | None = None,
) -> list[Result]:
    """Measures embedded videos and writes the CSV files, `metrics.json` and the pictures.

    Args:
        folder: where to write.
        tasks: to evaluate, one after the other.
        embed: gives the training videos of a task and those to judge.
        request: what to measure and to draw.
        description: what is evaluated, for `metrics.json`.
        frames_ahead: how many later frames of the recording an embedding depends on, None if nobody knows.
        metrics: what to measure.
        keep: is given the training embeddings of all tasks, after the figures are written and before the pictures
            are drawn.
        padded: how many frames at the start and at the end of a video see what lies beyond.
        models: how progress is read, by task, as cross-validation chose.
        recorded: the videos of the data set, if it has any.

    Returns:
        The figures of every task, then those of the mean of tasks.
    """
    results: list[Result] = []
    drawn: list[tuple] = []  # what the pictures are made from
    embedded: dict[str, TrainingVideos] = {}
    # Embeddings wait on disk, so that memory doesn't grow with the number of tasks.
    with TemporaryDirectory(prefix=".embeddings-", dir=folder) as waiting:
        for task in tasks:
            train, chosen = embed(task)
            found, curves = evaluate_task_with_curves(
                task, train, chosen, request.classify, frames_ahead, metrics=metrics,
                kept=(*DRAWN, AUTO) if request.draws else (), published=request.published,
                chosen=(models or {}).get(task), discovery=request.discovery,
            )  # fmt: skip
            results += found
            if request.draws:
                shown = videos_to_draw(chosen, curves, found, request.figures, request.videos, metrics)
                spare = [_waiting(waiting, video, TRAINED, RAW) for video in train[:1]]
                drawn.append((task, [_waiting(waiting, v, TRAINED, UNTRAINED, RAW) for v in chosen], shown, spare))
            if keep is not None and not request.tasks:
                embedded[task] = TrainingVideos.of([_waiting(waiting, video, TRAINED) for video in train])
            del train, chosen
        results += mean_over_tasks(results, metrics)

        if frames_ahead is None:
            seen = NOT_KNOWN
        else:
            seen = frames_ahead if np.isfinite(frames_ahead) else None
        further = {"frames_ahead": seen, "request": request.as_description(), "pictures": []}
        if request.split == "val":
            further["note"] = VALIDATION_CHOSE
        if models:
            further["how_progress_is_read"] = {
                task: report_text(task, model) for task, model in models.items() if task in tasks
            }
        content = save_results(folder, results, {**description, **further})
        if keep is not None:
            keep(embedded)
        del embedded

        how = (request.map_method, request.formats, padded, recorded)
        pictures = [picture for task in drawn for picture in draw_task(folder, *task, *how)]
        del drawn
    if pictures:
        write_json(folder / METRICS_FILE, {**content, "pictures": [picture.as_description() for picture in pictures]})
    return results


def _waiting(folder: str, video: EmbeddedVideo, *networks: str) -> EmbeddedVideo:
    """A video of which the embeddings of some networks lie in a folder and are read as they are used, and no more."""
    embeddings: dict[str, Tensor] = {}
    for network in networks:
        if network in video.embeddings:
            with NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
                np.save(file, video.embeddings[network].numpy())
            embeddings[network] = torch.from_numpy(np.load(file.name, mmap_mode="c"))
    return replace(video, embeddings=embeddings, paths={})


def _tasks_to_evaluate(
    data: VideoData, data_set: Path, request: EvaluationRequest, path: Path, checkpoint: Mapping[str, Any]
) -> list[str]:
    """The tasks that the network was trained on and that have a video in the split; the others are a warning.

    Raises:
        DataError: there is none, one that was asked for is another's, or the features aren't of the width that the
            checkpoint reads.
    """
    feature_width, trained, split = checkpoint["feature_width"], checkpoint["tasks"], request.split
    if data.feature_width != feature_width:
        raise DataError(
            f"{data_set}: features have width {data.feature_width}; "
            f"expected {feature_width}, which {path} was trained on"
        )
    known = list(data.train.tasks)
    if not trained:
        logger.warning("%s: %s", path, OWN_TASKS_UNKNOWN)
    else:
        others = [task for task in known if task not in trained]
        if others and (request.tasks or len(others) == len(known)):
            raise DataError(
                f"{path} was not trained on {', '.join(map(repr, others))}, so that its figures there would be those "
                f"of another task's network; it was trained on {', '.join(map(repr, trained))}"
            )
        for task in others:
            logger.warning("task %r is left out: the checkpoint was not trained on it", task)
        known = [task for task in known if task in trained]
    return tasks_of_split(data, known, data_set, split)


def tasks_of_split(data: VideoData, known: Sequence[str], data_set: Path, split: str) -> list[str]:
    """Those of the known tasks that have a video in the split; the others are a warning.

    Raises:
        DataError: there is none.
    """
    videos = getattr(data, split)
    tasks = [task for task in known if videos.of_task(task)]
    if not tasks:
        raise DataError(f"the {split} split of {data_set.name} has no video of {', '.join(known)}")
    for task in sorted(set(known) - set(tasks)):
        logger.warning("task %r has no video in the %s split and is left out", task, split)
    return tasks


def fingerprints_of_figures(paths: Sequence[Path], request: EvaluationRequest) -> dict[Path, Fingerprint]:
    """What the figures of several checkpoints would follow from if they were made now.

    Data that several were trained on are read once.

    Raises:
        DataError: the data can't be read.
    """
    loaded: dict[str, VideoData] = {}
    fingerprints = {}
    for path in paths:
        checkpoint = load_checkpoint(path)
        config = with_settings(checkpoint["config"], **request.places(), TASKS=request.tasks)
        data_set_of(config)
        # Digests are of the files; these settings change only what training makes of them.
        as_in_files = {**config, "STANDARDIZE": False, "MAX_FRAMES": 0, "SEED": 0}
        key = repr(read_data_settings(as_in_files))
        if key not in loaded:
            loaded[key] = load_data(as_in_files)
        fingerprints[path] = _fingerprint(path, checkpoint, config, loaded[key], request, METRICS)
    return fingerprints


def _fingerprint(
    path: Path, checkpoint: Mapping[str, Any], config: Mapping[str, Any], data: VideoData, request: EvaluationRequest,
    metrics: Mapping[str, Metric],
) -> Fingerprint:
    digests = evaluated_data_digests(data, request.split)
    if request.split == "test" and (own := progress_path(path)).is_file():
        digests[PROGRESS_MODELS] = hashlib.sha256(own.read_bytes()).hexdigest()
    return Fingerprint.of(checkpoint, config, digests, version_of(metrics))


def version_of(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """What is measured and by which version, for a fingerprint."""
    return {"version": METRICS_VERSION, "names": list(metrics)}


def stored_results(
    path: Path, request: EvaluationRequest, folder: Path, fingerprint: Fingerprint
) -> list[Result] | None:
    """The figures of a checkpoint that lie in a folder, if they are those that an evaluation would give now; else None.

    A file that can't be read, or figures of something else, are a warning.

    Args:
        path: the checkpoint.
        request: what the figures must answer.
        folder: where they may lie.
        fingerprint: what they must have been made from.
    """
    written = folder / METRICS_FILE
    if not written.is_file():
        return None
    try:
        description = json.loads(written.read_text(encoding="utf-8"))
        if not request.is_answered_by(description.get("request")):
            return None
        if differences := Fingerprint.read(description.get("fingerprint")).differences(fingerprint):
            logger.warning("%s: figures of other %s; evaluated again", written, " and ".join(differences))
            return None
        results = read_results(description)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s can't be read, so %s is evaluated again: %r", written, path, error)
        return None
    logger.info("%s: figures of %s, delete them to evaluate again", written, _time_of(written))
    return [r for r in results if request.wants(METRICS[r.metric])]


def _time_of(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")


def data_set_of(config: Mapping[str, Any]) -> Path:
    """The folder of the data set, which must be there; else the message says which option helps."""
    data_set = Path(config["DATASET_PATH"]) / config["DATASET_NAME"]
    if not data_set.is_dir():
        raise DataError(
            f"the data set {data_set} does not exist; --dataset-path names the folder that holds {data_set.name}"
        )
    return data_set


def check_writable(folder: Path) -> None:
    """Says what can be known to go wrong before the videos are embedded, and which option helps."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = f"cannot write to {folder} ({error.strerror}); --output names another folder"
        raise OSError(error.errno, reason) from error
