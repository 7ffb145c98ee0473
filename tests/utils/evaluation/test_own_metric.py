"""A metric that the project doesn't have goes through evaluation, tables, comparison and report by its entry alone."""

import json
from itertools import permutations

import numpy as np
import pytest
import torch

from tests.utils.metrics.annotations import random_annotation
from utils.errors import DataError
from utils.evaluation.comparison import comparison_table
from utils.evaluation.results import mean_over_tasks, read_results, save_results
from utils.evaluation.step_discovery import Discovery
from utils.evaluation.tables import results_table, task_tables
from utils.evaluation.task import evaluate_task
from utils.evaluation.variants import CLOCK
from utils.metrics.table import METRICS, Metric, Needs, metric_table
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, EmbeddedVideo
from utils.report.page import write_reports
from utils.tensorops import get_trueprogress, get_trueprogress_per_action, path_length


def reach(neighbours, alignment):
    """How much of the other video is found by some frame of this one."""
    return np.array([len(set(row.tolist())) / len(alignment.alignable_other) for row in neighbours])


def late(prediction, truth, counted):
    """How far the prediction is behind at the worst frame."""
    return float(np.max(truth - prediction))


def sizes(train, train_truth, test, test_truth):
    return np.array([len(frames) / sum(map(len, train)) for frames in test])


OWN = {
    "reach": Metric("reach", "reach <of all>", "higher", "share of frames <found>.", Needs.PAIRS, reach),
    "late": Metric("late", "delay", "lower", "largest delay.", Needs.VIDEO_ONLINE, late),
    "size": Metric("size", "size", "lower", "length over that of training videos.", Needs.REGRESSION, sizes),
    "labels": Metric("labels", "labels", "higher", "the same of labels.", Needs.LABELS, sizes),
}
TABLE = metric_table(*METRICS.values(), *OWN.values())


def video(number):
    rng = np.random.default_rng(number)
    times = random_annotation(rng)
    frames = torch.from_numpy(rng.normal(size=(times["end_frame"][-1] + 1, 3))).float()
    return EmbeddedVideo(
        handle=f"video {number}",
        time_dict=times,
        progress=get_trueprogress(times).double().numpy(),
        action_progress=get_trueprogress_per_action(times).double().numpy(),
        paths={name: path_length(frames) for name in (TRAINED, UNTRAINED, RAW)},
        embeddings={TRAINED: frames, UNTRAINED: 2 * frames, RAW: frames},
    )


@pytest.fixture(scope="module")
def videos():
    return [video(number) for number in range(3)], [video(number) for number in range(3, 7)]


@pytest.fixture(scope="module")
def results(videos):
    found = evaluate_task("tea", *videos, metrics=TABLE)
    return [*found, *mean_over_tasks(found, TABLE)]


def test_it_is_measured_of_every_variant_that_its_kind_has(videos, results):
    found = {(r.metric, r.variant): r for r in results if r.task == "tea"}
    for own, like in (("reach", "KT"), ("late", "OPE_video_online"), ("size", "PHP"), ("labels", "PC_10")):
        variants = [variant for metric, variant in found if metric == own]
        assert variants == [variant for metric, variant in found if metric == like]
    shares = []
    for first, second in permutations(videos[1], 2):
        longest = len(second.progress)
        shares.append(len({min(i, longest - 1) for i in range(len(first.progress))}) / longest)
    assert found["reach", CLOCK].mean == pytest.approx(np.mean(shares))
    assert found["reach", CLOCK].low <= found["reach", CLOCK].mean <= found["reach", CLOCK].high
    assert found["late", "constant 0.5"].mean == pytest.approx(np.mean([v.progress.max() - 0.5 for v in videos[1]]))
    training = sum(len(v.progress) for v in videos[0])
    assert found["size", TRAINED].mean == pytest.approx(np.mean([len(v.progress) for v in videos[1]]) / training)


def test_the_others_figures_are_the_same_beside_it(videos, results):
    assert evaluate_task("tea", *videos) == [r for r in results if r.metric in METRICS and r.task == "tea"]


def test_a_table_of_one_metric_measures_that_alone(videos):
    assert {r.metric for r in evaluate_task("tea", *videos, metrics=metric_table(OWN["reach"]))} == {"reach"}


def test_it_stands_in_the_tables_under_its_title_and_on_its_side(results):
    progress, embedding, _ = task_tables(results, "tea", TABLE).tables
    assert OWN["late"] in progress.columns
    assert {OWN["reach"], OWN["size"], OWN["labels"]} < set(embedding.rows)
    text = results_table(results, "tea", TABLE)
    assert "delay" in next(line for line in text.splitlines() if line.startswith("progress error"))
    assert sum(line.startswith("reach <of all>") for line in text.splitlines()) == 1
    compared = comparison_table({"a": results, "b": results}, TRAINED, TABLE)
    assert "reach (higher)" in compared
    assert "late (lower)" in compared


def test_it_is_written_read_and_reported(results, tmp_path):
    description = {
        "checkpoint": "x.pt", "epoch": 0, "data_set": "mine", "frames_ahead": 0, "request": {"split": "test"},
    }
    save_results(tmp_path, results, description)
    assert (tmp_path / "reach.csv").is_file()
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert read_results(content, TABLE) == results
    with pytest.raises(DataError, match="'late'"):
        read_results(content)
    page = write_reports(tmp_path, TABLE).read_text()
    assert "reach &lt;of all&gt;" in page
    assert "share of frames &lt;found&gt;." in page
    assert "<found>" not in page


def test_every_metric_that_an_evaluation_gives_has_an_entry(videos):
    assert {r.metric for r in evaluate_task("tea", *videos, published=True, discovery=Discovery(3))} == set(METRICS)
