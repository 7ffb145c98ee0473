"""The table of metrics: the name, meaning, inputs and better direction of each.

The evaluation, its tables, the report and comparisons read everything about a metric from here. A new metric is a
function in a new file and an entry here. Code outside this repository makes its own table and passes it to
`evaluate_task`, `evaluate_checkpoint`, `results_table`, `comparison_table` or `write_reports`:

    mine = Metric("MAP", "MAP", "higher", "share of ...", Needs.PAIRS, my_function, "shares no action")
    evaluate_task("tea", train, test, metrics=metric_table(*METRICS.values(), mine))
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from utils.metrics import key_steps, published_definitions
from utils.metrics.cycle_consistency import RETURN_TOLERANCE, cycle_consistency
from utils.metrics.enclosed_area_error import enclosed_area_error
from utils.metrics.intervals import Interval
from utils.metrics.kendalls_tau import kendalls_tau
from utils.metrics.kendalls_tau_in_the_wild import kendalls_tau_in_the_wild
from utils.metrics.phase_classification import FRACTIONS, phase_classification
from utils.metrics.phase_progression import phase_progression
from utils.metrics.progress_error import progress_error
from utils.metrics.retrieval import NUMBERS, precision_among_nearest
from utils.metrics.valid_alignment import ValidAlignment


class Needs(Enum):
    """The inputs of a metric, with which its `measure` is called.

    PAIRS: the nearest neighbours of an ordered pair of videos, (B, N) int, one row per variant, and the pair's
        `ValidAlignment`; gives (B,).
    VIDEO_ONLINE and so on: predicted progress of one video (T,), the truth (T,), and which frames count, (T,) bool or
        None for all; gives a number. Online uses only the frames so far; offline also knows where the video or action
        ends.
    LABELS, REGRESSION: frames of the training videos, (T_i, D) each, their labels or true progress, (T_i,) each, and
        both of the n test videos; gives (n,).
    CYCLES: the frames of U that are the nearest neighbours of the nearest neighbours in V of the frames of U, (B, N)
        int, one row per variant; gives (B,).
    RETRIEVAL: for each frame of action of one video, whether its nearest frames in all others show the same action,
        nearest first, (T, K) bool, or how probable that is; gives a number.
    PUBLISHED: what LABELS needs, with background as a label of its own, -1; gives one number for all test videos at
        once.
    KEY_STEPS, VIDEO_KEY_STEPS: clusters that were found without labels of the frames of the n test videos, (T_i,) int
        from 0 each, and their labels, (T_i,) int each, -1 for background; gives (n,), or one number for all. The
        clusters are those of the task, the same in all videos, or each video's own.

    NaN means that there is no value.
    """

    VIDEO_ONLINE = "progress over the video, online"
    ACTION_ONLINE = "progress inside each action, online"
    VIDEO_OFFLINE = "progress over the video, offline"
    ACTION_OFFLINE = "progress inside each action, offline"
    CYCLES = "frames sent to another video and back by nearest neighbours"
    PAIRS = "pairs of videos aligned by nearest neighbours"
    REGRESSION = "a regression of progress on frames"
    LABELS = "frames with the labels of their actions"
    RETRIEVAL = "the nearest frames of other videos"
    PUBLISHED = "all videos at once, as published programs do it"
    KEY_STEPS = "key steps found without labels, the same in all videos"
    VIDEO_KEY_STEPS = "key steps found without labels in each video by itself"

    @property
    def is_progress(self) -> bool:
        """Whether the metric evaluates predicted progress, not the embedding itself."""
        return self in (Needs.VIDEO_ONLINE, Needs.ACTION_ONLINE) or self.knows_the_end

    @property
    def is_key_steps(self) -> bool:
        """Whether the metric evaluates key steps that were found without labels."""
        return self in (Needs.KEY_STEPS, Needs.VIDEO_KEY_STEPS)

    @property
    def is_inside_actions(self) -> bool:
        """Whether progress begins again at 0 in each action."""
        return self in (Needs.ACTION_ONLINE, Needs.ACTION_OFFLINE)

    @property
    def knows_the_end(self) -> bool:
        """Whether the end of the video or action is given."""
        return self in (Needs.VIDEO_OFFLINE, Needs.ACTION_OFFLINE)


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: name of its CSV file, and in `metrics.json`.
        title: its title in a table.
        better: which values are better, 'lower' or 'higher'.
        meaning: explanation for the reader of a report.
        needs: its inputs.
        measure: the function that computes it; see `Needs`.
        missing: why a video may have no value.
        lowest, highest: the range of its values; intervals are limited to it.
        of_frames: for a metric of progress: the mean is over all frames of all videos, not over videos.
        share_of_labels: for a metric that needs LABELS: the share of training videos whose labels are used, in (0, 1].
        beside: the metric is in a second table, because another one measures nearly the same.
        without_labels: it is also measured where nobody said what the videos show.
    """

    name: str
    title: str
    better: Literal["lower", "higher"]
    meaning: str
    needs: Needs
    measure: Callable[..., Any]
    missing: str = "no action in the video"
    lowest: float = -math.inf
    highest: float = math.inf
    of_frames: bool = False
    share_of_labels: float = 1.0
    beside: bool = False
    without_labels: bool = False

    def clipped(self, interval: Interval, is_difference: bool = False) -> Interval:
        """An interval cut to what a figure, or the difference of two, can be."""
        lowest, highest = float(self.lowest), float(self.highest)
        return interval.clipped(*((lowest - highest, highest - lowest) if is_difference else (lowest, highest)))

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


def metrics_without_labels(metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """The metrics of a table that are measured where there are no labels."""
    return metric_table(*(metric for metric in metrics.values() if metric.without_labels))


def metrics_that_need(needs: Needs, metrics: Mapping[str, Metric]) -> list[Metric]:
    """The metrics of a table that have certain inputs."""
    return [metric for metric in metrics.values() if metric.needs is needs]


def _order(neighbours: np.ndarray, _: ValidAlignment) -> np.ndarray:
    return kendalls_tau(neighbours)


def _classification(fraction: float) -> Metric:
    """Phase classification with the labels of a share of the training videos."""
    name = f"PC_{round(100 * fraction)}"
    meaning = (
        f"Phase classification: accuracy of a classifier of actions, fitted with the labels of {fraction:.0%} of the "
        "training videos; the mean over test videos of the share of their action frames."
    )
    measure = partial(phase_classification, fraction=fraction)
    return Metric(name, name, "higher", meaning, Needs.LABELS, measure, lowest=0, highest=1, share_of_labels=fraction)


def _retrieval(number: int) -> Metric:
    """Share of the nearest frames of other videos that show the same action."""
    meaning = (
        f"Frame retrieval (AP@{number}): share of the {number} nearest frames of all other test videos that show the "
        "action of the frame; the mean over test videos of that over their action frames."
    )
    return Metric(
        f"AP_{number}", f"AP_{number}", "higher", meaning, Needs.RETRIEVAL,
        partial(precision_among_nearest, number=number), "no action in the video or in all others",
        lowest=0, highest=1,
    )  # fmt: skip


def _key_steps(name: str, measure: Callable[..., Any], what: str, own: bool = False) -> Metric:
    """A metric of key steps found without labels; `own`: each video's by itself, as published."""
    meaning = (
        f"Key steps found without labels, as in EgoProceL's program (each test video has clusters of its own, matched "
        f"with the actions and background by the Hungarian method; those without a cluster don't count): {what}."
        if own else
        f"Key steps found without labels, the same in all videos of the task and matched with the actions once by the "
        f"Hungarian method; every action that a video shows counts: {what}."
    )  # fmt: skip
    needs = Needs.VIDEO_KEY_STEPS if own else Needs.KEY_STEPS
    return Metric(name, name.replace("_", " "), "higher", meaning, needs, measure, lowest=0, highest=1, beside=own)


def _published(
    name: str, meaning: str, measure: Callable[..., float], lowest: float, highest: float, missing: str = ""
) -> Metric:
    """A metric as the programs released with TCC and LAV define it."""
    return Metric(
        name, name.replace("_", " ", 1), "higher", meaning, Needs.PUBLISHED, measure,
        missing or "no action in the video", lowest, highest, beside=True,
    )  # fmt: skip


def _published_classification(fraction: float) -> Metric:
    percent = round(100 * fraction)
    return _published(
        f"PC_{percent}_published",
        f"Phase classification as in TCC's program: support vector machine with a radial kernel, the first {percent} % "
        "of the training videos, background as an action; accuracy over the frames of all test videos at once.",
        partial(published_definitions.published_phase_classification, fraction=fraction), 0, 1,
    )  # fmt: skip


def _published_order(_: object, __: object, embeddings: list[np.ndarray], ___: object) -> float:
    return published_definitions.published_kendalls_tau(embeddings)


def _published_progression(
    train: list[np.ndarray], train_labels: list[np.ndarray], test: list[np.ndarray], test_labels: list[np.ndarray]
) -> float:
    """NaN where the definition doesn't fit the videos: it needs the same actions in all, and no background."""
    shown = {frozenset(labels.tolist()) for labels in (*train_labels, *test_labels)}
    actions = next(iter(shown))
    if len(shown) > 1 or len(actions) < 2 or -1 in actions:
        return math.nan
    return published_definitions.published_phase_progression(train, train_labels, test, test_labels)


def _progress_errors(
    name: str, title: str, meaning: str, needs: Needs, without_labels: bool = False
) -> tuple[Metric, Metric]:
    """The mean over videos of each one's mean over frames, and the mean over the frames of all videos."""
    video = Metric(
        f"OPE_{name}", title, "lower", f"{meaning} The mean over videos of each one's mean over its frames.", needs,
        progress_error, lowest=0, highest=1, without_labels=without_labels,
    )  # fmt: skip
    frames = Metric(
        f"OPE_frames_{name}", f"{title}, by frame", "lower",
        f"OPE_{name} as the mean over all frames of all videos, in which a long video counts for more.", needs,
        progress_error, lowest=0, highest=1, of_frames=True, beside=True,
    )  # fmt: skip
    return video, frames


_DISTANCE = "Mean distance of the predicted from the true progress, both in [0, 1]"
_ALIGNABLE = "shares no action with another video"
_VIDEO_ONLINE = _progress_errors(
    "video_online", "video, online",
    f"{_DISTANCE}, over the whole video. A prediction uses nothing after the current frame.", Needs.VIDEO_ONLINE,
    without_labels=True,
)  # fmt: skip
_ACTION_ONLINE = _progress_errors(
    "action_online", "action, online, told start and label",
    f"{_DISTANCE}, inside each action. A prediction is told where the action begins and which one it is, and uses "
    "nothing else but the frames up to the current one.", Needs.ACTION_ONLINE,
)  # fmt: skip

METRICS = metric_table(
    _VIDEO_ONLINE[0],
    _ACTION_ONLINE[0],
    Metric(
        "OPE_video_offline", "video, offline", "lower",
        f"{_DISTANCE}, over the whole video. A prediction is told where the video ends, so this shows no learning.",
        Needs.VIDEO_OFFLINE, progress_error, lowest=0, highest=1,
    ),
    Metric(
        "OPE_action_offline", "action, offline", "lower",
        f"{_DISTANCE}, inside each action. A prediction is told where the action ends, so this shows no learning.",
        Needs.ACTION_OFFLINE, progress_error, lowest=0, highest=1,
    ),
    _VIDEO_ONLINE[1],
    _ACTION_ONLINE[1],
    Metric(
        "EAE", "EAE", "lower",
        "Enclosed area error: the area between the found and the nearest valid alignment, as a share of what is "
        "possible.",
        Needs.PAIRS, enclosed_area_error, _ALIGNABLE, lowest=0, highest=1,
    ),
    Metric(
        "EAE_monotonic", "EAE_monotonic", "lower",
        "The enclosed area error with every frame counted, as for videos that all go the same way.",
        Needs.PAIRS, partial(enclosed_area_error, monotonic=True), _ALIGNABLE, lowest=0, highest=1,
    ),
    Metric(
        "KT", "KT", "higher",
        "Kendall's tau: whether nearest neighbours in another video come in the same order, from -1 to 1.",
        Needs.PAIRS, _order, "only one frame", lowest=-1, highest=1, without_labels=True,
    ),
    Metric(
        "KTW", "KTW", "higher",
        "Kendall's tau in the wild: the same among frames that can be aligned, where a valid alignment is enough.",
        Needs.PAIRS, kendalls_tau_in_the_wild, _ALIGNABLE, lowest=-1, highest=1,
    ),
    Metric(
        "CYC", "CYC", "higher",
        f"Cycle consistency: share of the frames that come back to their own place, up to {RETURN_TOLERANCE:.0%} of "
        "the video, from their nearest neighbour in another video by its nearest neighbour. It needs no labels.",
        Needs.CYCLES, cycle_consistency, "only one frame", lowest=0, highest=1, without_labels=True,
    ),
    Metric(
        "PHP", "PHP", "higher",
        "Phase progression: R² of the true progress regressed on the embedding of a frame; the mean over test videos.",
        Needs.REGRESSION, phase_progression, highest=1,
    ),
    *map(_classification, FRACTIONS),
    *map(_retrieval, NUMBERS),
    _published(
        "KT_published",
        "Kendall's tau as in TCC's program: every fifth frame of both videos, without pairs whose neighbours are all "
        "one frame.",
        _published_order, -1, 1, "no two videos whose neighbours differ",
    ),
    *map(_published_classification, FRACTIONS),
    _key_steps("KS_F1", key_steps.task_key_step_f1, "F1 of a video"),
    _key_steps("KS_IoU", key_steps.task_key_step_iou, "intersection over union of frames"),
    _key_steps(
        "KS_F1_published", key_steps.published_key_step_f1, "F1 of the means of precision and recall over videos", True
    ),
    _key_steps("KS_IoU_published", key_steps.published_key_step_iou, "intersection over union of frames", True),
    _key_steps("KS_precision_published", key_steps.published_key_step_precision, "precision", True),
    _key_steps("KS_recall_published", key_steps.published_key_step_recall, "recall", True),
    _published(
        "PHP_published",
        "Phase progression as in TCC's program: a regression for each action of the time from its end; R² over the "
        "frames of all test videos at once, the mean over actions. It exists where all videos show all actions and no "
        "background.",
        _published_progression, -math.inf, 1, "not every video shows every action and no background",
    ),
)
