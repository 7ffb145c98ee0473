"""From a checkpoint to figures on disk: load, embed task by task, measure, draw, write."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import nn

from models.build_model import build_model
from models.json_dataset import load_data
from utils.baselines import online_action_progress, online_video_progress, task_statistics
from utils.ckpt_save import load_checkpoint, load_model
from utils.data.problems import DataError
from utils.embedding import TRAINED, UNTRAINED, EmbeddedVideo, embed_videos
from utils.evaluation import evaluate_task
from utils.evaluation_results import Result, mean_over_tasks, save_results
from utils.figures.embedding_map import FEWEST_FRAMES, plot_embedding_map
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import plot_similarity
from utils.metrics.segments import action_frames
from utils.readouts.training_embeddings import TrainingVideos, keep_training_embeddings
from utils.report import Picture, write_reports

logger = logging.getLogger(__name__)

UNTRAINED_SEED = 0
LONGEST_NAME = 60  # bytes; a file name holds up to three names, and file systems end at 255


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate a checkpoint on.

    Attributes:
        split: 'test' or 'val'.
        tasks: names of tasks; empty means those of the checkpoint's configuration.
        dataset_path: folder of the data sets; empty means that of the configuration.
        classify: whether to fit the classifier of PC.
        figures: how many videos a task to draw.
        device: where to embed.
        map_method: how the map of a task is made, 'pca' or 'tsne'.
    """

    split: str = "test"
    tasks: tuple[str, ...] = ()
    dataset_path: str = ""
    classify: bool = True
    figures: int = 2
    device: str = "cpu"
    map_method: str = "pca"

    def as_description(self) -> dict[str, Any]:
        """What decides the figures, as plain values."""
        content = asdict(self)
        return {
            "split": content["split"],
            "tasks": list(self.tasks),
            "dataset_path": self.dataset_path,
            "classify": self.classify,
        }


def evaluation_folder(checkpoint: Path, split: str = "test") -> Path:
    """RUN/EVAL/<checkpoint stem>, with '-val' appended for the validation split.

    RUN is the folder above `ckpt`; a checkpoint that lies elsewhere is its own folder's.
    """
    folder = checkpoint.resolve().parent
    run = folder.parent if folder.name == "ckpt" else folder
    return run / "EVAL" / (checkpoint.stem if split == "test" else f"{checkpoint.stem}-{split}")


def untrained_network(checkpoint: dict[str, Any]) -> nn.Module:
    """The checkpoint's network with fresh weights of a fixed seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        model = build_model(checkpoint["config"], checkpoint["feature_width"], len(checkpoint["tasks"]))
    return model.eval()


def evaluate_checkpoint(path: Path, request: EvaluationRequest, folder: Path) -> list[Result]:
    """Evaluate one checkpoint and write its CSV files, `metrics.json`, pictures and reports.

    Args:
        path: the checkpoint.
        request: what to evaluate on.
        folder: where to write.

    Returns:
        The figures of every task, then those of the mean of tasks.

    Raises:
        DataError: the data can't be read or isn't of the checkpoint's width, or the split has no video.
    """
    checkpoint = load_checkpoint(path)
    config = dict(checkpoint["config"])
    if request.dataset_path:
        config["DATASET_PATH"] = request.dataset_path
    if request.tasks:
        config["TASKS"] = request.tasks
    data = load_data(config, standardization=checkpoint.get("standardization"))
    if data.feature_width != checkpoint["feature_width"]:
        raise DataError(
            f"{config['DATASET_PATH']}/{config['DATASET_NAME']}: features have width {data.feature_width}; "
            f"expected {checkpoint['feature_width']}, which {path} was trained on"
        )
    dataset = getattr(data, request.split)
    tasks = [task for task in data.train.tasks if dataset.of_task(task)]
    if not tasks:
        raise DataError(
            f"the {request.split} split of {config['DATASET_NAME']} has no video of "
            f"{', '.join(data.train.tasks)}"
        )
    for task in sorted(set(data.train.tasks) - set(tasks)):
        logger.warning("task %r has no video in the %s split and is left out", task, request.split)

    device = torch.device(request.device)
    networks = {TRAINED: load_model(checkpoint, device), UNTRAINED: untrained_network(checkpoint).to(device)}
    frames_ahead = networks[TRAINED].frames_ahead
    results: list[Result] = []
    pictures: list[Picture] = []
    embedded: dict[str, TrainingVideos] = {}
    for task in tasks:
        train = embed_videos(
            networks, data.train, data.train.of_task(task), device, f"embedding {task}, train"
        )
        embedded[task] = TrainingVideos.of(train)
        chosen = embed_videos(
            networks, dataset, dataset.of_task(task), device, f"embedding {task}, {request.split}"
        )
        results += evaluate_task(task, train, chosen, request.classify, frames_ahead=frames_ahead)
        if request.figures:
            pictures += draw_task(folder, task, train, chosen, request.figures)
            pictures += draw_map(folder, task, chosen, request.map_method)
    results += mean_over_tasks(results)
    if not request.tasks:
        keep_training_embeddings(path, checkpoint, data, embedded, device)
    save_results(
        folder,
        results,
        {
            "checkpoint": path.name,
            "epoch": checkpoint["epoch"],
            "data_set": config["DATASET_NAME"],
            "frames_ahead": frames_ahead if np.isfinite(frames_ahead) else None,
            "skipped_tasks": data.skipped_tasks,
            "request": request.as_description(),
            "pictures": [picture.as_description() for picture in pictures],
        },
    )
    write_reports(folder)
    return results


def draw_task(
    folder: Path,
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    number_of_videos: int,
) -> list[Picture]:
    """Progress curves of the first test videos, and similarity matrices of successive ones of them.

    A lone test video is paired with the first training video.
    """
    statistics = task_statistics(train)
    pictures = []
    shown = list(test[:number_of_videos])
    for video in shown:
        over_video, in_actions = (
            online_video_progress(video, statistics),
            online_action_progress(video, statistics),
        )
        inside = action_frames(video.time_dict)

        def gaps(values: np.ndarray, inside: np.ndarray = inside) -> np.ndarray:
            return np.where(inside, values, np.nan)

        panels = [
            ProgressPanel("whole video, online", video.progress, over_video[TRAINED], over_video["clock"])
        ]
        if inside.any():
            panels.append(
                ProgressPanel(
                    "inside each action, online",
                    gaps(video.action_progress),
                    gaps(in_actions[TRAINED]),
                    gaps(in_actions["clock"]),
                )
            )
        file = f"progress_{_file_name(task)}_{_file_name(video.handle)}.png"
        with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
            plot_progress(folder / file, panels, video.time_dict, f"{task} · {video.handle}")
        pictures.append(Picture(file, "progress", task, (video.handle,)))
    partners = shown if len(shown) > 1 else [*shown, *(test[1:2] or train[:1])]
    for first, second in pairwise(partners):
        name = "_".join(map(_file_name, (task, first.handle, second.handle)))
        file = f"similarity_{name}.png"
        with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
            plot_similarity(
                folder / file,
                first.embeddings[TRAINED],
                second.embeddings[TRAINED],
                first.time_dict,
                second.time_dict,
                first.handle,
                second.handle,
                task,
            )
        pictures.append(Picture(file, "similarity", task, (first.handle, second.handle)))
    return pictures


def draw_map(folder: Path, task: str, test: Sequence[EmbeddedVideo], method: str = "pca") -> list[Picture]:
    """The map of the test videos' frames, by the trained and by the untrained network."""
    file = f"map_{_file_name(task)}.png"
    number_of_frames = sum(len(video.progress) for video in test)
    if number_of_frames < FEWEST_FRAMES[method]:
        logger.warning("task %r: %d frames are too few for a map by %s", task, number_of_frames, method)
        return []
    networks = {
        network: [video.embeddings[network] for video in test] for network in (TRAINED, UNTRAINED)
    }
    plot_embedding_map(folder / file, networks, [video.progress for video in test], task, method)
    return [Picture(file, "map", task)]



def _file_name(text: str) -> str:
    """The text with everything but letters, digits, '.', '-' and '_' replaced by '-'; cut off if too long."""
    clean = re.sub(r"[^\w.-]+", "-", text)
    if len(clean.encode()) <= LONGEST_NAME:
        return clean
    start = clean.encode()[: LONGEST_NAME - 9].decode(errors="ignore")
    return f"{start}-{zlib.crc32(text.encode()):08x}"
