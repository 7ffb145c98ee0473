"""Evaluates a checkpoint: figures per task with intervals beside naive baselines, tables and pictures.

    python eval.py --checkpoint best_model_combined.pt
    python eval.py --checkpoint best_model_alignment.pt --folder output/demo/run-001 --split val
    python eval.py --checkpoint best_model_combined.pt --compare output/demo/run-001 output/demo/run-002

Writes to RUN/EVAL/<checkpoint>/ (with --task to a folder of its own): a CSV file a metric, metrics.json,
progress+*.png, similarity+*.png, map+*.png, and report.html, which holds them all. RUN/report.html holds all
evaluations of the run. --compare prints, and evaluates only those of which there are no figures yet.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from utils.ckpt_save import find_checkpoint, load_checkpoint
from utils.command import run_command
from utils.evaluation.checkpoint import EvaluationRequest, evaluate_checkpoint, evaluation_folder
from utils.evaluation.comparison import comparison_table
from utils.evaluation.results import ALL_TASKS, METRICS, Result, read_results
from utils.evaluation.tables import results_table
from utils.prediction.embedding import TRAINED
from utils.prediction.training_embeddings import weights_digest
from utils.report.page import REPORT
from utils.training.reproducibility import choose_device

logger = logging.getLogger("eval")


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkpoint", required=True, help="a path, a run, or the name of a file in the ckpt folder of the run"
    )
    parser.add_argument("-f", "--folder", help="the run; by default the newest one")
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--task", nargs="+", default=[], help="only these tasks")
    parser.add_argument(
        "--dataset-path", default="", help="folder of the data sets, if not that of the training"
    )
    parser.add_argument(
        "--features-folder", default="", help="FEATURES_FOLDER, if not that of the training"
    )
    parser.add_argument("--output", help="folder to write to instead of RUN/EVAL/<checkpoint>")
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="RUN",
        help="two or more runs (or checkpoint files) to compare; the first is the base",
    )
    parser.add_argument("--figures", type=_count, default=2, help="videos a task to draw; 0 draws nothing")
    parser.add_argument("--tsne", action="store_true", help="map the frames by t-SNE instead of PCA")
    parser.add_argument("--no-classifier", action="store_true", help="leave out PC")
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    if len(options.compare) == 1:
        parser.error("--compare needs at least two runs")
    if options.compare and (options.folder or options.output):
        parser.error(
            "--compare names its runs itself and writes to each of them: leave out --folder and --output"
        )
    try:
        device = str(choose_device(options.device))
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    request = EvaluationRequest(
        options.split,
        tuple(options.task),
        options.dataset_path,
        not options.no_classifier,
        options.figures,
        device,
        "tsne" if options.tsne else "pca",
        options.features_folder,
    )
    if options.compare:
        paths = [
            Path(run) if Path(run).is_file() else find_checkpoint(options.checkpoint, run)
            for run in options.compare
        ]
        if len({path.resolve() for path in paths}) < len(paths):
            parser.error(f"--compare means one checkpoint twice: {', '.join(map(str, paths))}")
        print(comparison_table({str(path): evaluated(path, request) for path in paths}, TRAINED))
        return 0

    path = find_checkpoint(options.checkpoint, options.folder)
    folder = Path(options.output) if options.output else evaluation_folder(path, options.split, options.task)
    logger.info("evaluating %s", path)
    results = evaluate_checkpoint(path, request, folder)
    tasks = list(dict.fromkeys(result.task for result in results))
    print(results_table(results, tasks[0] if len(tasks) == 2 else ALL_TASKS))
    print(f"\nwritten to {folder}, with {REPORT}")
    return 0


def evaluated(path: Path, request: EvaluationRequest) -> list[Result]:
    """Figures of a checkpoint: those on disk if they are of its weights and answer the request, else new ones.

    Figures on disk have a report beside them, written with them; a comparison adds nothing to it.
    """
    folder = evaluation_folder(path, request.split, request.tasks)
    written = folder / METRICS
    if written.is_file():
        weights = weights_digest(load_checkpoint(path))
        try:
            description = json.loads(written.read_text(encoding="utf-8"))
            if description.get("weights") == weights and request.is_answered_by(description.get("request")):
                results = read_results(description)
                logger.info("%s: figures of %s, delete them to evaluate anew", written, _time_of(written))
                return [r for r in results if request.classify or not r.metric.startswith("PC_")]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s can't be read, so %s is evaluated anew: %r", written, path, error)
    logger.info("evaluating %s", path)
    return evaluate_checkpoint(path, request, folder)


def _time_of(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
