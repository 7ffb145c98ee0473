"""The table of metrics: what each one is called, means, needs, and which way is better.

The evaluation, its tables, the report and comparisons read everything about a metric from here. A new metric is a
function in a file of its own and an entry. Code outside this repository makes a table of its own and hands it to
`evaluate_task`, `evaluate_checkpoint`, `results_table`, `comparison_table` or `write_reports`:

    mine = Metric("MAP", "MAP", "higher", "share of ...", Needs.PAIRS, my_function, "shares no action")
    evaluate_task("tea", train, test, metrics=metric_table(*METRICS.values(), mine))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from utils.metrics.enclosed_area_error import enclosed_area_error
from utils.metrics.kendalls_tau import kendalls_tau
from utils.metrics.kendalls_tau_in_the_wild import kendalls_tau_in_the_wild
from utils.metrics.phase_classification import FRACTIONS, phase_classification
from utils.metrics.phase_progression import phase_progression
from utils.metrics.progress_error import progress_error
from utils.metrics.valid_alignment import ValidAlignment


class Needs(Enum):
    """What a metric is computed from, and so what its `measure` is called with.

    PAIRS: the nearest neighbours of an ordered pair of videos, (B, N) int, one row a variant, and the pair's
        `ValidAlignment`; gives (B,).
    VIDEO_ONLINE and so on: predicted progress of one video (T,), the truth (T,), and which frames count, (T,) bool or
        None for all; gives a number. Online uses the frames so far; offline is told where the video or action ends.
    LABELS, REGRESSION: frames of the training videos, (T_i, D) each, their labels or true progress, (T_i,) each, and
        both of the n test videos; gives (n,).

    NaN stands for a figure that doesn't exist.
    """

    VIDEO_ONLINE = "progress over the video, online"
    ACTION_ONLINE = "progress inside each action, online"
    VIDEO_OFFLINE = "progress over the video, offline"
    ACTION_OFFLINE = "progress inside each action, offline"
    PAIRS = "pairs of videos aligned by nearest neighbours"
    REGRESSION = "a regression of progress on frames"
    LABELS = "frames with the labels of their actions"

    @property
    def is_progress(self) -> bool:
        """Whether predicted progress is judged, and not the embedding itself."""
        return self in (Needs.VIDEO_ONLINE, Needs.ACTION_ONLINE) or self.knows_the_end

    @property
    def is_inside_actions(self) -> bool:
        """Whether progress begins anew with each action."""
        return self in (Needs.ACTION_ONLINE, Needs.ACTION_OFFLINE)

    @property
    def knows_the_end(self) -> bool:
        """Whether the end of the video or action is given."""
        return self in (Needs.VIDEO_OFFLINE, Needs.ACTION_OFFLINE)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: of its CSV file, and in `metrics.json`.
        title: its head in a table.
        better: which figures are better.
        meaning: what it says, for a reader of a report.
        needs: what it is computed from.
        measure: computes it; see `Needs`.
        missing: why a video may have no figure.
    """

    name: str
    title: str
    better: Literal["lower", "higher"]
    meaning: str
    needs: Needs
    measure: Callable[..., Any]
    missing: str = "no action in the video"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(f"metric {self.name!r}: a name is that of a file: letters, digits, '.', '-' and '_'")
        if self.better not in ("lower", "higher"):
            raise ValueError(f"metric {self.name!r}: better is {self.better!r}; expected 'lower' or 'higher'")


def metric_table(*metrics: Metric) -> Mapping[str, Metric]:
    """The metrics by name, in their order.

    Raises:
        ValueError: two of them have one name.
    """
    table = {metric.name: metric for metric in metrics}
    if len(table) < len(metrics):
        raise ValueError(f"two metrics have one name: {', '.join(metric.name for metric in metrics)}")
    return MappingProxyType(table)


def metrics_that_need(needs: Needs, metrics: Mapping[str, Metric]) -> list[Metric]:
    """Those of a table that are computed from something."""
    return [metric for metric in metrics.values() if metric.needs is needs]


def _order(neighbours: np.ndarray, _: ValidAlignment) -> np.ndarray:
    return kendalls_tau(neighbours)


def _classification(fraction: float) -> Metric:
    """Phase classification with the labels of a share of the training videos."""
    name = f"PC_{round(100 * fraction)}"
    meaning = (
        f"Phase classification: accuracy of a classifier of actions, fitted with the labels of {fraction:.0%} of the "
        "training videos."
    )
    return Metric(name, name, "higher", meaning, Needs.LABELS, partial(phase_classification, fraction=fraction))


_DISTANCE = "Mean distance of the predicted from the true progress, both in [0, 1]"
_ALIGNABLE = "shares no action with another video"

METRICS = metric_table(
    Metric(
        "OPE_video_online", "video, online", "lower",
        f"{_DISTANCE}, over the whole video. A prediction uses nothing after the current frame.",
        Needs.VIDEO_ONLINE, progress_error,
    ),
    Metric(
        "OPE_action_online", "action, online", "lower",
        f"{_DISTANCE}, inside each action. A prediction is told where the action begins and which one it is, and uses "
        "nothing after the current frame.",
        Needs.ACTION_ONLINE, progress_error,
    ),
    Metric(
        "OPE_video_offline", "video, offline", "lower",
        f"{_DISTANCE}, over the whole video. A prediction is told where the video ends, so this shows no learning.",
        Needs.VIDEO_OFFLINE, progress_error,
    ),
    Metric(
        "OPE_action_offline", "action, offline", "lower",
        f"{_DISTANCE}, inside each action. A prediction is told where the action ends, so this shows no learning.",
        Needs.ACTION_OFFLINE, progress_error,
    ),
    Metric(
        "EAE", "EAE", "lower",
        "Enclosed area error: the area between the found and the nearest valid alignment, as a share of what is "
        "possible.",
        Needs.PAIRS, enclosed_area_error, _ALIGNABLE,
    ),
    Metric(
        "EAE_monotonic", "EAE_monotonic", "lower",
        "The enclosed area error with every frame counted, as for videos that all go the same way.",
        Needs.PAIRS, partial(enclosed_area_error, monotonic=True), _ALIGNABLE,
    ),
    Metric(
        "KT", "KT", "higher",
        "Kendall's tau: whether nearest neighbours in another video come in the same order, from -1 to 1.",
        Needs.PAIRS, _order, "only one frame",
    ),
    Metric(
        "KTW", "KTW", "higher",
        "Kendall's tau in the wild: the same among frames that can be aligned, where a valid alignment is enough.",
        Needs.PAIRS, kendalls_tau_in_the_wild, _ALIGNABLE,
    ),
    Metric(
        "PHP", "PHP", "higher",
        "Phase progression: R² of the true progress regressed on the embedding of a frame.",
        Needs.REGRESSION, phase_progression,
    ),
    *map(_classification, FRACTIONS),
)
