"""Predicts the progress of recordings from their features or videos, whole files or frames as they come.

    python predict.py --checkpoint best_model_combined.pt recording.npy another.npy
    python predict.py --checkpoint best_model_combined.pt folder --task assembly --output predictions --embeddings
    camera-features | python predict.py --checkpoint output/demo/run-001/ckpt/best_model_combined.pt -

    python predict.py --checkpoint tea.progress.pt recording.npy
    python predict.py --checkpoint tea.progress.pt recording.mp4 --overlay drawn.mp4 --report page.html
    python predict.py --checkpoint tea.progress.pt camera:0

Reads .npy, .npz, .pt, .csv, Parquet and HDF5, and videos where those of the training were videos. Writes <name>.csv and
<name>.png for each file, with --embeddings <name>.npy too; with '-' it reads a frame a line and prints progress at
once. A bad file in a folder leaves the others alone; the exit code is then 1. A checkpoint is a network, or what
utils.prediction.fit_progress wrote of features.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.command import run_command
from utils.errors import FAILED
from utils.registry import AUTO, READOUTS
from utils.video.recordings import is_stream

if TYPE_CHECKING:
    from utils.prediction.finding import Found
    from utils.prediction.predictor import ProgressPredictor
    from utils.prediction.unlike_training import TrainingScale
    from utils.prediction.video_features import VideoFeatures
    from utils.video.live import RawFormat

logger = logging.getLogger("predict")

STANDARD_INPUT = "-"
MISSING = ("stop", "hold", "skip")


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "features", nargs="+", metavar="recording",
        help="files of features, videos, folders of either; '-' for frames of features on standard input; camera:0, "
        "rtsp://... or another address, or file:loop.mp4, played at its own rate, for pictures as they come",
    )
    parser.add_argument(
        "--raw", type=_raw_format, metavar="640x480@30",
        help="with '-': standard input holds raw pictures, three bytes a pixel (rgb24), of this size and rate",
    )
    parser.add_argument(
        "--overlay", type=Path, metavar="OUT.mp4",
        help="also write the video with progress, step and remaining time drawn on it; .gif or .webp too; a folder for "
        "several",
    )
    parser.add_argument(
        "--report", type=Path, metavar="PAGE.html",
        help="also write a page that plays the video with its curve and steps; a folder for several",
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
    parser.add_argument(
        "--readout", choices=(AUTO, *READOUTS), default=AUTO,
        help="how to read progress; by default as cross-validation chose after the training",
    )
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
    parser.add_argument(
        "--encoder", default="", help="the encoder of videos, if its file is elsewhere than at the training"
    )
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    live = STANDARD_INPUT in options.features or any(map(is_stream, options.features))
    numbers = options.features == [STANDARD_INPUT] and not options.raw
    if live and len(options.features) > 1:
        parser.error("'-', standard input, a camera and an address each go with no other recording")
    for name in ("embeddings", "lerobot", "overlay", "report"):
        if live and getattr(options, name):
            parser.error(f"--{name} is written of whole files, not of frames as they come")
    if options.raw and options.features != [STANDARD_INPUT]:
        parser.error("--raw says what pictures on standard input, '-', are")
    if options.timestamps is not None and not (numbers and 0 < options.timestamps < math.inf):
        parser.error("--timestamps is a number of frames a second, above 0, for frames on standard input")
    if options.missing != MISSING[0] and live and not numbers:
        parser.error("--missing is for numbers on standard input, not for pictures")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.checkpoints.reading import read_archive
    from utils.ckpt_save import find_checkpoint, load_checkpoint
    from utils.prediction.finding import find_recordings
    from utils.prediction.predictor import ProgressPredictor
    from utils.prediction.progress.files import holds_models, models_of
    from utils.prediction.progress_files import chosen_model
    from utils.prediction.training_embeddings import current_training_videos
    from utils.prediction.unlike_training import TrainingScale
    from utils.prediction.video_features import VideoFeatures
    from utils.training.reproducibility import choose_device

    try:
        device = choose_device(options.device)
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    recordings = [] if live else find_recordings(options.features, options.recursive)
    path = find_checkpoint(options.checkpoint, options.folder)
    archive = read_archive(path) if path.is_file() else None
    if archive is not None and holds_models(archive.content):
        models, further = models_of(archive.content, path)
        predictor = ProgressPredictor.of_features(
            chosen_model(models, options.task, path), int(further.get("skip_rate", 1))
        )
        features_first = further.get("layout") == "features_first"
        videos = VideoFeatures.of(further, path, options.encoder)
        return _predict(predictor, recordings, options, features_first, "", TrainingScale(None), path, videos)
    checkpoint = load_checkpoint(path, archive)
    places = {"DATASET_PATH": options.dataset_path, "FEATURES_FOLDER": options.features_folder}
    training_videos = None
    if any(places.values()):
        training_videos = current_training_videos(path, checkpoint, options.readout, places, device)
    predictor = ProgressPredictor.from_checkpoint(
        path, options.task, options.readout, device, training_videos, checkpoint
    )
    config = checkpoint["config"]
    features_first, key = config.get("FEATURE_LAYOUT") == "features_first", config.get("FEATURES_KEY", "")
    videos = VideoFeatures.of(checkpoint, path, options.encoder)
    return _predict(predictor, recordings, options, features_first, key, TrainingScale.of(checkpoint), path, videos)


def _predict(
    predictor: ProgressPredictor,
    recordings: Sequence[Found],
    options: argparse.Namespace,
    features_first: bool,
    key: str,
    scale: TrainingScale,
    path: Path,
    videos: VideoFeatures,
) -> int:
    """Predicts files, or standard input if there is none."""
    from utils.prediction.answers import line_of
    from utils.prediction.files import predict_files, write_predictions
    from utils.prediction.live import print_progress
    from utils.prediction.pictures import interval_name, places_for, track_of
    from utils.prediction.progress.model import ProgressAnswers
    from utils.report.player import write_player
    from utils.video.overlay import write_overlay
    from utils.video.writing import ANIMATIONS, VIDEO

    predictor.log_what_it_reads("an embedding, and so progress," if options.embeddings else "progress")
    if not recordings:
        if options.features != [STANDARD_INPUT] or options.raw:
            return _predict_pictures(predictor, options, scale, videos)
        return print_progress(predictor, options.missing, scale.watch, options.timestamps)

    output = Path(options.output)
    overlays = places_for(options.overlay, recordings, (VIDEO, *ANIMATIONS))
    pages = places_for(options.report, recordings, (".html",))
    # Nothing is written before every file has been read.
    embeddings = output if options.embeddings else None
    predictions, failures = predict_files(
        predictor, recordings, features_first, embeddings, options.features_key or key, scale, videos
    )
    for name, found in predictions.items():
        if isinstance(found, ProgressAnswers):
            logger.info("%s: %s", name, line_of(found))
        else:
            frames = f"{len(found)} frame{'s' * (len(found) != 1)}"
            logger.info("%s: %.1f %% after %s", name, 100 * found[-1], frames)
    write_predictions(output, predictions, videos.frame_rate)
    logger.info("written to %s", options.output)
    paths = {each.name: each.path for each in recordings}
    for name, found in predictions.items():
        if options.overlay or options.report:
            track = track_of(found, videos.frame_rate)
        if options.overlay:
            write_overlay(overlays[name], paths[name], track)
            logger.info("written %s", overlays[name])
        if options.report:
            for path_written in write_player(pages[name], paths[name], track, name, interval_name(found)):
                logger.info("written %s", path_written)
    for failure in failures:
        logger.error("not predicted: %s", failure)
    if failures:
        logger.error("%d of %d files could not be predicted; the others are written", len(failures), len(recordings))
    if options.lerobot:
        from utils.annotation.exporters import Outline
        from utils.annotation.exporters.lerobot import write_progress

        curves = {name: getattr(found, "progress", found) for name, found in predictions.items()}
        outlines = [Outline(name, (), len(progress), progress.tolist()) for name, progress in curves.items()]
        write_progress(options.lerobot, outlines, str(path))
        logger.info("written to %s", options.lerobot)
    return FAILED if failures else 0


def _predict_pictures(
    predictor: ProgressPredictor, options: argparse.Namespace, scale: TrainingScale, videos: VideoFeatures
) -> int:
    """Predicts a camera, an address, or pictures on standard input."""
    import torch

    from utils.errors import DataError
    from utils.prediction.live import print_progress_of_pictures
    from utils.video.live import frames_of, raw_frames

    if options.raw and sys.stdin is None:
        raise DataError("standard input is closed")
    # The network sees a few frames at a time. Threads would wait for each other longer than they compute, above all
    # where other programs run.
    torch.set_num_threads(1)
    features_of = videos.of_frames()
    frames = raw_frames(sys.stdin.buffer, options.raw) if options.raw else frames_of(options.features[0])
    return print_progress_of_pictures(predictor, frames, features_of, videos.frame_rate, scale.watch)


def _raw_format(text: str) -> RawFormat:
    from utils.video.live import RawFormat

    try:
        return RawFormat.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv, "--output"))
