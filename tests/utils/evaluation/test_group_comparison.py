"""Groups of seeds compared: figures against numpy by hand, and the tables that show them."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from utils.checkpoints.fingerprint import Fingerprint
from utils.errors import DataError
from utils.evaluation.checkpoint import METRICS_VERSION, EvaluationRequest
from utils.evaluation.group_comparison import WITHOUT_PAIRS, compare_groups, read_evaluation_folder
from utils.evaluation.group_tables import TABLES, escaped, explanation
from utils.evaluation.measured import Measured
from utils.evaluation.notes import KNOWS_THE_END
from utils.evaluation.results import ALL_TASKS, Result
from utils.metrics.intervals import mean_interval, mean_interval_of_runs, pair_mean_interval
from utils.metrics.table import METRICS
from utils.prediction.embedding import TRAINED

METRIC = "OPE_video_online"
HANDLES = ("one", "two", "three", "four", "five")


def run_of(values, metric=METRIC, task="tea", handles=HANDLES, notes=(), variant=TRAINED):
    """One run's figures of a task and of the mean of tasks."""
    of_videos = dict(zip(handles, map(float, values), strict=True))
    mean = float(np.mean(values))
    return [
        Result(metric, variant, task, mean, None, None, len(of_videos), notes, of_videos),
        Result(metric, variant, ALL_TASKS, mean, None, None, len(of_videos), notes),
    ]


@pytest.fixture
def figures():
    """(runs, recordings) of two groups of three seeds."""
    generator = np.random.default_rng(0)
    return generator.uniform(0.1, 0.3, (3, 5)), generator.uniform(0.2, 0.5, (3, 5))


def group(values, **settings):
    return [run_of(row, **settings) for row in values]


def test_means_deviations_and_the_paired_difference(figures):
    base, other = figures
    first, second = compare_groups({"A": group(base), "B": group(other)}, TRAINED)
    for found, values in ((first, base), (second, other)):
        assert found.runs == 3
        assert found.mean == pytest.approx(values.mean())
        assert found.deviation == pytest.approx(values.mean(axis=1).std(ddof=1))
    assert first.difference is None
    assert second.recordings == 5
    gap = other - base
    assert second.difference.mean == pytest.approx(gap.mean())
    assert second.difference == pytest.approx(mean_interval_of_runs(gap))

    # Without the correction for skewness, which the interval is made longer by, by hand:
    of_recordings, of_runs = gap.mean(axis=0).var(ddof=1) / 5, gap.mean(axis=1).var(ddof=1) / 3
    freedom = (of_recordings + of_runs) ** 2 / (of_recordings**2 / 4 + of_runs**2 / 2)
    half = t.ppf(0.975, freedom) * math.sqrt(of_recordings + of_runs)
    assert second.difference.low <= gap.mean() - half + 1e-12
    assert second.difference.high >= gap.mean() + half - 1e-12
    assert min(gap.mean() - second.difference.low, second.difference.high - gap.mean()) == pytest.approx(half)


def test_only_the_variant_that_is_asked_for_counts(figures):
    base, other = figures
    plain = compare_groups({"A": group(base), "B": group(other)}, TRAINED)
    more = [[*run, *run_of(row, variant="clock")] for run, row in zip(group(base), other, strict=True)]
    assert compare_groups({"A": more, "B": group(other)}, TRAINED) == plain


def test_groups_of_one_are_compared_by_recording(figures):
    base, other = (each[:1] for each in figures)
    _, second = compare_groups({"A": group(base), "B": group(other)}, TRAINED)
    assert second.deviation is None
    assert second.difference == pytest.approx(mean_interval(other[0] - base[0]))


def test_one_run_beside_several_has_a_difference_without_an_interval(figures):
    base, other = figures
    _, second = compare_groups({"A": group(base[:1]), "B": group(other)}, TRAINED)
    assert second.difference.mean == pytest.approx(other.mean() - base[0].mean())
    assert not second.difference.exists


def test_recordings_that_a_run_lacks_are_left_out_of_the_difference(figures):
    base, other = figures
    runs = group(other)
    runs[1] = run_of(other[1][1:], handles=HANDLES[1:])
    _, second = compare_groups({"A": group(base), "B": runs}, TRAINED)
    assert second.recordings == 4
    assert second.difference == pytest.approx(mean_interval_of_runs((other - base)[:, 1:]))
    assert second.notes == ("the difference is without 1 recordings that some runs lack",)


def test_tasks_count_the_same_whatever_their_recordings(figures):
    base, other = figures
    few = (slice(None), slice(0, 3))

    def both(values):
        return [
            [run_of(row, task="tea")[0], run_of(row[:3], task="soup", handles=HANDLES[:3])[0],
             Result(METRIC, TRAINED, ALL_TASKS, (row.mean() + row[:3].mean()) / 2, None, None, 8)]
            for row in values
        ]  # fmt: skip

    first, second = compare_groups({"A": both(base), "B": both(other)}, TRAINED)
    gap = other - base
    assert second.difference.mean == pytest.approx((gap.mean() + gap[few].mean()) / 2)
    assert second.difference.mean == pytest.approx(second.mean - first.mean)
    assert second.recordings == 8


class TestPairs:
    """Metrics of pairs of recordings enter by the (n, n) figures of pairs, where evaluations hold them."""

    @pytest.fixture
    def matrices(self):
        return np.random.default_rng(1).uniform(size=(2, 2, 5, 5))

    @staticmethod
    def runs(matrices, with_pairs):
        runs = []
        for matrix in matrices:
            without_self = np.where(np.eye(5, dtype=bool), np.nan, matrix)
            run = run_of(np.nanmean(without_self, axis=1), metric="KTW")
            pairs = {
                a: {b: float(matrix[i, j]) for j, b in enumerate(HANDLES) if i != j} for i, a in enumerate(HANDLES)
            }
            runs.append([replace(run[0], pairs=pairs if with_pairs else {}), run[1]])
        return runs

    def test_by_pairs(self, matrices):
        groups = {name: self.runs(each, True) for name, each in zip("AB", matrices, strict=True)}
        _, second = compare_groups(groups, TRAINED)
        assert second.difference == pytest.approx(mean_interval_of_runs(matrices[1] - matrices[0]))
        assert second.recordings == 5
        assert not second.notes

    def test_a_pair_that_one_run_lacks_is_left_out_of_all(self, matrices):
        groups = {name: self.runs(each, True) for name, each in zip("AB", matrices, strict=True)}
        del groups["A"][1][0].pairs["one"]["two"]
        _, second = compare_groups(groups, TRAINED)
        gap = (matrices[1] - matrices[0])
        gap[:, 0, 1] = np.nan
        assert second.difference == pytest.approx(mean_interval_of_runs(gap))

    def test_without_pairs_by_the_mean_of_each_recording_and_it_is_said(self, matrices):
        groups = {name: self.runs(each[:1], False) for name, each in zip("AB", matrices, strict=True)}
        _, second = compare_groups(groups, TRAINED)
        rows = np.where(np.eye(5, dtype=bool), np.nan, matrices[1, 0] - matrices[0, 0])
        assert second.difference == pytest.approx(mean_interval(np.nanmean(rows, axis=1)))
        assert second.difference.mean == pytest.approx(pair_mean_interval(rows).mean)
        assert second.notes == (WITHOUT_PAIRS,)


def test_a_mean_over_frames_is_paired_as_one():
    """By hand: the difference of the two sums over sums of frames."""
    name = next(metric.name for metric in METRICS.values() if metric.of_frames)
    weights = dict(zip(HANDLES, (10.0, 20.0, 30.0, 40.0, 50.0), strict=True))
    generator = np.random.default_rng(3)
    values = generator.uniform(size=(2, 2, 5))
    groups = {
        group_name: [[replace(run[0], weights=weights), run[1]] for run in group(of_group, metric=name)]
        for group_name, of_group in zip("AB", values, strict=True)
    }
    _, second = compare_groups(groups, TRAINED)
    frames = np.array(list(weights.values()))
    means = (values * frames).sum(axis=2) / frames.sum()
    assert second.difference.mean == pytest.approx((means[1] - means[0]).mean())
    one = {group_name: runs[:1] for group_name, runs in groups.items()}
    measured = Measured(METRICS[name], TRAINED, values[1, 0] - values[0, 0], weights=frames)
    assert compare_groups(one, TRAINED)[1].difference == pytest.approx(measured.interval())


def test_groups_without_a_common_recording(figures):
    base, other = figures
    with pytest.raises(DataError, match="no metric of a common recording"):
        compare_groups({"A": group(base), "B": group(other, handles=tuple("vwxyz"))}, TRAINED)


class TestTables:
    GROUPS = ("ours_50%", "theirs & {co}", r"third\one")

    @pytest.fixture
    def compared(self, figures):
        base, other = figures
        runs = (group(base, notes=(KNOWS_THE_END,)), group(other), group(other[:2] + 0.1))
        more = [[*run, *run_of(row, metric="PHP")] for run, row in zip(runs[0], base, strict=True)]
        groups = dict(zip(self.GROUPS, (more, *runs[1:]), strict=True))
        said = explanation({name: ["run"] * len(runs) for name, runs in groups.items()}, TRAINED)
        return compare_groups(groups, TRAINED), said

    def test_text(self, compared, figures):
        text = TABLES["text"](*compared)
        base = figures[0]
        assert f"{base.mean():.3f} ± {base.mean(axis=1).std(ddof=1):.3f}" in text
        assert f"{METRIC} (lower)" in text
        assert "PHP (higher)" in text
        assert "theirs & {co} - ours_50%" in text
        assert "paired by recording" in text
        assert "95 % interval of the difference" in text
        assert f"{METRIC}: knows the end" in text

    def test_csv_holds_full_precision_and_every_name(self, compared, figures):
        rows = list(csv.DictReader(io.StringIO(TABLES["csv"](*compared))))
        assert [(row["metric"], row["group"]) for row in rows] == [
            (metric, name) for metric in (METRIC, "PHP") for name in self.GROUPS
        ]
        base, other = figures
        second = rows[1]
        assert float(rows[0]["mean"]) == base.mean(axis=1).mean()
        assert rows[0]["difference"] == ""
        assert float(second["difference"]) == pytest.approx((other - base).mean(), abs=1e-15)
        assert float(second["low"]) < float(second["difference"]) < float(second["high"])
        assert (second["runs"], second["recordings"], second["better"]) == ("3", "5", "lower")
        assert rows[4]["mean"] == rows[4]["difference"] == ""  # PHP, which the second group lacks

    def test_latex_is_balanced_and_every_line_has_all_columns(self, compared):
        text = TABLES["latex"](*compared)
        body = [line for line in text.splitlines() if not line.startswith("%")]
        columns = re.fullmatch(r"\\begin\{tabular\}\{(l(r+))\}", body[0])
        assert len(columns[1]) == 1 + 3 + 2
        assert body[-1] == r"\end{tabular}"
        lines = [line for line in body if line.endswith(r"\\")]
        assert len(lines) == 1 + 2
        for line in lines:
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns[1]) - 1
            assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
            plain = re.sub(r"\\[{}]", "", line)
            depth = np.cumsum([(c == "{") - (c == "}") for c in plain])
            assert depth.min() >= 0
            assert depth[-1] == 0
            assert not re.search(r"(?<!\\)[%#]", line)
            assert not re.search(r"(?<!\\)_", line)
        assert re.search(r"\$\+0\.\d{3}\\ \[[+-]0\.\d{3}, \+0\.\d{3}\]\$", lines[1]), lines[1]
        assert r"ours\_50\%" in lines[0]
        assert r"third\textbackslash{}one" in lines[0]
        assert r"theirs \& \{co\}" in lines[0]
        assert "% " + "ours_50%: run, run, run" in text

    def test_every_special_character_is_escaped(self):
        assert escaped("a_b & 5% #$ {x} ~^ <\\>\n") == (
            r"a\_b \& 5\% \#\$ \{x\} \textasciitilde{}\textasciicircum{} \textless{}\textbackslash{}\textgreater{}"
        )

    def test_what_is_paired_follows_from_the_groups(self):
        one, equal, unequal = (
            "\n".join(explanation({name: ["x"] * count for name, count in zip("AB", counts, strict=True)}, TRAINED))
            for counts in ((1, 1), (3, 3), (3, 2))
        )
        assert "it says nothing of other runs" in one
        assert "by run, the first of a group with the first of the other" in equal
        assert "where two groups have the same number" in unequal


class TestFolders:
    def test_another_split_is_refused(self, tmp_path):
        fingerprint = Fingerprint("", {}, {}, {"version": METRICS_VERSION})
        content = {
            "request": {"split": "val", "tasks": []}, "results": [], "fingerprint": fingerprint.as_description()
        }
        (tmp_path / "metrics.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="is of split val, tasks all; expected split test"):
            read_evaluation_folder(tmp_path, EvaluationRequest())
        assert read_evaluation_folder(tmp_path, EvaluationRequest("val")) == ([], fingerprint)

    def test_figures_of_another_version_of_the_metrics_are_refused(self, tmp_path):
        fingerprint = Fingerprint("", {}, {}, {"version": METRICS_VERSION - 1})
        content = {
            "request": {"split": "test", "tasks": []}, "results": [], "fingerprint": fingerprint.as_description()
        }
        (tmp_path / "metrics.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="another version of the metrics"):
            read_evaluation_folder(tmp_path, EvaluationRequest())

    @pytest.mark.parametrize("text", ["[", "[]", "{}", '{"request": 3}'])
    def test_a_file_that_is_something_else(self, tmp_path, text):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(DataError, match="can't be read"):
            read_evaluation_folder(tmp_path, EvaluationRequest())
