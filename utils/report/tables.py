"""The tables of a report: figures of an evaluation as HTML, every text escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from utils.evaluation.results import ALL_TASKS, Result
from utils.prediction.embedding import TRAINED
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS

ONLINE = "OPE_video_online"
TITLES = {
    ONLINE: "whole video, online",
    "OPE_action_online": "inside each action, online",
    "OPE_video_offline": "whole video, offline",
    "OPE_action_offline": "inside each action, offline",
}
MEANINGS = {
    "OPE": "mean distance of the predicted from the true progress, both in [0, 1]; lower is better. Online "
    "progress uses nothing after the current frame; offline progress is told where the video or the action "
    "ends, so that only online figures show learning.",
    "EAE": "area between the found and the nearest valid alignment, as a share of what is possible; lower is "
    "better. EAE_monotonic counts every frame, as for videos that all go the same way.",
    "KT": "Kendall's tau: whether nearest neighbours in another video come in the same order, from -1 to 1; "
    "higher is better.",
    "KTW": "the same among frames that can be aligned, where a valid alignment is enough; higher is better.",
    "PHP": "R² of true progress regressed on the embedding of a frame; higher is better.",
    "PC": "accuracy of a classifier of actions, fitted with the labels of 10, 50 or 100 % of the training "
    "videos; higher is better.",
}
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
    chosen = {(r.metric, r.variant): r for r in results if r.task == task}
    parts = []
    for progress in (True, False):
        metrics = list(dict.fromkeys(m for m, _ in chosen if m.startswith("OPE") == progress))
        variants = list(dict.fromkeys(v for m, v in chosen if m in metrics))
        if not metrics:
            continue
        if progress:
            header = ["estimator", *(escaped(TITLES.get(metric, metric)) for metric in metrics)]
            rows = [[name(v), *(figure_cell(chosen.get((m, v))) for m in metrics)] for v in variants]
            caption = f"Progress error (OPE), {task}"
            parts.append(table(caption, header, rows, [v == TRAINED for v in variants]))
        else:
            header = ["metric", *map(name, variants)]
            heads = [escaped(metric).replace("_", "_<wbr>") for metric in metrics]  # may be broken after a word
            rows = [
                [head, *(figure_cell(chosen.get((metric, v))) for v in variants)]
                for head, metric in zip(heads, metrics, strict=True)
            ]
            parts.append(table(f"Embedding, {task}", header, rows))
    notes: dict[str, list[str]] = {}
    for (metric, _), result in chosen.items():
        if result.note_beside_the_end:
            notes.setdefault(result.note_beside_the_end, []).append(metric)
    if notes:
        lines = (f"<li>{escaped(', '.join(dict.fromkeys(m)))}: {escaped(n)}</li>" for n, m in notes.items())
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
    found = {result.metric.split("_")[0] for result in results}
    entries = "".join(
        f"<dt>{metric}</dt><dd>{escaped(text)}</dd>" for metric, text in MEANINGS.items() if metric in found
    )
    return f'<h3>What the figures mean</h3><dl class="about">{entries}</dl>' if entries else ""
