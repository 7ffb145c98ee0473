"""Predicts the progress of recordings from their features, whole files or frames as they come.

    python predict.py --checkpoint best_model_combined.pt recording.npy another.npy
    python predict.py --checkpoint best_model_combined.pt folder --task assembly --output predictions --embeddings
    camera-features | python predict.py --checkpoint output/demo/run-001/ckpt/best_model_combined.pt -

    python predict.py --checkpoint tea.progress.pt recording.npy

Writes <name>.csv and <name>.png for each file, with --embeddings <name>.npy too; with '-' it reads a frame a line and
prints progress at once. A checkpoint is a network, or what utils.prediction.fit_progress wrote of features alone.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.command import run_command
from utils.registry import AUTO, READOUTS

if TYPE_CHECKING:
    from utils.prediction.predictor import ProgressPredictor

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

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.checkpoints.reading import read_archive
    from utils.ckpt_save import find_checkpoint, load_checkpoint
    from utils.prediction.files import feature_files
    from utils.prediction.predictor import ProgressPredictor
    from utils.prediction.progress_files import chosen_model
    from utils.prediction.training_embeddings import current_training_videos
    from utils.progress.files import holds_models, models_of
    from utils.training.reproducibility import choose_device

    try:
        device = choose_device(options.device)
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    files = [] if live else feature_files(options.features)
    path = find_checkpoint(options.checkpoint, options.folder)
    content = read_archive(path).content if path.is_file() else None
    if holds_models(content):
        models, further = models_of(content, path)
        predictor = ProgressPredictor.of_features(
            chosen_model(models, options.task, path), int(further.get("skip_rate", 1))
        )
        return _predict(predictor, files, options, further.get("layout") == "features_first")
    checkpoint = load_checkpoint(path)
    places = {"DATASET_PATH": options.dataset_path, "FEATURES_FOLDER": options.features_folder}
    training_videos = None
    if any(places.values()):
        training_videos = current_training_videos(path, checkpoint, options.readout, places, device)
    predictor = ProgressPredictor.from_checkpoint(
        path, options.task, options.readout, device, training_videos, checkpoint
    )
    return _predict(predictor, files, options, checkpoint["config"].get("FEATURE_LAYOUT") == "features_first")


def _predict(
    predictor: ProgressPredictor, files: Sequence[Path], options: argparse.Namespace, features_first: bool
) -> int:
    """Predicts files, or standard input if there is none."""
    from utils.prediction.answers import line_of
    from utils.prediction.files import predict_files, write_predictions
    from utils.prediction.live import print_progress
    from utils.progress.model import ProgressAnswers

    predictor.log_what_it_reads("an embedding, and so progress," if options.embeddings else "progress")
    if not files:
        return print_progress(predictor)

    output = Path(options.output)
    # Nothing is written before every file has been read.
    predictions = predict_files(predictor, files, features_first, output if options.embeddings else None)
    for name, found in predictions.items():
        if isinstance(found, ProgressAnswers):
            logger.info("%s: %s", name, line_of(found))
        else:
            logger.info("%s: %.1f %% after %d frames", name, 100 * found[-1], len(found))
    write_predictions(output, predictions)
    logger.info("written to %s", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
