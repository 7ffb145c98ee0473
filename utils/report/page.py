"""One page per evaluation, and one per run, with all tables and pictures inside: `report.html`.

The page needs nothing else: no network, no script, no other file.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.evaluation.pictures import Picture
from utils.evaluation.results import ALL_TASKS, METRICS_FILE, Result, read_results
from utils.files import write_text
from utils.prediction.embedding import TRAINED
from utils.report.style import PAGE, STYLE
from utils.report.tables import (
    ONLINE,
    escaped,
    headline_table,
    meanings,
    name,
    task_tables,
    video_table,
)

logger = logging.getLogger(__name__)

REPORT = "report.html"
CAPTIONS = {
    "progress": "Progress over time: truth, online prediction and the clock; the error is shaded.",
    "similarity": "Similarity of all frames of two videos, with the true and the found alignment.",
    "map": "Map of the frames of the test videos, coloured by true progress; similar frames lie together.",
}


def write_reports(folder: Path) -> Path:
    """Write the report of an evaluation and, if it lies in RUN/EVAL and RUN is a run, that of the run.

    The run's report holds every evaluation in RUN/EVAL and the loss curves.

    Args:
        folder: of the evaluation, with its `metrics.json` and pictures.

    Returns:
        The report of the evaluation.
    """
    folder = folder.resolve()
    evaluation = _read(folder)
    path = folder / REPORT
    title = f"{evaluation['data_set']}: {evaluation['checkpoint']}, {evaluation['request']['split']} split"
    write_text(path, report_page(title, {folder: evaluation}))
    run = folder.parent.parent
    if folder.parent.name == "EVAL" and _is_run(run):
        evaluations = {}
        for other in sorted(folder.parent.iterdir()):
            if not (other / METRICS_FILE).is_file():
                continue
            try:
                evaluations[other] = _read(other)
            except (ValueError, KeyError, TypeError) as error:
                logger.warning(
                    "%s: not read, left out of the run's report: %r", other / METRICS_FILE, error
                )
        write_text(run / REPORT, report_page(f"Run {run.name}", evaluations, run / "loss_curves.png"))
    return path


def _is_run(folder: Path) -> bool:
    """Whether the folder is a run, or holds a checkpoint at least: only there is `report.html` ours to replace."""
    return (folder / "ckpt").is_dir() or (folder / "config.json").is_file() or any(folder.glob("*.pt"))


def report_page(
    title: str, evaluations: Mapping[Path, Mapping[str, Any]], loss_curves: Path | None = None
) -> str:
    """The HTML of a page.

    Args:
        title: plain text.
        evaluations: content of `metrics.json` by the folder that it and its pictures lie in.
        loss_curves: the picture of the training, if it is there.
    """
    parts = []
    if len(evaluations) > 1:
        links = "".join(
            f'<li><a href="#evaluation-{number}">{name(folder.name)}</a></li>'
            for number, folder in enumerate(evaluations)
        )
        parts.append(f'<nav aria-label="evaluations"><ul>{links}</ul></nav>')
    if loss_curves is not None and loss_curves.is_file():
        text = "Losses over the epochs, in training and in validation."
        parts.append(f"<section><h2>Training</h2>{_figure(loss_curves, text, text)}</section>")
    parts += [
        _evaluation(f"evaluation-{number}", folder, description)
        for number, (folder, description) in enumerate(evaluations.items())
    ]
    everything = [r for description in evaluations.values() for r in read_results(description)]
    parts.append(f"<section>{meanings(everything)}</section>")
    return PAGE.substitute(title=escaped(title), style=STYLE, content="\n".join(parts))


def _read(folder: Path) -> dict[str, Any]:
    """The content of `metrics.json`.

    Raises:
        ValueError, KeyError, TypeError: it isn't JSON, or something that the report needs isn't there.
    """
    description = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    read_results(description)
    for picture in description.get("pictures", []):
        Picture(**picture)
    _about(description, ())
    return description


def _evaluation(identifier: str, folder: Path, description: Mapping[str, Any]) -> str:
    results = read_results(description)
    tasks = [task for task in dict.fromkeys(r.task for r in results) if task != ALL_TASKS]
    overall = ALL_TASKS if len(tasks) > 1 else tasks[0] if tasks else ALL_TASKS
    pictures = [Picture(**picture) for picture in description.get("pictures", [])]
    parts = [
        f'<section id="{identifier}"><h2>Evaluation {name(folder.name)}</h2>',
        _about(description, tasks),
        "<h3>Does it beat the clock?</h3>",
        headline_table(results, overall),
    ]
    if overall == ALL_TASKS:
        parts.append(f"<h3>All figures, {ALL_TASKS}</h3>{task_tables(results, ALL_TASKS)}")
    if len(tasks) > 1:
        links = (f'<li><a href="#{identifier}-{i}">{name(task)}</a></li>' for i, task in enumerate(tasks))
        parts.append(f'<nav aria-label="tasks"><ul>{"".join(links)}</ul></nav>')
    for number, task in enumerate(tasks):
        parts.append(f'<section id="{identifier}-{number}"><h3>Task {name(task)}</h3>')
        parts += [
            _picture(folder, picture, results)
            for kind in CAPTIONS
            for picture in pictures
            if (picture.kind, picture.task) == (kind, task)
        ]
        parts += [task_tables(results, task), video_table(results, task), "</section>"]
    return "\n".join([*parts, "</section>"])


def _about(description: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """What was evaluated, as a list of terms."""
    ahead = description.get("frames_ahead", 0)
    seen = "all frames of the video" if ahead is None else f"{ahead} later frames"
    entries = {
        "data set": name(description["data_set"]),
        "checkpoint": f"{name(description['checkpoint'])}, after epoch {int(description['epoch']) + 1}",
        "split": escaped(description["request"]["split"]),
        "tasks": ", ".join(map(name, tasks)) or "none",
        "an embedding sees": "nothing after its frame (causal)" if ahead == 0 else escaped(seen),
    }
    skipped = description.get("skipped_tasks") or {}
    if skipped:
        entries["left out"] = "; ".join(f"{name(task)}: {escaped(why)}" for task, why in skipped.items())
    content = "".join(f"<dt>{term}</dt><dd>{value}</dd>" for term, value in entries.items())
    return f'<dl class="about">{content}</dl>'


def _picture(folder: Path, picture: Picture, results: Sequence[Result]) -> str:
    caption = CAPTIONS[picture.kind]
    errors = {
        r.variant: r.values[picture.videos[0]]
        for r in results
        if picture.kind == "progress" and (r.metric, r.task) == (ONLINE, picture.task)
        if picture.videos[:1] and picture.videos[0] in r.values and r.variant in (TRAINED, "clock")
    }
    said = "; ".join(f"error of the {variant} {error:.3f}" for variant, error in errors.items())
    videos = f" Videos: {', '.join(picture.videos)}." if picture.videos else ""
    alternative = f"{caption} Task: {picture.task}.{videos}{f' {said.capitalize()}.' if said else ''}"
    return _figure(folder / picture.file, caption, alternative, picture.videos, picture.kind)


def _figure(path: Path, caption: str, alternative: str, videos: Sequence[str] = (), kind: str = "") -> str:
    """A figure with its picture inside, or with a word that the picture is gone."""
    named = f" {', '.join(map(name, videos))}" if videos else ""
    shape = "tall" if kind == "similarity" else "wide"
    if path.is_file():
        content = base64.b64encode(path.read_bytes()).decode("ascii")
        image = f'<img class="{shape}" alt="{escaped(alternative)}" src="data:image/png;base64,{content}">'
        # In a narrow window it is moved rather than shrunk until nothing can be read.
        shown = f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(caption)}">{image}</div>'
    else:
        shown = f'<p class="soft">The picture {name(path.name)} is no longer there.</p>'
    return f"<figure>{shown}<figcaption>{escaped(caption)}{named}</figcaption></figure>"
