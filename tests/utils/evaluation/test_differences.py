"""Whether the trained network beats what it competes with: paired differences, by loops and on real recordings."""

import json
import math
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, ttest_rel

from configs.generic_config import get_generic_config
from tests.real_data import data_root, real_data
from tests.utils.metrics.annotations import random_annotation
from utils.data.dataset import load_data
from utils.evaluation.comparison import paired_differences
from utils.evaluation.differences import BEATS, NOT_SHOWN, WORSE, best_naive, chief_differences, differences_of
from utils.evaluation.measured import Measured, mean_of_seeds
from utils.evaluation.notes import NoteKind
from utils.evaluation.results import DIFFERENCES_FILE, mean_over_tasks, read_results, save_results, summarise
from utils.evaluation.step_discovery import Discovery
from utils.evaluation.tables import headline, results_table
from utils.evaluation.task import evaluate_task
from utils.evaluation.variants import CLOCK, INDEX, VARIANTS, Kind
from utils.metrics.intervals import mean_interval_of_runs, pair_mean_interval
from utils.metrics.table import METRICS
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, UNTRAINED_NETWORKS, embed_videos
from utils.registry import AUTO

ONLINE, ORDER = METRICS["OPE_video_online"], METRICS["KT"]


class Linear(torch.nn.Module):
    """Random linear maps of a frame."""

    def __init__(self, width, seed):
        super().__init__()
        self.weights = torch.randn(width, 3, generator=torch.Generator().manual_seed(seed))

    def forward(self, sequences):
        return {"outputs": [sequence @ self.weights for sequence in sequences]}


def networks(width):
    return {name: Linear(width, seed) for seed, name in enumerate((TRAINED, *UNTRAINED_NETWORKS))}


class Recordings:
    """Random ones; as a data set."""

    def __init__(self, count, seed=0):
        rng = np.random.default_rng(seed)
        self.items = []
        for number in range(count):
            times = {**random_annotation(rng), "name": f"video {number}"}
            frames = rng.normal(size=(times["end_frame"][-1] + 1, 4)).cumsum(axis=0)
            self.items.append((torch.from_numpy(frames).float(), times))

    @property
    def videos(self):
        return [SimpleNamespace(handle=times["name"]) for _, times in self.items]

    def __getitem__(self, index):
        return self.items[index]


def made_up():
    data = Recordings(9)
    videos = embed_videos(networks(4), data, range(9), with_raw=True)
    return videos[:4], videos[4:]


def of_real_recordings():
    real_data("salads50_accel")
    config = get_generic_config()
    config.DATASET_PATH, config.DATASET_NAME, config.SKIP_RATE = str(data_root()), "salads50_accel", 20
    data = load_data(config.to_dict())
    task = data.train.tasks[0]
    embedded = [
        embed_videos(networks(data.feature_width), part, part.of_task(task)[:number], with_raw=True)
        for part, number in ((data.train, 6), (data.test, 4))
    ]
    return tuple(embedded)


@pytest.fixture(scope="module", params=["made up", "real"])
def evaluated(request):
    train, test = made_up() if request.param == "made up" else of_real_recordings()
    results = evaluate_task("task", train, test, discovery=Discovery(3))
    # One figure for all videos at once has no differences.
    return test, {(r.metric, r.variant): r for r in results if r.metric != "KS_F1_published"}


class TestEverythingThatCompetes:
    def test_raw_features_and_the_untrained_networks_have_a_row_in_every_metric(self, evaluated):
        _, results = evaluated
        for metric in {metric for metric, _ in results}:
            assert {(metric, TRAINED), (metric, RAW), (metric, UNTRAINED)} <= set(results)
        for readout in ("neighbours", "alignment"):
            assert (ONLINE.name, f"{readout}, {RAW}") in results
            assert (ONLINE.name, f"{readout}, {UNTRAINED}") in results
        assert {variant for _, variant in results} == set(VARIANTS) - {AUTO}

    def test_the_untrained_network_is_the_mean_of_five_and_says_so(self, evaluated):
        test, results = evaluated
        for (metric, variant), result in results.items():
            kinds = [note.kind for note in result.notes]
            if VARIANTS[variant].kind is not Kind.UNTRAINED:
                assert not result.runs
                assert NoteKind.OVER_SEEDS not in kinds
                continue
            assert len(result.runs) == 5, (metric, variant)
            assert min(result.runs) < max(result.runs)
            assert kinds.count(NoteKind.OVER_SEEDS) == 1
            assert result.mean == pytest.approx(np.mean(result.runs), abs=1e-12)
        taus = [
            np.mean([
                np.nan_to_num(kendalltau(np.arange(len(a.progress)), distances(a, b, network).argmin(axis=1)).statistic)
                for a, b in permutations(test, 2)
            ])
            for network in UNTRAINED_NETWORKS
        ]  # fmt: skip
        np.testing.assert_allclose(results["KT", UNTRAINED].runs, taus, atol=0.01)

    def test_maps_have_no_row_and_the_networks_figures_say_so(self):
        train, test = made_up()
        for video in (*train, *test):
            del video.embeddings[RAW]
        results = evaluate_task("task", train, test)
        progress = {name for name, metric in METRICS.items() if metric.needs.is_progress}
        assert {r.metric for r in results if r.variant == RAW} == progress
        assert "no row for the raw features: they are maps" in next(
            r.note for r in results if (r.metric, r.variant) == ("KT", TRAINED)
        )


def distances(first, second, network):
    a, b = (video.embeddings[network].double().numpy() for video in (first, second))
    return np.linalg.norm(a[:, None] - b[None], axis=2)


class TestByLoops:
    def test_differences_by_video_are_those_of_a_paired_t_test(self, evaluated):
        _, results = evaluated
        checked = 0
        for (metric, variant), result in results.items():
            for difference in result.differences:
                other = results[metric, difference.against]
                if result.pairs or result.weights or other.runs:
                    continue
                both = [(x, other.values[handle]) for handle, x in result.values.items() if handle in other.values]
                mine, theirs = map(np.array, zip(*both, strict=True))
                interval = ttest_rel(mine, theirs).confidence_interval()
                assert difference.mean == pytest.approx((mine - theirs).mean(), abs=1e-12)
                assert difference.number_of_videos == len(both)
                lowest, highest = METRICS[metric].lowest, METRICS[metric].highest
                # The interval is longer than t's on the side of the long tail, and cut to what can be.
                assert difference.low <= max(interval.low, lowest - highest) + 1e-9
                assert difference.high >= min(interval.high, highest - lowest) - 1e-9
                checked += 1
            assert bool(result.differences) == (VARIANTS[variant].kind is Kind.TRAINED)
        assert checked > 30

    @pytest.mark.parametrize("metric", ["EAE", "EAE_monotonic", "KT", "KTW"])
    def test_differences_by_pair_are_of_the_matrices(self, evaluated, metric):
        test, results = evaluated
        own = results[metric, TRAINED]
        for against in (RAW, CLOCK):
            (difference,) = [d for d in own.differences if d.against == against]
            matrix = np.full((len(test), len(test)), np.nan)
            for i, j in permutations(range(len(test)), 2):
                a, b = test[i].handle, test[j].handle
                mine, theirs = (r.pairs[a].get(b, math.nan) for r in (own, results[metric, against]))
                matrix[i, j] = mine - theirs
            interval = METRICS[metric].clipped(pair_mean_interval(matrix), is_difference=True)
            assert (difference.mean, difference.low, difference.high) == pytest.approx(interval[:3], abs=1e-12)

    def test_the_best_naive_guess_is_the_best_by_its_own_figure(self, evaluated):
        _, results = evaluated
        for metric in ("OPE_video_online", "OPE_action_online", "KTW", "PC_10", "AP_10", "EAE"):
            differences = results[metric, TRAINED].differences
            naive = {d.against: results[metric, d.against].mean for d in differences if d.kind is Kind.NAIVE}
            best = (min if METRICS[metric].better == "lower" else max)(naive.values())
            assert naive[best_naive(METRICS[metric], differences).against] == best

    def test_the_mean_over_frames(self, evaluated):
        test, results = evaluated
        for level, inside in (("video", False), ("action", True)):
            found = results[f"OPE_frames_{level}_online", TRAINED]
            by_video = results[f"OPE_{level}_online", TRAINED].values
            frames = {}
            for video in test:
                times = zip(*(video.time_dict[key] for key in ("step", "start_frame", "end_frame")), strict=True)
                frames[video.handle] = sum(e - s + 1 for step, s, e in times if step != "SIL" or not inside)
            total = sum(by_video[handle] * frames[handle] for handle in by_video)
            assert found.mean == pytest.approx(total / sum(frames[handle] for handle in by_video))
            assert found.low < found.mean < found.high
            (difference,) = [d for d in found.differences if d.against == CLOCK]
            assert difference.mean == pytest.approx(
                found.mean - results[f"OPE_frames_{level}_online", CLOCK].mean, abs=1e-12
            )

    def test_frame_retrieval(self, evaluated):
        test, results = evaluated
        labels = []
        for video in test:
            own = np.full(len(video.progress), "SIL", dtype=object)
            for step, s, e in zip(*(video.time_dict[k] for k in ("step", "start_frame", "end_frame")), strict=True):
                own[s : e + 1] = step
            labels.append(own)
        for number in (5, 15):
            found = results[f"AP_{number}", TRAINED].values
            for i, video in enumerate(test):
                least, most = [], []
                others = [j for j in range(len(test)) if j != i]
                gaps = np.concatenate([distances(video, test[j], TRAINED) for j in others], axis=1)
                theirs = np.concatenate([labels[j] for j in others])
                gaps[:, theirs == "SIL"] = np.inf
                for t in np.flatnonzero(labels[i] != "SIL"):
                    edge = np.sort(gaps[t])[number - 1]
                    same = theirs == labels[i][t]
                    nearer, equal = gaps[t] < edge - 1e-4, abs(gaps[t] - edge) <= 1e-4
                    places = number - nearer.sum()
                    certain = (same & nearer).sum()
                    least.append((certain + max(0, places - (equal & ~same).sum())) / number)
                    most.append((certain + min(places, (equal & same).sum())) / number)
                assert np.mean(least) - 1e-9 <= found[video.handle] <= np.mean(most) + 1e-9
                assert np.mean(most) - np.mean(least) < 0.05


def measured(variant, values, metric=ONLINE):
    return Measured(metric, variant, np.asarray(values, dtype=float))


class TestVerdicts:
    def test_it_follows_from_the_interval_and_from_which_way_is_better(self):
        own = [0.10, 0.12, 0.11, 0.13]
        found = [measured(TRAINED, own), measured(CLOCK, [x + 0.05 for x in own]), measured(RAW, [0.05, 0.2, 0.1, 0.1])]
        found += [measured(INDEX, [x - 0.01 for x in own])]
        verdicts = {d.against: d.verdict for d in differences_of(found)[ONLINE.name, TRAINED]}
        assert verdicts == {CLOCK: BEATS, RAW: NOT_SHOWN, INDEX: WORSE}
        higher = replace(ONLINE, better="higher")
        found = [replace(each, metric=higher) for each in found]
        verdicts = {d.against: d.verdict for d in differences_of(found)[ONLINE.name, TRAINED]}
        assert verdicts == {CLOCK: WORSE, RAW: NOT_SHOWN, INDEX: BEATS}

    def test_two_videos_show_nothing(self):
        found = differences_of([measured(TRAINED, [0.1, 0.1]), measured(CLOCK, [0.5, 0.5])])
        (difference,) = found[ONLINE.name, TRAINED]
        assert (difference.verdict, difference.low, difference.high) == (NOT_SHOWN, None, None)
        assert difference.mean == pytest.approx(-0.4)

    def test_each_readout_is_held_against_its_own(self):
        rows = ("alignment", f"alignment, {RAW}", f"alignment, {UNTRAINED}", RAW, UNTRAINED, CLOCK, "neighbours")
        found = differences_of([measured(row, [0.1, 0.2, 0.3]) for row in rows])
        against = {d.against for d in found[ONLINE.name, "alignment"]}
        assert against == {CLOCK, f"alignment, {RAW}", f"alignment, {UNTRAINED}"}

    def test_over_seeds_the_interval_holds_for_other_seeds_too(self):
        rng = np.random.default_rng(0)
        runs, own = rng.random((5, 6)), rng.random(6)
        found = [measured(name, run) for name, run in zip(UNTRAINED_NETWORKS, runs, strict=True)]
        (difference,) = differences_of(mean_of_seeds([measured(TRAINED, own), *found]))[ONLINE.name, TRAINED]
        expected = mean_interval_of_runs(own - runs)
        assert (difference.mean, difference.low, difference.high) == pytest.approx(expected[:3])

    def test_a_video_that_one_seed_lacks_is_left_out_of_all(self):
        runs = np.arange(20.0).reshape(5, 4) / 100
        runs[2, 1] = np.nan
        (merged,) = mean_of_seeds([measured(name, run) for name, run in zip(UNTRAINED_NETWORKS, runs, strict=True)])
        result = summarise(merged, "task", list("abcd"))
        assert set(result.values) == set("acd")
        assert result.runs == pytest.approx(np.delete(runs, 1, axis=1).mean(axis=1))


class TestOverTasks:
    def results(self):
        results = []
        for number, task in enumerate(("tea", "toast")):
            rng = np.random.default_rng(number)
            own = rng.random(5) / 10
            # Each task has another best guess; over both it is the clock.
            rivals = {CLOCK: 0.1, INDEX: (0.05, 0.2)[number], RAW: 0.0, UNTRAINED: -0.05}
            found = [measured(TRAINED, own)]
            found += [measured(rival, own + gap + rng.normal(size=5) / 1000) for rival, gap in rivals.items()]
            differences, handles = differences_of(found), [f"{task}{i}" for i in range(5)]
            results += [
                summarise(each, task, handles, differences.get((ONLINE.name, each.variant), ())) for each in found
            ]
        return [*results, *mean_over_tasks(results)]

    def test_differences_are_the_means_of_the_tasks(self):
        results = self.results()
        mean = next(r for r in results if (r.variant, r.task) == (TRAINED, "mean of tasks"))
        of_tasks = [r for r in results if r.variant == TRAINED and r is not mean]
        for difference in mean.differences:
            parts = [d for r in of_tasks for d in r.differences if d.against == difference.against]
            assert difference.mean == pytest.approx(np.mean([d.mean for d in parts]))
            assert difference.low < difference.mean < difference.high
            assert difference.number_of_videos == 10
        assert [best_naive(ONLINE, r.differences).against for r in (*of_tasks, mean)] == [INDEX, CLOCK, CLOCK]

    def test_the_headline_says_whom_it_beats(self):
        results = self.results()
        said = headline(results)
        assert "the trained network beats the best naive guess (clock)" in said
        assert "is not shown to beat raw features" in said
        assert "is worse than the untrained network" in said
        text = results_table(results)
        assert text.startswith(said)
        assert "stronger than one chosen beforehand" in text
        assert "video, online: trained network" in text
        assert headline([r for r in results if r.variant != TRAINED]) == ""

    def test_files_hold_them(self, tmp_path):
        results = self.results()
        save_results(tmp_path, results, {})
        assert read_results(json.loads((tmp_path / "metrics.json").read_text())) == results
        lines = (tmp_path / DIFFERENCES_FILE).read_text().splitlines()
        assert len(lines) == 1 + 3 * 4
        assert lines[0] == "metric,variant,task,kind,against,mean,low,high,number_of_videos,verdict"
        assert any(",mean of tasks,untrained,untrained network," in line and line.endswith(WORSE) for line in lines)
        save_results(tmp_path, [replace(r, differences=()) for r in results], {})
        assert not (tmp_path / DIFFERENCES_FILE).exists()

    def test_a_chief_difference_of_each_kind(self):
        mean = next(r for r in self.results() if (r.variant, r.task) == (TRAINED, "mean of tasks"))
        assert [d.against for d in chief_differences(ONLINE, mean.differences)] == [CLOCK, RAW, UNTRAINED]


def test_runs_are_compared_pair_by_pair():
    """With a pair missing, the mean over pairs isn't that over rows; the difference is still that of the figures."""
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 5, 5))
    first[0, 1] = second[0, 1] = np.nan
    handles = list("abcde")
    results = [[summarise(measured(TRAINED, matrix, ORDER), "task", handles)] for matrix in (first, second)]
    difference = paired_differences(*results, TRAINED)[0]
    assert difference.mean == pytest.approx(results[1][0].mean - results[0][0].mean)
    interval = pair_mean_interval(second - first)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))
    fewer = [summarise(measured(TRAINED, second[1:, 1:], ORDER), "task", handles[1:])]
    difference = paired_differences(results[0], fewer, TRAINED)[0]
    assert difference.mean == pytest.approx(pair_mean_interval(second[1:, 1:] - first[1:, 1:]).mean)
