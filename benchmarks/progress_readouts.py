"""Progress of new recordings by every read-out: cross-validated, and on test recordings, beside the naive guesses.

    python -m benchmarks.progress_readouts --dataset-path DATA --experiments salads50_accel salads50 openpack \\
        openpack_actions gtea --folders DATA/robot_assembly --seeds 0 1 2 3 4 --write docs/results.md

Read-outs are fitted to the features of the training and validation recordings, without any network. What is chosen is
chosen by their cross-validation; the test recordings choose nothing. Results of each data set and seed are kept in
--results, and what is there is not made again. The tables go between the marks `<!-- read-outs: begin -->` and
`<!-- read-outs: end -->` of the file that --write names.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.command import run_command

logger = logging.getLogger("progress_readouts")

BEGIN, END = "<!-- read-outs: begin -->", "<!-- read-outs: end -->"
NAIVE = ("index", "clock", "path")


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset-path", default="data", help="folder of the experiments' data sets")
    parser.add_argument("--experiments", nargs="*", default=(), help="names of files in configs/")
    parser.add_argument("--folders", nargs="*", type=Path, default=(), help="folders of further data sets")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--results", type=Path, default=Path("output/progress_readouts"))
    parser.add_argument("--write", type=Path, help="file whose tables are replaced; by default they are printed")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = argument_parser().parse_args(arguments[1:])
    found: dict[str, list[list[dict[str, Any]]]] = {}
    sets = [*((name, None) for name in options.experiments), *((folder.name, folder) for folder in options.folders)]
    for name, folder in sets:
        for seed in options.seeds:
            stored = options.results / f"{name}-seed{seed}.json"
            if not stored.is_file():
                measure(name, folder, options.dataset_path, seed, stored)
            found.setdefault(name, []).append(json.loads(stored.read_text(encoding="utf-8")))
    text = "\n".join([table(found), "", *summaries(found)])
    if options.write is None:
        print(text)
    else:
        write_between(options.write, text)
    return 0


def measure(name: str, folder: Path | None, dataset_path: str, seed: int, stored: Path) -> None:
    """Cross-validates and tests the read-outs of a data set, and writes what each recording's errors are."""
    from configs.entry_config import validated_experiment
    from configs.generic_config import get_generic_config
    from utils.data.dataset import load_data
    from utils.files import write_json
    from utils.prediction.progress.candidates import fit_candidates, read_all
    from utils.prediction.progress.cross_validation import cross_validate, scale_of
    from utils.prediction.progress.model import fit_progress
    from utils.prediction.progress_files import recordings_of
    from utils.prediction.readouts.steps import StepFigures, judge_steps

    if folder is None:
        config = {**validated_experiment(f"configs/{name}.py").to_dict(), "DATASET_PATH": dataset_path}
    else:
        config = {**get_generic_config().to_dict(), "DATASET_PATH": str(folder.parent), "DATASET_NAME": folder.name}
    data = load_data({**config, "STANDARDIZE": False})
    tasks = []
    for task in data.train.tasks:
        fitting = [*recordings_of(data.train, task), *recordings_of(data.val, task)]
        tests = recordings_of(data.test, task)
        began = time.perf_counter()
        of_folds = cross_validate(fitting, seed)
        model = fit_progress(fitting, seed, found=of_folds)
        seconds = time.perf_counter() - began
        candidates = fit_candidates(fitting, scale_of(fitting), seed)
        curves = [read_all(candidates, one.frames) for one in tests]
        truth = [one.progress for one in tests]
        answers = [model.predict(one.frames) for one in tests]
        mean_length = float(np.mean([len(one) for one in fitting]))
        left = [len(one) - 1 - np.arange(len(one)) for one in tests]

        def share(gaps: np.ndarray) -> float:
            return float(np.abs(gaps).mean() / mean_length)  # noqa: B023

        tasks.append(
            {
                "task": task, "chosen": model.name, "recordings": len(fitting), "seconds": seconds,
                "cross_validated": {read: of_folds.errors(read).tolist() for read in of_folds.quantiles},
                "test": {
                    read: [float(np.abs(c[read][:, 1] - t).mean()) for c, t in zip(curves, truth, strict=True)]
                    for read in candidates.names()
                },
                "covered": [
                    float(((t >= a.lower) & (t <= a.upper)).mean()) for a, t in zip(answers, truth, strict=True)
                ],
                "width": [float((a.upper - a.lower).mean()) for a in answers],
                "remaining": [share(a.rows["remaining"] - r) for a, r in zip(answers, left, strict=True)],
                "naive_remaining": [
                    share(np.maximum(mean_length - 1 - np.arange(len(r)), 0) - r) for r in left
                ],
                "steps": [
                    judge_steps(model.steps, model.scale, one) if model.steps else StepFigures() for one in tests
                ],
                "out_of_range": [float((a.rows["unlike"] > 0).mean()) for a in answers],
            }
        )  # fmt: skip
        logger.info("%s, %s, seed %d: %s, %.0f s", name, task, seed, model.name, seconds)
    write_json(stored, tasks)


def _mean(task: dict[str, Any], part: str, read: str) -> float:
    return float(np.mean(task[part][read])) if read in task[part] and task[part][read] else float("nan")


def _ratio(seeds: Sequence[Sequence[dict[str, Any]]], part: str, read: str) -> list[tuple[float, float]]:
    """By seed, the error of a read-out and its ratio to the best naive guess, each the mean over the tasks.

    'auto' is what each task's cross-validation chose.
    """
    found = []
    for tasks in seeds:
        errors = [_mean(task, part, task["chosen"] if read == "auto" else read) for task in tasks]
        naive = [min(_mean(task, part, guess) for guess in NAIVE) for task in tasks]
        found.append((float(np.mean(errors)), float(np.mean(errors) / np.mean(naive))))
    return found


def table(found: dict[str, list[list[dict[str, Any]]]]) -> str:
    """Read-outs by data sets: cross-validated error | test error, with the ratio to the best naive guess."""
    tasks = [task for seeds in found.values() for tasks in seeds for task in tasks]
    reads = list(dict.fromkeys(read for task in tasks for read in task["test"]))
    lines = ["| read-out | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for read in ["auto", *reads]:
        cells = []
        for seeds in found.values():
            parts = []
            for part in ("cross_validated", "test"):
                values = np.array(_ratio(seeds, part, read))
                mean, ratio = values.mean(axis=0)
                parts.append("" if np.isnan(mean) else f"{mean:.4f} ({ratio:.2f})")
            cells.append(", ".join(parts))
        lines.append(f"| {'**auto**' if read == 'auto' else read} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summaries(found: dict[str, list[list[dict[str, Any]]]]) -> list[str]:
    """What the whole answer of the chosen read-out is worth on the test recordings of each data set."""
    from utils.metrics.intervals import mean_interval
    from utils.prediction.readouts.steps import StepFigures

    lines = [
        "| data set | chosen | auto minus best naive guess, test [95 %] | spread over seeds | interval holds, width | "
        "step found (majority) | inside the step (one half) | inside an action that is told (its clock) | "
        "remaining time / its naive guess | out of range | fit |",
        "|---" * 11 + "|",
    ]
    for name, seeds in found.items():
        differences = []
        for tasks in seeds:
            own = []
            for task in tasks:
                naive = min(NAIVE, key=lambda guess: _mean(task, "test", guess))
                own += list(np.array(task["test"][task["chosen"]]) - np.array(task["test"][naive]))
            differences.append(own)
        interval = mean_interval(np.mean(differences, axis=0))
        errors = [error for error, _ in _ratio(seeds, "test", "auto")]
        chosen = sorted({task["chosen"] for tasks in seeds for task in tasks})

        def of(key: str) -> np.ndarray:
            return np.concatenate([np.array(task[key], dtype=float) for tasks in seeds for task in tasks])  # noqa: B023

        steps = of("steps").reshape(-1, len(StepFigures._fields))
        lines.append(
            f"| {name} | {', '.join(chosen)} | {interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}] | "
            f"{min(errors):.4f} to {max(errors):.4f} | {of('covered').mean():.2f}, {of('width').mean():.2f} | "
            f"{steps[:, 0].mean():.2f} ({steps[:, 1].mean():.2f}) | "
            f"{np.nanmean(steps[:, 2]):.3f} ({np.nanmean(steps[:, 3]):.3f}) | "
            f"{np.nanmean(steps[:, 4]):.3f} ({np.nanmean(steps[:, 5]):.3f}) | "
            f"{of('remaining').mean() / of('naive_remaining').mean():.2f} | {of('out_of_range').mean():.2f} | "
            f"{np.mean([sum(task['seconds'] for task in tasks) for tasks in seeds]):.0f} s |"
        )
    return lines


def write_between(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replaces what stands between two marks of a file."""
    from utils.errors import DataError
    from utils.files import write_text

    page = path.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise DataError(f"{path} needs one line {begin} and after it one line {end}")
    head, rest = page.split(begin)
    write_text(path, f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
