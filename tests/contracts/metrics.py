"""What every metric must do, by what it is computed from. From a test of your own:

    from tests.contracts.metrics import check_pair_metric

    def test_my_metric():
        check_pair_metric(my_metric, better="higher")

A metric that is better when lower is 0 at best, one that is better when higher is 1 at best; NaN stands for a figure
that doesn't exist.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.contracts.requirement import require
from utils.metrics.table import Metric, Needs
from utils.metrics.valid_alignment import ValidAlignment, valid_alignment

Measure = Callable[..., Any]
TOLERANCE = 1e-6


def check_metric(metric: Metric, worst: float | None = None) -> None:
    """The contracts of an entry of a table of metrics, by what it needs.

    Args:
        metric: the entry.
        worst: see `check_pair_metric`.
    """
    if metric.needs is Needs.PAIRS:
        check_pair_metric(metric.measure, metric.better, worst)
    elif metric.needs is Needs.CYCLES:
        check_cycle_metric(metric.measure, worst)
    elif metric.needs.is_progress:
        check_progress_metric(metric.measure, metric.better, worst)
    elif metric.needs is Needs.RETRIEVAL:
        check_retrieval_metric(metric.measure, metric.better, worst)
    elif metric.needs.is_key_steps:
        check_key_step_metric(metric.measure, worst)
    elif metric.needs is Needs.PUBLISHED:
        check_metric_of_all_videos(metric.measure, metric.better, worst)
    else:
        check_embedding_metric(metric.measure, metric.better, metric.needs is Needs.LABELS, worst)


def check_pair_metric(measure: Measure, better: str, worst: float | None = None) -> None:
    """Contracts of a metric of the nearest neighbours of an ordered pair of videos U and V.

    Args:
        measure: called with (B, N) int neighbours of U's frames, one row a variant, and the `ValidAlignment`; gives
            (B,).
        better: 'lower' or 'higher'.
        worst: the bound on the other side; None: there is none.

    Raises:
        AssertionError: saying what the metric does and what was expected.
    """
    alignment, frames, other_frames = _pair()
    perfect = alignment.position[:, 0]
    random = np.random.default_rng(0).integers(0, other_frames, (20, frames))
    rows = np.stack([perfect, perfect[::-1], np.zeros(frames, dtype=int), *random])
    before = rows.copy(), copy.deepcopy(alignment.position)
    values = _array(measure(rows, alignment), (len(rows),))
    require(np.array_equal(rows, before[0]), "changes the neighbours that it is given")
    require(np.array_equal(alignment.position, before[1]), "changes the alignment that it is given")
    _require_repeatable(values, measure(rows, alignment))
    _require_direction(values[0], values[1:], better, worst, "the valid alignment", "neighbours in another order")
    for row, value in zip(rows, values, strict=True):
        alone = _array(measure(row[None], alignment), (1,))[0]
        require(abs(alone - value) <= TOLERANCE, "gives a row another figure beside other rows")
    single = valid_alignment(*_annotations({"stir": 1}, {"stir": 4}))
    _require_number_or_nan(measure(np.zeros((1, 1), dtype=int), single), "a video of one frame")
    apart = valid_alignment(*_annotations({"stir": 5}, {"pour": 4}))
    _require_number_or_nan(measure(np.zeros((1, 5), dtype=int), apart), "videos that share no action")


def check_progress_metric(measure: Measure, better: str, worst: float | None = None) -> None:
    """Contracts of a metric of predicted progress.

    Args:
        measure: called with predicted and true progress, (T,) in [0, 1], and which frames count, (T,) bool or None
            for all; gives a number.
        better, worst: see `check_pair_metric`.
    """
    truth = np.linspace(0, 1, 60)
    counted = np.arange(60) % 4 > 0
    noise = np.random.default_rng(0).random((20, 60))
    predictions = [truth, 1 - truth, np.zeros(60), np.ones(60), *noise]
    for inside in (None, counted):
        before = [prediction.copy() for prediction in predictions], truth.copy(), counted.copy()
        values = np.array([float(measure(prediction, truth, inside)) for prediction in predictions])
        same = all(np.array_equal(a, b) for a, b in zip(predictions, before[0], strict=True))
        require(same and np.array_equal(truth, before[1]), "changes the progress that it is given")
        require(np.array_equal(counted, before[2]), "changes which frames count")
        _require_repeatable(values, [measure(prediction, truth, inside) for prediction in predictions])
        _require_direction(values[0], values[1:], better, worst, "the truth itself", "another prediction")
    everything = measure(noise[0], truth, np.ones(60, dtype=bool))
    require(everything == measure(noise[0], truth, None), "gives another figure for all frames than for None")
    changed = np.where(counted, truth, 1 - truth)
    require(
        abs(measure(changed, truth, counted) - measure(truth, truth, counted)) <= TOLERANCE,
        "depends on frames that don't count",
    )
    _require_number_or_nan(measure(truth[:1], truth[:1], None), "a video of one frame")
    _require_number_or_nan(measure(truth, truth, np.zeros(60, dtype=bool)), "a video where no frame counts")


def check_embedding_metric(measure: Measure, better: str, of_labels: bool, worst: float | None = None) -> None:
    """Contracts of a metric that fits something to training videos and judges it on test videos.

    Args:
        measure: called with the frames (T_i, D) of the training videos, their targets (T_i,), and both of the n test
            videos; gives (n,).
        better, worst: see `check_pair_metric`.
        of_labels: the targets are int labels of actions, -1 for background; otherwise progress in [0, 1].
    """
    lengths = (30, 24, 37, 28, 33, 26)
    targets = [_targets(length, of_labels) for length in lengths]
    generator = np.random.default_rng(0)
    good = [_telling_frames(target, of_labels, generator) for target in targets]
    bad = [generator.normal(size=frames.shape) for frames in good]
    results = []
    for frames in (good, bad):
        given = (frames[:3], targets[:3], frames[3:], targets[3:])
        before = copy.deepcopy(given)
        values = _array(measure(*given), (3,))
        same = all(np.array_equal(a, b) for part, old in zip(given, before, strict=True)
                   for a, b in zip(part, old, strict=True))
        require(same, "changes the videos that it is given")
        _require_repeatable(values, measure(*given))
        alone = _array(measure(*given[:2], frames[3:4], targets[3:4]), (1,))[0]
        require(abs(alone - values[0]) <= TOLERANCE, "gives a test video another figure beside other test videos")
        results.append(values)
    for telling, random in zip(*results, strict=True):
        _require_direction(telling, [random], better, worst, "frames that tell the target", "random frames")
    _require_number_or_nan(measure(good[:3], targets[:3], [good[3][:1]], [targets[3][:1]]), "a video of one frame")


def check_retrieval_metric(measure: Measure, better: str, worst: float | None = None) -> None:
    """Contracts of a metric of the nearest frames of other videos.

    Args:
        measure: called with whether the nearest frames show the same action, (T, K) bool or the probability of it,
            nearest first, K >= 15; gives a number.
        better, worst: see `check_pair_metric`.
    """
    generator = np.random.default_rng(0)
    right = np.ones((40, 20), dtype=bool)
    others = [~right, *(generator.random((20, 40, 20)) < 0.5)]
    values = []
    for matches in (right, *others):
        before = matches.copy()
        values.append(float(measure(matches)))
        require(np.array_equal(matches, before), "changes the matches that it is given")
        _require_repeatable(np.array(values[-1:]), [measure(matches)])
        # A probability of 0 or 1 is what is certain.
        as_probability = measure(matches.astype(np.float64))
        require(abs(as_probability - values[-1]) <= TOLERANCE, "depends on the type of certain matches")
    _require_direction(values[0], values[1:], better, worst, "neighbours of the same action", "other neighbours")
    _require_number_or_nan(measure(right[:1]), "a video of one frame")
    _require_number_or_nan(measure(right[:0]), "a video without any action")


def check_cycle_metric(measure: Measure, worst: float | None = None) -> None:
    """Contracts of a metric of frames that are sent to another video and back; higher figures are better.

    Args:
        measure: called with (B, N) int, where each frame of a video comes back to, one row a variant; gives (B,).
        worst: see `check_pair_metric`.
    """
    frames = 40
    random = np.random.default_rng(0).integers(0, frames, (20, frames))
    rows = np.stack([np.arange(frames), np.zeros(frames, dtype=int), *random])
    before = rows.copy()
    values = _array(measure(rows), (len(rows),))
    require(np.array_equal(rows, before), "changes the frames that it is given")
    _require_repeatable(values, measure(rows))
    _require_direction(values[0], values[1:], "higher", worst, "frames that come back", "frames that don't")
    for row, value in zip(rows, values, strict=True):
        alone = _array(measure(row[None]), (1,))[0]
        require(abs(alone - value) <= TOLERANCE, "gives a row another figure beside other rows")
    _require_number_or_nan(measure(np.zeros((1, 1), dtype=int)), "a video of one frame")


def check_key_step_metric(measure: Measure, worst: float | None = None) -> None:
    """Contracts of a metric of key steps that were found without labels; higher figures are better.

    Args:
        measure: called with the clusters (T_i,) int of the frames of each test video, and their int labels (T_i,), -1
            for background; gives a figure for each video, or one for all.
        worst: see `check_pair_metric`.
    """
    labels = [np.repeat([0, -1, 1, 2], lengths) for lengths in ((9, 3, 8, 12), (7, 4, 9, 9), (11, 2, 6, 10))]
    generator = np.random.default_rng(0)
    right = [np.array([2, 0, 1, 3])[own] for own in labels]
    others = [[generator.integers(4, size=len(own)) for own in labels] for _ in range(20)]
    shape = np.shape(measure(right, labels))
    require(shape in ((), (3,)), f"gives figures of shape {shape}; expected one for each video, or one for all")
    values = []
    for clusters in (right, *others):
        before = copy.deepcopy((clusters, labels))
        values.append(float(np.mean(measure(clusters, labels))))
        same = all(np.array_equal(a, b) for part, old in zip((clusters, labels), before, strict=True)
                   for a, b in zip(part, old, strict=True))
        require(same, "changes the videos that it is given")
        _require_repeatable(np.array(values[-1:]), [np.mean(measure(clusters, labels))])
        renamed = [np.array([3, 1, 0, 2])[own] for own in clusters]
        change = abs(np.mean(measure(renamed, labels)) - values[-1])
        require(change <= TOLERANCE, "depends on the names of the clusters")
    _require_direction(values[0], values[1:], "higher", worst, "clusters that are the actions", "random clusters")
    nothing = [np.full(len(own), -1) for own in labels]
    _require_number_or_nan(measure(right, nothing), "videos without any action")
    _require_number_or_nan(measure([own[:1] for own in right], [own[:1] for own in labels]), "videos of one frame")
    _require_number_or_nan(measure([own * 0 for own in right], labels), "a single cluster")
    _require_number_or_nan(measure([np.arange(len(own)) for own in labels], labels), "a cluster for every frame")


def check_metric_of_all_videos(measure: Measure, better: str, worst: float | None = None) -> None:
    """Contracts of a metric that judges the embedding of all test videos at once.

    Args:
        measure: called with the frames (T_i, D) of the training videos, their int labels (T_i,), -1 for background,
            and both of the test videos; gives a number.
        better, worst: see `check_pair_metric`.
    """
    targets = [_targets(length, of_labels=True) for length in (30, 24, 37, 28, 33, 26)]
    generator = np.random.default_rng(0)
    # Every frame has its place along the action too, so that an order and a progress can be told.
    good = [
        np.concatenate([10 * np.eye(3)[target], np.linspace(0, 10, len(target))[:, None]], axis=1)
        for target in targets
    ]
    bad = [generator.normal(size=frames.shape) for frames in good]
    values = []
    for frames in (good, bad):
        given = (frames[:3], targets[:3], frames[3:], targets[3:])
        before = copy.deepcopy(given)
        values.append(float(measure(*given)))
        same = all(np.array_equal(a, b) for part, old in zip(given, before, strict=True)
                   for a, b in zip(part, old, strict=True))
        require(same, "changes the videos that it is given")
        _require_repeatable(np.array(values[-1:]), [measure(*given)])
    sign = 1.0 if better == "lower" else -1.0
    gap = sign * (values[1] - values[0])
    require(gap > 0.2, f"gives random frames {values[1]:.3g}, hardly worse than {values[0]:.3g} for telling ones")
    bound = 0.0 if better == "lower" else 1.0
    require(sign * (values[0] - bound) >= -TOLERANCE, f"gives {values[0]:.3g}, beyond {bound}, the best there is")
    if worst is not None:
        require(sign * (values[1] - worst) <= TOLERANCE, f"gives {values[1]:.3g}, beyond {worst}, the worst")


def _require_direction(
    best: float, others: Sequence[float], better: str, worst: float | None, of_best: str, of_others: str
) -> None:
    """The perfect case has the best figure, nothing has a better one, and the others on average a worse one."""
    perfect, sign = (0.0, 1.0) if better == "lower" else (1.0, -1.0)
    require(
        abs(best - perfect) <= 1e-3, f"gives {best} for {of_best}; expected {perfect} where {better} figures are better"
    )
    others = np.asarray(others, dtype=np.float64)
    require(bool(np.isfinite(others).all()), f"gives a figure that isn't finite for {of_others}")
    beyond = (sign * (others - perfect)).min()
    require(beyond >= -TOLERANCE, f"gives {of_others} a figure beyond {perfect}, the best there is")
    mean = others.mean()
    require(sign * (mean - best) > 0.05, f"gives {of_others} {mean:.3g}, hardly worse than the best, {best:.3g}")
    if worst is not None:
        require((sign * (others - worst)).max() <= TOLERANCE, f"gives {of_others} a figure beyond {worst}, the worst")


def _require_repeatable(values: np.ndarray, again: Any) -> None:
    require(np.array_equal(values, np.asarray(again), equal_nan=True), "gives two figures for the same videos")


def _require_number_or_nan(values: Any, what: str) -> None:
    require(not np.isinf(np.asarray(values, dtype=np.float64)).any(), f"gives {values} for {what}; expected it, or NaN")


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    require(np.shape(values) == shape, f"gives figures of shape {np.shape(values)}; expected {shape}")
    return np.asarray(values, dtype=np.float64)


def _annotations(*videos: dict[str, int]) -> list[dict[str, list]]:
    """time_dicts of videos whose actions last so many frames."""
    annotations = []
    for lengths in videos:
        ends = np.cumsum(list(lengths.values()))
        starts = [0, *ends[:-1].tolist()]
        annotations.append({"step": list(lengths), "start_frame": starts, "end_frame": (ends - 1).tolist()})
    return annotations


def _pair() -> tuple[ValidAlignment, int, int]:
    """A pair of videos and their numbers of frames; the second is slower, so that the valid alignment has no tie."""
    first, second = _annotations({"pour": 8, "stir": 9, "serve": 11}, {"pour": 12, "stir": 16, "serve": 15})
    return valid_alignment(first, second), 28, 43


def _targets(length: int, of_labels: bool) -> np.ndarray:
    progress = np.linspace(0, 1, length)
    return np.minimum((progress * 3).astype(np.int64), 2) if of_labels else progress


def _telling_frames(target: np.ndarray, of_labels: bool, generator: np.random.Generator) -> np.ndarray:
    signal = np.eye(3)[target] if of_labels else np.stack([target, 1 - target, target], axis=1)
    return np.concatenate([signal, generator.normal(size=(len(target), 2))], axis=1)
