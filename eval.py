"""Evaluates a checkpoint: figures per task with intervals beside naive baselines, tables and pictures.

    python eval.py --checkpoint best_model_combined.pt
    python eval.py --checkpoint best_model_alignment.pt --folder output/demo/run-001 --split val
    python eval.py --checkpoint best_model_combined.pt --compare output/demo/run-001 output/demo/run-002

Writes to RUN/EVAL/<checkpoint>/ (with --task to a folder of its own): a CSV file a metric, metrics.json,
progress+*.png, similarity+*.png, map+*.png, and report.html, which holds them all. RUN/report.html holds all
evaluations of the run. --compare prints, and evaluates only those of which there are no figures yet, or figures of
other weights, settings or data.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.command import run_command
from utils.errors import import_extra

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
    parser.add_argument("--dataset-path", default="", help="folder of the data sets, if not that of the training")
    parser.add_argument("--features-folder", default="", help="FEATURES_FOLDER, if not that of the training")
    parser.add_argument("--output", help="folder to write to instead of RUN/EVAL/<checkpoint>")
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="RUN",
        help="two or more runs (or checkpoint files) to compare; the first is the base",
    )
    parser.add_argument("--figures", type=_count, default=2, help="videos a task to draw; 0 draws nothing")
    parser.add_argument("--tsne", action="store_true", help="map the frames by t-SNE instead of PCA")
    parser.add_argument("--no-classifier", action="store_true", help="leave out PC")
    parser.add_argument(
        "--published-definitions", action="store_true",
        help="KT, PC and PHP as the literature's programs define them, too; PC so takes minutes and scikit-learn",
    )
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    if len(options.compare) == 1:
        parser.error("--compare needs at least two runs")
    if options.compare and (options.folder or options.output):
        parser.error("--compare names its runs itself and writes to each of them: leave out --folder and --output")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.ckpt_save import find_checkpoint
    from utils.evaluation.checkpoint import (
        EvaluationRequest,
        evaluate_checkpoint,
        evaluation_folder,
        fingerprints_of_figures,
        stored_results,
    )
    from utils.evaluation.comparison import comparison_table, refuse_other_truths
    from utils.evaluation.notes import VALIDATION_CHOSE
    from utils.evaluation.results import ALL_TASKS, Result
    from utils.evaluation.tables import results_table
    from utils.prediction.embedding import TRAINED
    from utils.report.page import REPORT, write_reports
    from utils.training.reproducibility import choose_device

    if options.tsne:
        import_extra("sklearn.manifold", "evaluation", "--tsne")  # not after minutes of evaluation
    try:
        device = str(choose_device(options.device))
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    request = EvaluationRequest(
        options.split, tuple(options.task), options.dataset_path, not options.no_classifier, options.figures, device,
        "tsne" if options.tsne else "pca", options.features_folder, options.published_definitions,
    )

    def evaluate(path: Path, folder: Path) -> list[Result]:
        logger.info("evaluating %s", path)
        results = evaluate_checkpoint(path, request, folder)
        write_reports(folder)
        return results

    said = f"\n{VALIDATION_CHOSE}" if options.split == "val" else ""

    if options.compare:
        paths = [Path(r) if Path(r).is_file() else find_checkpoint(options.checkpoint, r) for r in options.compare]
        if len({path.resolve() for path in paths}) < len(paths):
            parser.error(f"--compare means one checkpoint twice: {', '.join(map(str, paths))}")
        evaluations = {}
        fingerprints = fingerprints_of_figures(paths, request)
        refuse_other_truths({str(path): fingerprint for path, fingerprint in fingerprints.items()}, options.split)
        for path, fingerprint in fingerprints.items():
            folder = evaluation_folder(path, options.split, options.task)
            # Figures on disk have a report beside them, written with them; a comparison adds nothing to it.
            results = stored_results(path, request, folder, fingerprint) or evaluate(path, folder)
            evaluations[str(path)] = results
        print(comparison_table(evaluations, TRAINED) + said)
        return 0

    path = find_checkpoint(options.checkpoint, options.folder)
    folder = Path(options.output) if options.output else evaluation_folder(path, options.split, options.task)
    results = evaluate(path, folder)
    tasks = list(dict.fromkeys(result.task for result in results))
    print(results_table(results, tasks[0] if len(tasks) == 2 else ALL_TASKS) + said)
    print(f"\nwritten to {folder}, with {REPORT}")
    return 0


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
