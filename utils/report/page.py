"""One page per evaluation, and one per run, with all tables and pictures inside: `report.html`.

The page needs nothing else: no network, no script, no other file. What stands in it is gathered here; how it looks is
in `page.html.jinja`, `parts.html.jinja` and `style.css`.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.evaluation.notes import VALIDATION_CHOSE
from utils.evaluation.pictures import BEST, MEDIAN, PLAYED, WORST, Picture
from utils.evaluation.played import read_played
from utils.evaluation.results import ALL_TASKS, METRICS_FILE, Result, read_results
from utils.evaluation.tables import END_IS_TOLD, HOW_IT_DIFFERS, task_tables
from utils.evaluation.variants import CLOCK
from utils.files import write_text
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need
from utils.prediction.embedding import TRAINED
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS
from utils.registry import AUTO
from utils.report.player import MOST_EMBEDDED, played, player_script, video_source
from utils.report.side_by_side import place_of, side_by_side
from utils.report.templates import render
from utils.report.what_was_run import rows_of_runs

logger = logging.getLogger(__name__)

REPORT = "report.html"
# Characters of pictures in the report of a run, which is mailed; the reports of its evaluations hold them all.
MOST_OF_PICTURES = 1_500_000
CAPTIONS = {
    "progress": "The truth, what the path of the trained network's embedding and that of the raw features tell from "
    "the frames so far, and the clock. The error of the trained network is shaded. Inside each action, its start and "
    "its label are given.",
    "similarity": "The nearest frame of the second video to each frame of the first, which is what EAE, KT and KTW "
    "measure: whether it is right, and where the truth lies. The darker a cell, the fewer frames of the second video "
    "are nearer.",
    "map": "Maps of the frames of the test videos, one an embedding, coloured by true progress; similar frames lie "
    "together. Frames that depend on the padding around a video are left out.",
    "losses": "Losses over the epochs. Above: the training loss, the same function on training and on validation "
    "recordings. Below: what chose the best checkpoints, with the lowest value ringed.",
}
CURVES = {AUTO: "predicted online, as cross-validation chose", TRAINED: "path of the trained network, online"}
ROLES = {BEST: "Best", MEDIAN: "Median", WORST: "Worst"}
TABLE_CAPTIONS = {
    "progress error": "Distance of the predicted from the true progress (OPE); ↓ lower is better. Inside actions, the "
    "start and the label of the action are given.",
    "embedding": "How well frames find their like in other videos, and how well each tells progress and action; "
    "↓ lower or ↑ higher is better.",
    "other definitions": "The same asked in another way; ↓ lower or ↑ higher is better.",
}


def write_reports(folder: Path, metrics: Mapping[str, Metric] = METRICS) -> Path:
    """Write the report of an evaluation and, if it lies in RUN/EVAL and RUN is a run, that of the run.

    The run's report holds every evaluation in RUN/EVAL, its checkpoints side by side, and the loss curves.

    Args:
        folder: of the evaluation, with its `metrics.json` and pictures.
        metrics: the table of metrics that it was made with.

    Returns:
        The report of the evaluation.
    """
    folder = folder.resolve()
    evaluation = read_evaluation(folder, metrics)
    path = folder / REPORT
    title = f"{evaluation['data_set']}: {evaluation['checkpoint']}, {evaluation['split']} split"
    write_text(path, report_page(title, [evaluation], metrics=metrics))
    run = folder.parent.parent
    if folder.parent.name == "EVAL" and _is_run(run):
        evaluations = []
        for other in sorted(folder.parent.iterdir()):
            if not (other / METRICS_FILE).is_file():
                continue
            try:
                evaluations.append(read_evaluation(other, metrics))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                logger.warning("%s: not read, left out of the run's report: %r", other / METRICS_FILE, error)
        evaluations.sort(key=place_of)
        _leave_out_pictures(evaluations, MOST_OF_PICTURES)
        for each in evaluations:
            for task in each["tasks"]:
                task["played"] = []
        experiment = (evaluation["run"] or {}).get("experiment") or run.parent.name
        title = f"Experiment {experiment}, {run.name}"
        write_text(run / REPORT, report_page(title, evaluations, run / "loss_curves.png", metrics))
    return path


def _is_run(folder: Path) -> bool:
    """Whether the folder is a run, or holds a checkpoint at least: only there is `report.html` ours to replace."""
    return (folder / "ckpt").is_dir() or (folder / "config.json").is_file() or any(folder.glob("*.pt"))


def report_page(
    title: str,
    evaluations: Sequence[Mapping[str, Any]],
    loss_curves: Path | None = None,
    metrics: Mapping[str, Metric] = METRICS,
) -> str:
    """The HTML of a page. Only one that plays videos has a script, which is its own.

    Args:
        title: plain text.
        evaluations: what `read_evaluation` gives of each.
        loss_curves: the picture of the training, if it is there.
        metrics: the table of metrics.
    """
    training = None
    if loss_curves is not None and loss_curves.is_file():
        training = _picture(loss_curves, Picture(loss_curves.name, "losses", ""))
    plays = any(task["played"] for evaluation in evaluations for task in evaluation["tasks"])
    script, digest = player_script() if plays else ("", "")
    common = {
        "trained": TRAINED, "end_is_told": END_IS_TOLD, "captions": TABLE_CAPTIONS,
        "how_it_differs": HOW_IT_DIFFERS, "validation_chose": VALIDATION_CHOSE,
    }  # fmt: skip
    return render(
        "page.html.jinja",
        common,
        title=title,
        script=script,
        digest=digest,
        evaluations=evaluations,
        metrics=list(dict.fromkeys(metric for evaluation in evaluations for metric in evaluation["metrics"])),
        loss_curves=training,
        what_was_run=rows_of_runs(evaluations),
        side_by_side=side_by_side(evaluations, metrics),
    )


def read_evaluation(folder: Path, metrics: Mapping[str, Metric] = METRICS) -> dict[str, Any]:
    """What `parts.html.jinja` shows of the evaluation in a folder.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: its `metrics.json` isn't JSON, or lacks something.
    """
    description = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    results = read_results(description, metrics)
    pictures = [Picture(**picture) for picture in description.get("pictures", [])]
    names = [task for task in dict.fromkeys(r.task for r in results) if task != ALL_TASKS]
    best = {task: _best_first(results, task, metrics) for task in (*names, ALL_TASKS)}
    tasks = [
        {
            "name": task,
            "best": best[task],
            "tables": task_tables(results, task, metrics),
            "pictures": [
                _picture(folder / p.file, p, best[task])
                for kind in CAPTIONS
                for p in pictures
                if (p.kind, p.task) == (kind, task)
            ],
            "played": _played(folder, [p for p in pictures if (p.kind, p.task) == (PLAYED, task)]),
        }
        for task in names
    ]
    several = len(names) != 1
    evaluation = {
        "name": folder.name,
        "data_set": description["data_set"],
        "checkpoint": description["checkpoint"],
        "epoch": None if description["epoch"] is None else int(description["epoch"]),  # None: not of a checkpoint
        "split": description["request"]["split"],
        "weights": str(description.get("fingerprint", {}).get("weights", "")),
        "run": description.get("run"),
        "results": results,
        "task": ALL_TASKS if several else names[0],
        "frames_ahead": description.get("frames_ahead", 0),
        "how_progress_is_read": {
            str(task): str(text) for task, text in dict(description.get("how_progress_is_read") or {}).items()
        },
        "skipped_tasks": dict(description.get("skipped_tasks") or {}),
        "best": best[ALL_TASKS if several else names[0]],
        "overall": task_tables(results, ALL_TASKS, metrics) if several else None,
        "tasks": tasks,
        "metrics": [metrics[name] for name in dict.fromkeys(r.metric for r in results)],
    }
    rows_of_runs([evaluation])  # says now what is wrong with it
    return evaluation


def _played(folder: Path, videos: Sequence[Picture]) -> list[dict[str, Any]]:
    """The players of an evaluation's videos, inside the page if they are small; those that are gone are left out."""
    there = [each for each in videos if (folder / each.file).is_file() and (folder / each.other_files[0]).is_file()]
    inside = sum((folder / each.file).stat().st_size for each in there) <= MOST_EMBEDDED
    players = []
    for each in there:
        track, truth, curve = read_played(json.loads((folder / each.other_files[0]).read_text(encoding="utf-8")))
        source = video_source(folder / each.file) if inside else each.file
        players.append({**played(source, track, each.videos[0], truth, CURVES.get(curve, curve)), "role": each.role})
    return players


def _best_first(results: Sequence[Result], task: str, metrics: Mapping[str, Metric]) -> dict[str, Any] | None:
    """What the first metric of online progress found on a task, the best first; None if it found nothing."""
    metric = next(iter(metrics_that_need(Needs.VIDEO_ONLINE, metrics)), None)
    chosen = [r for r in results if metric and (r.metric, r.task) == (metric.name, task) and r.mean is not None]
    if not chosen:
        return None
    return {
        "metric": metric,
        "task": task,
        "results": sorted(chosen, key=lambda r: r.mean, reverse=metric.better == "higher"),
        "longest": max(max(r.mean, r.high or 0) for r in chosen) or 1,
        "readouts": sorted(r.variant for r in chosen if r.variant in READOUTS_OF_TRAINING_VIDEOS),
        "videos": list(dict.fromkeys(handle for r in chosen for handle in r.values)),
    }


def _leave_out_pictures(evaluations: Sequence[Mapping[str, Any]], most: int) -> None:
    """Leaves out the contents of the pictures that tell least, so that the others have `most` characters at most.

    Those asked for by name stay first, then the median recordings, similarity and maps, the worst and the best.
    """
    order = [("", "progress"), (MEDIAN, "progress"), ("", "similarity"), ("", "map")]
    order += [(WORST, "progress"), (BEST, "progress")]
    pictures = [p for each in evaluations for task in each["tasks"] for p in task["pictures"] if p["content"]]

    def importance(picture: Mapping[str, Any]) -> int:
        kind = (picture["role"], picture["kind"])
        return order.index(kind) if kind in order and not picture["source"] else len(order)

    used = 0
    for picture in sorted(pictures, key=importance):
        used += len(picture["content"])
        if used > most:
            picture["content"], picture["is_left_out"] = None, True


def _picture(path: Path, picture: Picture, best: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A picture, its PNG in base64 unless the file is gone, and what is said to who doesn't see it."""
    about = f"By the {picture.source or TRAINED}" if picture.kind == "similarity" else ""
    if picture.role:
        count = len(best["videos"]) if best else 0
        place = ROLES.get(picture.role, picture.role.replace("-", " ").capitalize())
        about = f"{place} of {count} recordings by online error of the {TRAINED}"
    said = [f"{about}." if about else "", CAPTIONS[picture.kind], f"Task: {picture.task}." if picture.task else ""]
    said += [f"Videos: {', '.join(picture.videos)}."] if picture.videos else []
    errors = [
        f"error of the {r.variant} {r.values[picture.videos[0]]:.3f}"
        for r in (best["results"] if best and picture.kind == "progress" and picture.videos else ())
        if r.variant in (TRAINED, CLOCK) and picture.videos[0] in r.values
    ]
    said += [f"{'; '.join(errors).capitalize()}."] if errors else []
    return {
        "file": picture.file,
        "kind": picture.kind,
        "role": picture.role,
        "source": picture.source,
        "videos": picture.videos,
        "about": about,
        "caption": CAPTIONS[picture.kind],
        "alternative": " ".join(filter(None, said)),
        "content": base64.b64encode(path.read_bytes()).decode("ascii") if path.is_file() else None,
        "is_left_out": False,
    }
