"""Trains and evaluates experiments over losses and seeds, and writes the tables of docs/results.md.

    python -m benchmarks.results --dataset-path DATA_ROOT --experiments salads50_accel openpack salads50 \
        --losses GTCC tcc LAV VAVA --seeds 0 1 2 --write docs/results.md

Which setting of a loss is shown (progress term on or off, which of the two best checkpoints) is chosen on the
validation recordings; the test recordings give the figures. A run or an evaluation that is there already is not made
again, so that a table can be extended and an interrupted command goes on.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from tqdm import tqdm

import multitask_train
from utils.evaluation.checkpoint import (
    EvaluationRequest,
    evaluate_checkpoint,
    evaluation_folder,
    fingerprints_of_figures,
    stored_results,
)
from utils.evaluation.differences import BEATS, NOT_SHOWN, WORSE
from utils.evaluation.group_comparison import GroupFigure, compare_groups
from utils.evaluation.results import ALL_TASKS, Result
from utils.evaluation.variants import VARIANTS, Kind
from utils.files import write_text
from utils.metrics.table import METRICS, Metric
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED
from utils.registry import AUTO, LOSSES

CHECKPOINTS = ("combined", "alignment")
# The metric by which a table is headed, and by which the setting of each loss is chosen on validation recordings.
CHOOSING = {"Progress": METRICS["OPE_video_online"], "Alignment": METRICS["KTW"]}
BESIDE = {"Progress": ("OPE_action_online",), "Alignment": ("EAE", "PC_100")}
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"  # of an experiment's tables in a page


class Setting(NamedTuple):
    """What is chosen on validation recordings."""

    loss: str
    progress: str
    checkpoint: str


@dataclass(frozen=True)
class Seeds:
    """The evaluations of one setting: the figures of each seed, on validation and on test recordings."""

    val: Sequence[Sequence[Result]]
    test: Sequence[Sequence[Result]]


def train(experiment: str, loss: str, progress: str, seed: int, options: argparse.Namespace) -> Path:
    """The folder of a run, which is trained unless it is there."""
    name = f"{experiment}-{loss}-progress_{progress}-seed{seed}"
    arguments = [
        "multitask_train.py",
        f"--config=configs/{experiment}.py",
        f"--config.DATASET_PATH={options.dataset_path}",
        f"--config.OUTPUT_FOLDER={options.output}",
        f"--config.EXPERIMENTNAME={name}",
        f"--config.SEED={seed}",
        f"--config.PROGRESS_LOSS.enabled={str(progress == 'on').lower()}",
        *(f"--config.LOSS_TYPE.{other}={str(other == loss).lower()}" for other in LOSSES),
        "--config.FIT_PROGRESS=false",
        *options.override,
        "--resume=auto",
    ]
    multitask_train.main(arguments)
    return max((Path(options.output) / name).glob("run-*"))


def evaluate(paths: Sequence[Path], split: str, competitors: bool) -> dict[Path, list[Result]]:
    """The figures of checkpoints: those on disk, if an evaluation would give them now. One evaluation is enough for two
    checkpoints of the same weights, as the two best ones of a run often are."""
    request = EvaluationRequest(split=split, classify=split == "test", figures=0, competitors=competitors)
    found: dict[Path, list[Result]] = {}
    same: dict[str, list[Result]] = {}
    fingerprints = fingerprints_of_figures(paths, request)
    for path in tqdm(paths, desc=f"evaluating, {split}", disable=None):
        key, folder = repr(fingerprints[path]), evaluation_folder(path, split)
        if key not in same:
            stored = stored_results(path, request, folder, fingerprints[path])
            same[key] = stored or evaluate_checkpoint(path, request, folder)
        found[path] = same[key]
    return found


def evaluate_settings(experiment: str, options: argparse.Namespace) -> dict[Setting, Seeds]:
    """Every setting of an experiment, trained and evaluated.

    Validation only chooses between trained networks. Raw features and untrained networks depend on nothing but the data
    and the seed, so that they are evaluated with the first setting of each seed, and hold for all.
    """
    settings = list(product(options.losses, options.progress))
    runs = {
        (*setting, seed): train(experiment, *setting, seed, options)
        for seed, setting in tqdm(list(product(options.seeds, settings)), desc=experiment, disable=None)
    }
    paths = {(*run, kind): runs[run] / "ckpt" / f"best_model_{kind}.pt" for run in runs for kind in CHECKPOINTS}
    firsts = {seed: next(path for (*_, own, _), path in paths.items() if own == seed) for seed in options.seeds}
    with_competitors = evaluate(list(firsts.values()), "test", competitors=True)
    own = {split: evaluate(list(paths.values()), split, competitors=False) for split in ("val", "test")}

    def of_seed(split: str, loss: str, progress: str, seed: int, kind: str) -> list[Result]:
        trained = own[split][paths[loss, progress, seed, kind]]
        if split == "val":
            return trained
        others = [r for r in with_competitors[firsts[seed]] if VARIANTS[r.variant].kind in (Kind.RAW, Kind.UNTRAINED)]
        return [r for r in trained if VARIANTS[r.variant].kind not in (Kind.RAW, Kind.UNTRAINED)] + others

    return {
        Setting(loss, progress, kind): Seeds(
            *([of_seed(split, loss, progress, seed, kind) for seed in options.seeds] for split in ("val", "test"))
        )
        for (loss, progress), kind in product(settings, CHECKPOINTS)
    }


def figure(results: Sequence[Result], metric: Metric, variant: str) -> float | None:
    """A metric of a variant, over tasks."""
    return next((r.mean for r in results if (r.metric, r.variant, r.task) == (metric.name, variant, ALL_TASKS)), None)


def mean_figure(seeds: Sequence[Sequence[Result]], metric: Metric, variant: str = TRAINED) -> float:
    return mean(value for results in seeds if (value := figure(results, metric, variant)) is not None)


def choose(settings: Mapping[Setting, Seeds], loss: str, metric: Metric) -> Setting:
    """The setting of a loss that is best on the validation recordings, by the mean over seeds."""
    best = min if metric.better == "lower" else max
    return best((s for s in settings if s.loss == loss), key=lambda setting: mean_figure(settings[setting].val, metric))


def spread(seeds: Sequence[Sequence[Result]], metric: Metric, variant: str = TRAINED) -> str:
    """Mean over seeds with the least and the largest, where they differ."""
    values = [value for results in seeds if (value := figure(results, metric, variant)) is not None]
    if not values:
        return "–"
    text = f"{mean(values):.3f}"
    return text if max(values) - min(values) < 5e-4 else f"{text} ({min(values):.3f} to {max(values):.3f})"


def best_naive(seeds: Sequence[Sequence[Result]], metric: Metric) -> str:
    """The naive guess that is best on the test recordings, the hardest one to beat."""
    naive = {r.variant for r in seeds[0] if r.metric == metric.name and VARIANTS[r.variant].kind is Kind.NAIVE}
    best = min if metric.better == "lower" else max
    return best(sorted(naive), key=lambda variant: mean_figure(seeds, metric, variant))


def difference_from(seeds: Sequence[Sequence[Result]], metric: Metric, variant: str) -> GroupFigure:
    """The trained network minus another variant, paired by seed and by recording or pair of recordings."""
    others = [[replace(r, variant=TRAINED) for r in run if r.variant == variant] for run in seeds]
    return difference_of_groups(seeds, others, metric)


def difference_of_groups(
    own: Sequence[Sequence[Result]], other: Sequence[Sequence[Result]], metric: Metric
) -> GroupFigure:
    """The trained networks of some runs minus those of others, paired by seed and by recording or pair of them."""
    groups = {
        name: [[r for r in run if (r.metric, r.variant) == (metric.name, TRAINED)] for run in group]
        for name, group in (("other", other), ("own", own))
    }
    return compare_groups(groups, TRAINED)[-1]


def verdict(difference: GroupFigure, metric: Metric) -> str:
    """'-0.021 [-0.050, 0.008], not shown to beat', as of `utils.evaluation.differences`."""
    interval = difference.difference
    if interval is None:
        return "–"
    if not interval.exists:
        return f"{interval.mean:+.3f}"
    said = NOT_SHOWN
    if not interval.low <= 0 <= interval.high:
        said = BEATS if (interval.high < 0) == (metric.better == "lower") else WORSE
    text = f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"**{text}, {said}**" if said == BEATS else f"{text}, {said}"


def main_table(settings: Mapping[Setting, Seeds], what: str, losses: Sequence[str]) -> list[str]:
    """Each loss by the setting that validation chose: its figures, and its difference from what it competes with."""
    metric, beside = CHOOSING[what], [METRICS[name] for name in BESIDE[what]]
    any_seeds = next(iter(settings.values())).test
    naive = best_naive(any_seeds, metric)
    arrow = {"lower": "↓", "higher": "↑"}
    heads = [f"{each.name} {arrow[each.better]}" for each in (metric, *beside)]
    lines = [
        f"| {' | '.join(['', 'chosen on validation', f'{metric.name}, validation', *heads])} | minus {naive} | "
        "minus raw features | minus untrained network |",
        "|" + "---|" * (len(heads) + 6),
    ]
    for loss in losses:
        chosen = choose(settings, loss, metric)
        seeds = settings[chosen]
        cells = [
            loss, f"progress term {chosen.progress}, best {chosen.checkpoint} checkpoint",
            f"{mean_figure(seeds.val, metric):.3f}", *(spread(seeds.test, each) for each in (metric, *beside)),
            *(verdict(difference_from(seeds.test, metric, other), metric) for other in (naive, RAW, UNTRAINED)),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    naive_rows = {naive} | {best_naive(any_seeds, each) for each in beside}
    for variant in (UNTRAINED, RAW, *sorted(naive_rows)):
        figures = [spread(any_seeds, each, variant) for each in (metric, *beside)]
        lines.append(f"| {' | '.join([variant, '', '', *figures, '', '', ''])} |")
    return lines


def progress_term_table(settings: Mapping[Setting, Seeds], losses: Sequence[str]) -> list[str]:
    """What the progress term changes, on test recordings: with it minus without it, by the best combined checkpoint."""
    metrics = list(CHOOSING.values())
    lines = [f"| loss | {' | '.join(metric.name for metric in metrics)} |", "|" + "---|" * (len(metrics) + 1)]
    for loss in losses:
        on, off = (settings[Setting(loss, progress, CHECKPOINTS[0])].test for progress in ("on", "off"))
        cells = [verdict(difference_of_groups(on, off, metric), metric) for metric in metrics]
        lines.append(f"| {' | '.join([loss, *cells])} |")
    return lines


def all_settings_table(settings: Mapping[Setting, Seeds]) -> list[str]:
    """Every setting, on validation and on test recordings."""
    metrics = list(CHOOSING.values())
    heads = [f"{metric.name}, {split}" for metric in metrics for split in ("validation", "test")]
    lines = [f"| loss | progress term | checkpoint | {' | '.join(heads)} |", "|" + "---|" * (len(heads) + 3)]
    for setting, seeds in settings.items():
        cells = [spread(part, metric) for metric in metrics for part in (seeds.val, seeds.test)]
        lines.append(f"| {' | '.join([*setting, *cells])} |")
    return lines


def readouts_table(settings: Mapping[Setting, Seeds], losses: Sequence[str]) -> list[str]:
    """Progress by every read-out, of the trained network and of the raw features."""
    metric = CHOOSING["Progress"]
    chosen = {loss: settings[choose(settings, loss, metric)].test for loss in losses}
    any_seeds = next(iter(chosen.values()))
    heads = ["read-out", *losses, RAW, UNTRAINED]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    # What cross-validation chose isn't here: it has no row of raw features, and these runs didn't choose.
    of_networks = [v.readout for v in VARIANTS.values() if v.kind is Kind.TRAINED and v.readout != AUTO]
    for readout in (name or "path" for name in of_networks):
        row = {
            kind: next(v.name for v in VARIANTS.values() if v.kind is kind and (v.readout or "path") == readout)
            for kind in (Kind.TRAINED, Kind.RAW, Kind.UNTRAINED)
        }
        cells = [
            *(spread(seeds, metric, row[Kind.TRAINED]) for seeds in chosen.values()),
            spread(any_seeds, metric, row[Kind.RAW]), spread(any_seeds, metric, row[Kind.UNTRAINED]),
        ]  # fmt: skip
        lines.append(f"| {readout} | {' | '.join(cells)} |")
    return lines


def experiment_tables(experiment: str, options: argparse.Namespace) -> list[str]:
    settings = evaluate_settings(experiment, options)
    seeds = " and ".join(map(str, options.seeds)) if len(options.seeds) < 3 else ", ".join(map(str, options.seeds))
    lines = [f"## {experiment}", "", f"Seeds {seeds}.", ""]
    for what in CHOOSING:
        lines += [f"### {what}", "", *main_table(settings, what, options.losses), ""]
    lines += ["### Progress by read-out", "", *readouts_table(settings, options.losses), ""]
    if {"on", "off"} <= set(options.progress):
        lines += ["### With the progress term minus without it", "", *progress_term_table(settings, options.losses), ""]
    return [*lines, "### Every setting", "", *all_settings_table(settings), ""]


def insert(page: Path, experiment: str, tables: str) -> None:
    """Puts the tables between the two marks of their experiment in a page, or at its end if it has none; the rest is
    left as it is."""
    begin, end = BEGIN.format(experiment), END.format(experiment)
    before = page.read_text(encoding="utf-8") if page.is_file() else ""
    if begin not in before:
        before = f"{before.rstrip()}\n\n{begin}\n{end}\n".lstrip()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    write_text(page, pattern.sub(lambda _: f"{begin}\n\n{tables}\n{end}", before))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset-path", default="data")
    parser.add_argument("--experiments", nargs="+", default=["salads50_accel"])
    parser.add_argument("--losses", nargs="+", default=["GTCC"], choices=LOSSES)
    parser.add_argument("--progress", nargs="+", default=["on"], choices=["on", "off"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--override", action="append", default=[], metavar="--config.KEY=VALUE",
        help="a further setting, as --override=--config.KEY=VALUE; may be given several times",
    )  # fmt: skip
    parser.add_argument("--output", default="output/results")
    parser.add_argument("--write", type=Path, help="page in which to replace the tables of these experiments")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    for experiment in options.experiments:
        tables = "\n".join(experiment_tables(experiment, options))
        print(tables)
        if options.write:
            insert(options.write, experiment, tables)


if __name__ == "__main__":
    main()
