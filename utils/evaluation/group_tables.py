"""Compared groups of runs as text, as CSV and as LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from utils.command import format_table
from utils.evaluation.group_comparison import GroupFigure
from utils.evaluation.results import ALL_TASKS
from utils.metrics.table import METRICS, Metric

COLUMNS = (
    "metric", "better", "group", "runs", "mean", "deviation", "difference", "low", "high", "recordings", "note",
)  # fmt: skip
_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def explanation(groups: Mapping[str, Sequence[str]], variant: str) -> list[str]:
    """What the tables hold, what is paired and what an interval means, a line each.

    Args:
        groups: by name, where the figures of each of its runs are from.
        variant: which variant is compared.
    """
    base, *others = groups
    numbers = {len(runs) for runs in groups.values()}
    said = [f"{name}: {', '.join(runs)}" for name, runs in groups.items()]
    said.append(f"{variant}, {ALL_TASKS}: mean over runs ± standard deviation over runs (n - 1)")
    paired = "paired by recording"
    if numbers == {1}:
        means = "other recordings; it says nothing of other runs (seeds), for there is one run a group"
    else:
        means = "other recordings and other runs (seeds) at once"
        if len(numbers) == 1:
            paired += " and by run, the first of a group with the first of the other and so on"
        else:
            paired += ", and by run, in their order, where two groups have the same number of them"
    said.append(f"{' and '.join(f'{name} - {base}' for name in others)}: difference of the group means, {paired}")
    said.append(f"[low, high]: 95 % interval of the difference (Student's t) for {means}")
    return said


def as_text(
    figures: Sequence[GroupFigure], said: Sequence[str], metrics: Mapping[str, Metric] = METRICS
) -> str:
    """A table of plain text between what it holds and what is to be known of its figures."""
    heads, rows = _cells(figures, str, " ± ", "{} - {}")
    lines = [[f"{name} ({metrics[name].better})", *cells] for name, cells in rows.items()]
    notes = _notes(figures)
    return "\n".join([*said, "", format_table(["metric (better)", *heads], lines), *([""] if notes else []), *notes])


def as_csv(
    figures: Sequence[GroupFigure], said: Sequence[str], metrics: Mapping[str, Metric] = METRICS
) -> str:
    """A row a metric and group, at full precision; what there is none of is an empty cell.

    What the table holds (`said`) isn't in it: programs read it, to whom a line is a row.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for f in figures:
        low = high = difference = None
        if f.difference is not None:
            difference = f.difference.mean
            low, high = (f.difference.low, f.difference.high) if f.difference.exists else (None, None)
        writer.writerow(
            [f.metric, metrics[f.metric].better, f.group, f.runs, f.mean, f.deviation, difference, low, high,
             f.recordings if f.difference is not None else None, "; ".join(f.notes)]
        )  # fmt: skip
    return text.getvalue().rstrip("\n")


def as_latex(
    figures: Sequence[GroupFigure], said: Sequence[str], metrics: Mapping[str, Metric] = METRICS
) -> str:
    """A plain `tabular`, which needs no package; what it holds stands above it as comments."""
    heads, rows = _cells(figures, escaped, r" \pm ", "{} $-$ {}")
    gap = r"\ ["  # a plain space is none in mathematics
    better = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}
    lines = [
        [
            f"{escaped(name)} {better[metrics[name].better]}",
            *("--" if cell == "-" else f"${cell.replace(' [', gap)}$" for cell in cells),
        ]
        for name, cells in rows.items()
    ]
    comments = [f"% {' '.join(line.split())}" for line in [*said, *_notes(figures)]]
    table = [
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}", r"\hline", " & ".join(["metric", *heads]) + r" \\", r"\hline",
        *(" & ".join(line) + r" \\" for line in lines), r"\hline", r"\end{tabular}",
    ]  # fmt: skip
    return "\n".join([*comments, *table])


def escaped(text: str) -> str:
    """A name as LaTeX text."""
    return "".join(_ESCAPED.get(character, character) for character in " ".join(text.split()))


def _cells(
    figures: Sequence[GroupFigure], shown: Callable[[str], str], plus_minus: str, minus: str
) -> tuple[list[str], dict[str, list[str]]]:
    """Heads, and the cells of each metric: the groups, then the differences from the first; '-' for no figure."""
    by_metric: dict[str, dict[str, GroupFigure]] = {}
    for figure in figures:
        by_metric.setdefault(figure.metric, {})[figure.group] = figure
    groups = list(dict.fromkeys(figure.group for figure in figures))
    names = [shown(group) for group in groups]
    rows = {}
    for metric, of_groups in by_metric.items():
        cells = rows[metric] = []
        for group in groups:
            f = of_groups[group]
            spread = "" if f.deviation is None else f"{plus_minus}{f.deviation:.3f}"
            cells.append("-" if f.mean is None else f"{f.mean:.3f}{spread}")
        for group in groups[1:]:
            found = of_groups[group].difference
            interval = f" [{found.low:+.3f}, {found.high:+.3f}]" if found is not None and found.exists else ""
            cells.append("-" if found is None else f"{found.mean:+.3f}{interval}")
    return [*names, *(minus.format(name, names[0]) for name in names[1:])], rows


def _notes(figures: Sequence[GroupFigure]) -> list[str]:
    """Each note with the metrics that it is about."""
    by_text: dict[str, list[str]] = {}
    for figure in figures:
        for note in figure.notes:
            if figure.metric not in by_text.setdefault(note, []):
                by_text[note].append(figure.metric)
    return [f"{', '.join(names)}: {text}" for text, names in by_text.items()]


# --format of eval.py --compare
TABLES: Mapping[str, Callable[[Sequence[GroupFigure], Sequence[str]], str]] = MappingProxyType(
    {"text": as_text, "csv": as_csv, "latex": as_latex}
)
