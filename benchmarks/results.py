"""Trains and evaluates experiments over losses, the progress term and seeds, and writes the tables of docs/results.md.

    python -m benchmarks.results --dataset-path DATA_ROOT --experiments salads50_accel --losses GTCC tcc \
        --progress on off --seeds 0 1 2 --write docs/results.md

An existing run is not trained again, so that a table can be extended.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import multitask_train
from utils.evaluation.checkpoint import EvaluationRequest, evaluate_checkpoint, evaluation_folder, stored_results
from utils.evaluation.results import ALL_TASKS, Result
from utils.evaluation.variants import CLOCK
from utils.files import write_text
from utils.metrics.table import METRICS
from utils.prediction.embedding import TRAINED, UNTRAINED
from utils.registry import LOSSES
from utils.report.page import write_reports
from utils.training.reproducibility import choose_device

PROGRESS, ALIGNMENT = METRICS["OPE_video_online"], METRICS["KTW"]
CHECKPOINTS = ("combined", "alignment")

# Name of a metric -> variant -> its figure.
Figures = dict[str, dict[str, Result]]


def run_experiment(
    experiment: str, loss: str, progress: bool, seed: int, options: argparse.Namespace
) -> dict[str, Figures]:
    """Trains and evaluates one setting; returns each checkpoint's figures."""
    name = f"{experiment}-{loss}-progress_{'on' if progress else 'off'}-seed{seed}"
    arguments = [
        "multitask_train.py",
        f"--config=configs/{experiment}.py",
        f"--config.DATASET_PATH={options.dataset_path}",
        f"--config.OUTPUT_FOLDER={options.output}",
        f"--config.EXPERIMENTNAME={name}",
        f"--config.SEED={seed}",
        f"--config.PROGRESS_LOSS.enabled={str(progress).lower()}",
        *(f"--config.LOSS_TYPE.{other}={str(other == loss).lower()}" for other in LOSSES),
        *options.override,
        "--resume=auto",
    ]
    multitask_train.main(arguments)
    run = max((Path(options.output) / name).glob("run-*"))
    figures = {}
    for kind in CHECKPOINTS:
        path = run / "ckpt" / f"best_model_{kind}.pt"
        request = EvaluationRequest(classify=False, device=str(choose_device("auto")))
        folder = evaluation_folder(path)
        results = stored_results(path, request, folder)
        if results is None:
            results = evaluate_checkpoint(path, request, folder)
            write_reports(folder)
        figures[kind] = {metric.name: figures_of(metric.name, results) for metric in (PROGRESS, ALIGNMENT)}
    return figures


def figures_of(metric: str, results: Sequence[Result]) -> dict[str, Result]:
    """A metric of every variant, over tasks."""
    return {r.variant: r for r in results if (r.metric, r.task) == (metric, ALL_TASKS) and r.mean is not None}


def spread(values: Sequence[float]) -> str:
    """Mean over seeds, with the smallest and the largest value; a figure that no seed changes has none."""
    text = f"{mean(values):.3f}"
    return text if min(values) == max(values) else f"{text} ({min(values):.3f} to {max(values):.3f})"


def losses_table(runs: Mapping[tuple[str, bool], list[dict[str, Figures]]]) -> list[str]:
    """The trained network by loss and progress term: progress, then alignment."""
    kinds = [f"best {kind} checkpoint" for kind in CHECKPOINTS]
    lines = [
        f"| loss | progress term | error, {kinds[0]} | error, {kinds[1]} | KTW, {kinds[0]} | KTW, {kinds[1]} |",
        "|---|---|---|---|---|---|",
    ]

    def row(loss: str, term: str, seeds: Sequence[dict[str, Figures]], variant: str) -> str:
        cells = [
            spread([seed[kind][metric.name][variant].mean for seed in seeds])
            for metric in (PROGRESS, ALIGNMENT)
            for kind in CHECKPOINTS
        ]
        return f"| {loss} | {term} | {' | '.join(cells)} |"

    for (loss, progress), seeds in runs.items():
        lines.append(row(loss, "on" if progress else "off", seeds, TRAINED))
    _, seeds = next(iter(runs.items()))
    return [*lines, *(row(variant, "", seeds[:1], variant) for variant in (UNTRAINED, CLOCK))]


def variants_table(seeds: Sequence[dict[str, Figures]]) -> list[str]:
    """Every read-out and baseline beside the trained network, for one setting."""
    lines = ["| variant | error, mean over seeds | 95 % interval over videos, first seed |", "|---|---|---|"]
    for variant, first in seeds[0]["combined"][PROGRESS.name].items():
        figures = [seed["combined"][PROGRESS.name][variant] for seed in seeds]
        interval = "none" if first.low is None else f"{first.low:.3f} to {first.high:.3f}"
        lines.append(f"| {variant} | {spread([each.mean for each in figures])} | {interval} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset-path", default="data")
    parser.add_argument("--experiments", nargs="+", default=["salads50_accel"])
    parser.add_argument("--losses", nargs="+", default=["GTCC"], choices=LOSSES)
    parser.add_argument("--progress", nargs="+", default=["on"], choices=["on", "off"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--override", nargs="*", default=[], help="further --config.KEY=VALUE")
    parser.add_argument("--output", default="output/results")
    parser.add_argument("--write", type=Path, help="file to append the tables to")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    lines = []
    for experiment in options.experiments:
        runs = {
            (loss, progress == "on"): [
                run_experiment(experiment, loss, progress == "on", seed, options) for seed in options.seeds
            ]
            for loss in options.losses
            for progress in options.progress
        }
        (loss, progress), seeds = next(iter(runs.items()))
        term = "with" if progress else "without"
        lines += [f"## {experiment}", "", *losses_table(runs), ""]
        lines += [f"{loss}, {term} the progress term, best combined checkpoint:", "", *variants_table(seeds), ""]
    text = "\n".join(lines)
    print(text)
    if options.write:
        before = options.write.read_text(encoding="utf-8") if options.write.is_file() else ""
        write_text(options.write, f"{before}\n{text}".lstrip())


if __name__ == "__main__":
    main()
