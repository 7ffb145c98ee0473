"""The tables of a report: figures of an evaluation as HTML, every text escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from utils.evaluation.results import ALL_TASKS, Result
from utils.evaluation.tables import task_tables as tables_of_task
from utils.metrics.table import METRICS, Metric
from utils.prediction.embedding import TRAINED
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS

ONLINE = "OPE_video_online"
# What HTML doesn't allow in text or UTF-8 can't write: control characters and halves of surrogate pairs.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escaped(text: object) -> str:
    """The text, safe inside an element or a quoted attribute."""
    return html.escape(_UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", str(text)), quote=True)


def name(text: object) -> str:
    """The escaped text in an element that keeps its writing direction from spilling over."""
    return f"<bdi>{escaped(text)}</bdi>"


def table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], highlighted: Sequence[bool] = ()
) -> str:
    """An HTML table that scrolls in a box of its own.

    Args:
        caption: plain text.
        header: HTML of the column heads.
        rows: HTML of the cells; the first is the head of the row. A whole `<td>` is taken as it is.
        highlighted: whether to show a row in bold; by default none.
    """
    lines = []
    for number, (first, *cells) in enumerate(rows):
        ours = ' class="ours"' if number < len(highlighted) and highlighted[number] else ""
        body = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr{ours}><th scope="row">{first}</th>{body}</tr>')
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    caption = escaped(caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def figure_cell(result: Result | None) -> str:
    """Mean, and the interval below it."""
    if result is None or result.mean is None:
        return "–"
    interval = "" if result.low is None else f'<span class="soft">{result.low:.3f} … {result.high:.3f}</span>'
    return f"{result.mean:.3f}{interval}"


def headline_table(results: Sequence[Result], task: str) -> str:
    """Online progress errors of a task, lowest first, with bars; empty if there are none."""
    chosen = [r for r in results if (r.metric, r.task) == (ONLINE, task) and r.mean is not None]
    chosen.sort(key=lambda r: r.mean)
    longest = max((max(r.mean, r.high or 0) for r in chosen), default=0) or 1
    rows = [[name(r.variant), figure_cell(r), f'<td class="bar">{_bar(r, longest)}</td>'] for r in chosen]
    if not rows:
        return ""
    readouts = [r.variant for r in chosen if r.variant in READOUTS_OF_TRAINING_VIDEOS]
    note = ""
    if readouts:
        note = (
            f'<p class="soft">{" and ".join(map(name, sorted(readouts)))}: progress read by comparison with the '
            "training videos instead of from the path; of the trained network where no other is named.</p>"
        )
    content = table(
        f"Error of online progress ({task}); mean and 95 % interval, lower is better",
        ["estimator", "error", '<span class="soft">as a bar</span>'],
        rows,
        [r.variant == TRAINED or r.variant in readouts for r in chosen],
    )
    return content + note


def _bar(result: Result, longest: float) -> str:
    """A bar as long as the mean with a line over the interval; the numbers stand beside it."""
    line = ""
    if result.low is not None:
        low, high = (100 * value / longest for value in (result.low, result.high))
        line = f'<rect x="{low:.2f}" y="4.2" width="{high - low:.2f}" height="1.6" fill="currentColor"/>'
    length = 100 * result.mean / longest
    bar = f'<rect x="0" y="1.5" width="{length:.2f}" height="7" fill="var(--bar)" opacity="0.55"/>'
    return f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{bar}{line}</svg>'


def task_tables(results: Sequence[Result], task: str) -> str:
    """All figures of a task, or of the mean of tasks: progress errors, the embedding's metrics, notes."""
    found = tables_of_task(results, task)
    parts = []

    def head(of: Metric | str) -> str:
        return escaped(of.title).replace("_", "_<wbr>") if isinstance(of, Metric) else name(of)

    for part in found.tables:
        rows = [[head(first), *map(figure_cell, cells)] for first, cells in zip(part.rows, part.cells, strict=True)]
        marked = [row == TRAINED for row in part.rows]
        parts.append(table(f"{part.name}, {task}", ["", *map(head, part.columns)], rows, marked))
    if found.notes:
        lines = (f"<li>{escaped(', '.join(m))}: {escaped(n)}</li>" for n, m in found.notes.items())
        parts.append(f'<ul class="soft">{"".join(lines)}</ul>')
    return "\n".join(parts)


def video_table(results: Sequence[Result], task: str) -> str:
    """Online progress errors of each video of a task, folded away; empty if there are none."""
    chosen = [r for r in results if (r.metric, r.task) == (ONLINE, task) and r.values]
    handles = list(dict.fromkeys(handle for r in chosen for handle in r.values))
    if not handles or task == ALL_TASKS:
        return ""
    rows = [
        [name(h), *(f"{r.values[h]:.3f}" if h in r.values else "–" for r in chosen)] for h in handles
    ]
    header = ["video", *(name(r.variant) for r in chosen)]
    content = table(f"Error of online progress of each video, {task}", header, rows)
    return f"<details><summary>each video</summary>{content}</details>"


def meanings(results: Sequence[Result]) -> str:
    """What the metrics that occur mean."""
    found = {METRICS[result.metric].meaning: result.metric for result in results}
    entries = "".join(f"<dt>{metric}</dt><dd>{escaped(text)}</dd>" for text, metric in found.items())
    return f'<h3>What the figures mean</h3><dl class="about">{entries}</dl>' if entries else ""
