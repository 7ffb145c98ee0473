"""Predicts the progress of recordings from their features, whole files or frames as they come.

    python predict.py --checkpoint best_model_combined.pt recording.npy another.npy
    python predict.py --checkpoint best_model_combined.pt folder --task assembly --output predictions --embeddings
    camera-features | python predict.py --checkpoint output/demo/run-001/ckpt/best_model_combined.pt -

Reads .npy, .npz, .pt, .csv, Parquet and HDF5. Writes <name>.csv and <name>.png for each file, with --embeddings
<name>.npy too; with '-' it reads a frame a line and prints progress at once. A bad file in a folder leaves the others
alone; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.command import run_command
from utils.errors import FAILED
from utils.registry import READOUTS

logger = logging.getLogger("predict")

STANDARD_INPUT = "-"
MISSING = ("stop", "hold", "skip")


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "features", nargs="+", help="files of features, folders of them, or '-' for frames on standard input"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="also folders inside folders")
    parser.add_argument(
        "--missing", choices=MISSING, default=MISSING[0],
        help="what to do on standard input where a number is missing or nan: stop (default); hold the last value; skip "
        "the frame",
    )
    parser.add_argument(
        "--timestamps", type=float, metavar="RATE",
        help="lines on standard input begin with a time in seconds; resample them to RATE frames/s, as in training",
    )
    parser.add_argument(
        "--lerobot", metavar="FILE.parquet", type=Path, help="also write the progress file of LeRobot, of all episodes"
    )
    parser.add_argument(
        "--checkpoint", required=True, help="a path, a run, or the name of a file in the ckpt folder of the run"
    )
    parser.add_argument("-f", "--folder", help="the run; by default the newest one")
    parser.add_argument("--task", help="the task of the recordings; without it, what holds for all tasks")
    parser.add_argument("--readout", choices=tuple(READOUTS), default="path", help="how to read progress")
    parser.add_argument("--output", default="predictions", help="folder to write to")
    parser.add_argument(
        "--embeddings", action="store_true",
        help="also write the embedding of every frame, (frames, dimensions), as <name>.npy",
    )
    parser.add_argument(
        "--dataset-path",
        help="folder of the data sets, to embed the training videos where the read-out needs them",
    )
    parser.add_argument(
        "--features-folder", default="", help="FEATURES_FOLDER, for the same end, if not that of the training"
    )
    parser.add_argument(
        "--features-key", default="", help="the array of the recordings' files, if not FEATURES_KEY of the training"
    )
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    live = STANDARD_INPUT in options.features
    if live and len(options.features) > 1:
        parser.error("'-' stands for standard input and goes with no other file")
    if live and options.embeddings:
        parser.error("--embeddings writes those of whole files, not of frames on standard input")
    if options.timestamps is not None and not (live and 0 < options.timestamps < math.inf):
        parser.error("--timestamps is a number of frames a second, above 0, for frames on standard input")
    if live and options.lerobot:
        parser.error("--lerobot writes the progress of whole files, not of frames on standard input")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.ckpt_save import find_checkpoint, load_checkpoint
    from utils.prediction.files import predict_files, write_predictions
    from utils.prediction.finding import find_recordings
    from utils.prediction.live import print_progress
    from utils.prediction.predictor import ProgressPredictor
    from utils.prediction.training_embeddings import current_training_videos
    from utils.prediction.unlike_training import TrainingScale
    from utils.training.reproducibility import choose_device

    try:
        device = choose_device(options.device)
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    recordings = [] if live else find_recordings(options.features, options.recursive)
    path = find_checkpoint(options.checkpoint, options.folder)
    checkpoint = load_checkpoint(path)
    places = {"DATASET_PATH": options.dataset_path, "FEATURES_FOLDER": options.features_folder}
    training_videos = None
    if any(places.values()):
        training_videos = current_training_videos(path, checkpoint, options.readout, places, device)
    predictor = ProgressPredictor.from_checkpoint(
        path, options.task, options.readout, device, training_videos, checkpoint
    )
    predictor.log_what_it_reads("an embedding, and so progress," if options.embeddings else "progress")
    scale = TrainingScale.of(checkpoint)
    if live:
        return print_progress(predictor, options.missing, scale.watch, options.timestamps)

    features_first = checkpoint["config"].get("FEATURE_LAYOUT") == "features_first"
    output = Path(options.output)
    # Nothing is written before every file has been read.
    predictions, failures = predict_files(
        predictor, recordings, features_first, output if options.embeddings else None,
        options.features_key or checkpoint["config"].get("FEATURES_KEY", ""), scale,
    )  # fmt: skip
    for name, progress in predictions.items():
        frames = f"{len(progress)} frame{'s' * (len(progress) != 1)}"
        logger.info("%s: %.1f %% after %s", name, 100 * progress[-1], frames)
    write_predictions(output, predictions)
    logger.info("written to %s", options.output)
    for failure in failures:
        logger.error("not predicted: %s", failure)
    if failures:
        logger.error("%d of %d files could not be predicted; the others are written", len(failures), len(recordings))
    if options.lerobot:
        from utils.annotation.exporters import Outline
        from utils.annotation.exporters.lerobot import write_progress

        outlines = [Outline(name, (), len(progress), progress.tolist()) for name, progress in predictions.items()]
        write_progress(options.lerobot, outlines, str(path))
        logger.info("written to %s", options.lerobot)
    return FAILED if failures else 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv, "--output"))
