"""What was run, as the rows of a table: of one evaluation, or of several beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "–"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what it tells.
        values: of each evaluation, or a single one that all share.
    """

    name: str
    values: Sequence[str]


def rows_of_runs(evaluations: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The table of evaluations that know what was run; empty if none does.

    Args:
        evaluations: each with `run`, as `utils.evaluation.provenance.describe_run` gives it, or None, and with
            `data_set`, `checkpoint` and `epoch`.

    Raises:
        KeyError, TypeError, AttributeError: a `run` isn't what `describe_run` gives.
    """
    if not any(evaluation["run"] for evaluation in evaluations):
        return []
    rows = []
    for name, tell in _ROWS.items():
        values = [tell(each["run"], each) if each["run"] else UNKNOWN for each in evaluations]
        rows.append(Row(name, values[:1] if len(set(values)) == 1 else values))
    return rows


def _losses(run: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    return " + ".join(
        f"{name} ({_pairs(parameters)})" if parameters else f"{name}, default parameters"
        for name, parameters in run["losses"].items()
    ) or UNKNOWN


def _progress_loss(run: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    settings = run["progress_loss"]
    if not settings:
        return "none"
    weight = settings["lambda"]
    if isinstance(weight, Mapping):
        weight = f"from {weight['start']} in the first epoch to {weight['end']} in the last"
    return f"lambda {weight}, level {settings['level']}, frames {settings['frames']}"


def _network(run: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    ways = [run["encoder"] or UNKNOWN, "causal" if run["causal"] else "not causal"]
    return ", ".join([*ways, "with the crosstask network" if run["crosstask"] else "without the crosstask network"])


def _recordings(run: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    by_split = run["recordings"]
    tasks = dict.fromkeys(task for counts in by_split.values() for task in counts)
    total = ", ".join(f"{sum(counts.values())} {split}" for split, counts in by_split.items())
    by_task = "; ".join(f"{task} {' / '.join(str(c.get(task, 0)) for c in by_split.values())}" for task in tasks)
    return f"{total} ({by_task})" if len(tasks) > 1 else total


def _checkpoint(run: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    return f"{evaluation['checkpoint']}, after epoch {evaluation['epoch'] + 1}, written {run['checkpoint_date']}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {UNKNOWN if value is None else value}" for name, value in values.items())


_ROWS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "experiment": lambda run, _: str(run["experiment"] or UNKNOWN),
    "alignment loss": _losses,
    "progress loss": _progress_loss,
    "network": _network,
    "seed": lambda run, _: str(run["seed"]),
    "epochs of the training": lambda run, _: str(run["epochs"]),
    "checkpoint": _checkpoint,
    "data set": lambda _, evaluation: str(evaluation["data_set"]),
    "recordings": _recordings,
    "fingerprint of the data": lambda run, _: _pairs(run["data_fingerprint"]),
    "versions": lambda run, _: _pairs(run["versions"]),
    "evaluated": lambda run, _: str(run["date"]),
}
