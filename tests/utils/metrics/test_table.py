import math

import numpy as np
import pytest

from utils.metrics.intervals import mean_interval
from utils.metrics.table import METRICS, Metric, Needs, metric_table, metrics_that_need, metrics_without_labels


def metric(name="gap", better="lower"):
    return Metric(name, name, better, "meaning.", Needs.PAIRS, len)


def test_errors_are_better_low_and_agreements_high():
    better = {name: entry.better for name, entry in METRICS.items()}
    assert {name for name, way in better.items() if way == "lower"} == {
        "OPE_video_online", "OPE_action_online", "OPE_video_offline", "OPE_action_offline", "EAE", "EAE_monotonic",
        "OPE_frames_video_online", "OPE_frames_action_online",
    }
    assert {name for name, way in better.items() if way == "higher"} == {
        "KT", "KTW", "CYC", "PHP", "PC_10", "PC_50", "PC_100", "AP_5", "AP_10", "AP_15",
        "KT_published", "PHP_published", "PC_10_published", "PC_50_published", "PC_100_published",
        "KS_F1", "KS_IoU", "KS_F1_published", "KS_IoU_published", "KS_precision_published", "KS_recall_published",
    }


def test_what_is_measured_without_labels():
    assert set(metrics_without_labels(METRICS)) == {"OPE_video_online", "KT", "CYC"}


def test_every_entry_is_complete():
    for name, entry in METRICS.items():
        assert entry.name == name
        assert entry.title
        assert entry.meaning.endswith(".")
        assert "better" not in entry.meaning, "it is said by `better` alone"


def test_what_progress_needs():
    progress = [needs for needs in Needs if needs.is_progress]
    assert len(progress) == 4
    assert [needs.knows_the_end for needs in progress] == [False, False, True, True]
    assert [needs.is_inside_actions for needs in progress] == [False, True, False, True]
    for needs in progress:
        entry, *others = metrics_that_need(needs, METRICS)
        assert all(other.beside and other.of_frames for other in others)
        assert not entry.beside
        assert ("online" in entry.title) == (not needs.knows_the_end)
        assert ("action" in entry.title) == needs.is_inside_actions


def test_intervals_are_cut_to_what_a_figure_or_a_difference_of_two_can_be():
    interval = mean_interval(np.array([0.0, 0.1, 0.9]))
    assert interval.low < 0
    assert interval.high > 1
    assert METRICS["EAE"].clipped(interval)[:3] == (interval.mean, 0, 1)
    assert METRICS["KT"].clipped(interval).low == interval.low
    assert METRICS["EAE"].clipped(interval, is_difference=True)[:3] == (interval.mean, interval.low, 1)
    assert METRICS["PHP"].clipped(interval)[1:3] == (interval.low, 1)
    for entry in METRICS.values():
        assert entry.lowest < entry.highest < math.inf, entry.name


def test_a_table_of_ones_own_keeps_the_order_and_leaves_the_first_alone():
    table = metric_table(*METRICS.values(), metric())
    assert list(table) == [*METRICS, "gap"]
    assert "gap" not in METRICS
    with pytest.raises(TypeError):
        table["other"] = metric("other")


def test_mistakes_in_an_entry_are_said_at_once():
    with pytest.raises(ValueError, match="two metrics have one name: gap, gap"):
        metric_table(metric(), metric())
    with pytest.raises(ValueError, match="'smaller'; expected 'lower' or 'higher'"):
        metric(better="smaller")
    for name in ("a/b", "", "..", "../x"):
        with pytest.raises(ValueError, match="that of a file"):
            metric(name)
