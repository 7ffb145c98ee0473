"""Predicts the progress of recordings from their features, whole files or frames as they come.

    python predict.py --checkpoint best_model_combined.pt recording.npy another.npy
    python predict.py --checkpoint best_model_combined.pt folder --task assembly --output predictions
    camera-features | python predict.py --checkpoint output/demo/run-001/ckpt/best_model_combined.pt -

Writes <name>.csv and <name>.png for each file; with '-' it reads a frame a line and prints progress at once.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from configs.settings import with_settings
from utils.ckpt_save import find_checkpoint, load_checkpoint
from utils.command import run_command
from utils.data.dataset import load_data
from utils.data.problems import DataError
from utils.prediction.files import feature_files, predict_file, stream_lines, write_predictions
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.readouts import READOUTS, READOUTS_OF_TRAINING_VIDEOS
from utils.prediction.training_embeddings import (
    TrainingVideos,
    embed_training_videos,
    has_training_embeddings,
    save_training_embeddings,
)
from utils.training.reproducibility import choose_device

logger = logging.getLogger("predict")

STANDARD_INPUT = "-"


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "features", nargs="+", help=".npy files, folders of them, or '-' for frames on standard input"
    )
    parser.add_argument(
        "--checkpoint", required=True, help="a path, a run, or the name of a file in the ckpt folder of the run"
    )
    parser.add_argument("-f", "--folder", help="the run; by default the newest one")
    parser.add_argument("--task", help="the task of the recordings; without it, what holds for all tasks")
    parser.add_argument("--readout", choices=READOUTS, default="path", help="how to read progress")
    parser.add_argument("--output", default="predictions", help="folder to write to")
    parser.add_argument(
        "--dataset-path",
        help="folder of the data sets, to embed the training videos where the read-out needs them",
    )
    parser.add_argument(
        "--features-folder", default="", help="FEATURES_FOLDER, for the same end, if not that of the training"
    )
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    live = STANDARD_INPUT in options.features
    if live and len(options.features) > 1:
        parser.error("'-' stands for standard input and goes with no other file")
    try:
        device = choose_device(options.device)
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    files = [] if live else feature_files(options.features)
    path = find_checkpoint(options.checkpoint, options.folder)
    checkpoint = load_checkpoint(path)
    training_videos = None
    places = {"DATASET_PATH": options.dataset_path, "FEATURES_FOLDER": options.features_folder}
    if any(places.values()):
        if options.readout in READOUTS_OF_TRAINING_VIDEOS or not checkpoint.get("progress_normalizers"):
            training_videos = missing_training_embeddings(path, checkpoint, places, device)
        else:
            logger.info("--dataset-path is not needed: the checkpoint holds all that this read-out uses")
    predictor = ProgressPredictor.from_checkpoint(
        path, options.task, options.readout, device, training_videos, checkpoint
    )
    report_lag(predictor)
    if live:
        return print_progress(predictor)

    features_first = checkpoint["config"].get("FEATURE_LAYOUT") == "features_first"
    # Nothing is written before every file has been read.
    predictions = {file.stem: predict_file(predictor, file, features_first) for file in files}
    for name, progress in predictions.items():
        logger.info("%s: %.1f %% after %d frames", name, 100 * progress[-1], len(progress))
    write_predictions(Path(options.output), predictions)
    logger.info("written to %s", options.output)
    return 0


def missing_training_embeddings(
    path: Path, checkpoint: Mapping[str, Any], places: Mapping[str, str], device: torch.device
) -> dict[str, TrainingVideos] | None:
    """The training embeddings, written beside the checkpoint for the next time; None if they are there already.

    `places` are DATASET_PATH and FEATURES_FOLDER, empty where they are those of the training.
    """
    if has_training_embeddings(path, checkpoint):
        return None
    config = with_settings(checkpoint["config"], **places)
    data = load_data(config, standardization=checkpoint.get("standardization"))
    tasks = embed_training_videos(path, checkpoint, data, device)
    try:
        logger.info("written %s", save_training_embeddings(path, checkpoint, tasks))
    except OSError as error:
        logger.warning("the training embeddings could not be kept for the next time: %s", error)
    return tasks


def report_lag(predictor: ProgressPredictor) -> None:
    """Says what is not causal or not read."""
    if predictor.skip_rate > 1:
        logger.info("the network sees every %d-th frame, as in its training", predictor.skip_rate)
    if predictor.frames_ahead:
        seen = f"{predictor.frames_ahead} frames" if math.isfinite(predictor.frames_ahead) else "all frames"
        logger.warning("the network is not causal: progress depends on %s ahead and lags by them", seen)


def print_progress(predictor: ProgressPredictor) -> int:
    """Reads frames from standard input and prints 'frame,progress' lines, each as soon as it is known."""
    if sys.stdin is None:
        raise DataError("standard input is closed")
    if sys.stdin.isatty():
        logger.info("reading frames from the terminal, %d numbers a line; Ctrl-D ends", predictor.feature_width)
    try:
        print("frame,progress", flush=True)
        for frame, progress in stream_lines(predictor, sys.stdin):
            print(f"{frame},{progress:.6f}", flush=True)
    except BrokenPipeError:
        # Whoever read this has seen enough; without this, Python complains when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not text: {error}") from error
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
