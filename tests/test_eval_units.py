"""The parts of an evaluation, on small videos with fake networks."""

import errno
import gc
import json
import math
import shutil
import signal
import sys
import weakref
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from configs.generic_config import get_generic_config
from models.build_model import build_model
from tests.utils.metrics.annotations import annotation, random_annotation
from utils.ckpt_save import ckpt_save, load_checkpoint
from utils.data.dataset import load_data
from utils.errors import CheckpointError, DataError, Interrupted
from utils.evaluation import progress
from utils.evaluation.checkpoint import (
    EvaluationRequest,
    evaluate_checkpoint,
    evaluation_folder,
    untrained_network,
)
from utils.evaluation.comparison import comparison_table, paired_differences
from utils.evaluation.measured import Measured
from utils.evaluation.notes import KNOWS_THE_END, Note, NoteKind
from utils.evaluation.pictures import DRAWN, draw_task, videos_to_draw
from utils.evaluation.results import (
    ALL_TASKS,
    Result,
    mean_over_tasks,
    read_results,
    save_results,
    summarise,
)
from utils.evaluation.tables import results_table
from utils.evaluation.task import evaluate_task, evaluate_task_with_curves
from utils.evaluation.variants import VARIANTS, Kind
from utils.metrics.table import METRICS, Needs
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, embed_videos
from utils.tensorops import get_trueprogress


@dataclass
class FakeDataset:
    items: list

    @property
    def videos(self):
        return [SimpleNamespace(handle=times["name"]) for _, times in self.items]

    def __getitem__(self, index):
        return self.items[index]


class Scaled(torch.nn.Module):
    """Embeds a frame as its features times a factor, and counts its calls."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor, self.calls = factor, 0

    def forward(self, sequences):
        self.calls += 1
        return {"outputs": [sequence * self.factor for sequence in sequences]}


def dataset(time_dicts, features):
    return FakeDataset(
        [(f, {**t, "name": f"video{i}"}) for i, (t, f) in enumerate(zip(time_dicts, features, strict=True))]
    )


def perfect(count, labels="abc"):
    """Videos whose features are the true progress over actions that differ in length."""
    rng = np.random.default_rng(0)
    time_dicts = [annotation(*((label, int(rng.integers(8, 15))) for label in labels)) for _ in range(count)]
    return dataset(time_dicts, [get_trueprogress(t)[:, None].repeat(1, 3) for t in time_dicts])


def noisy(count, seed=0):
    rng = np.random.default_rng(seed)
    time_dicts = [random_annotation(rng) for _ in range(count)]
    lengths = [t["end_frame"][-1] + 1 for t in time_dicts]
    return dataset(time_dicts, [torch.from_numpy(rng.normal(size=(n, 4))).float() for n in lengths])


def embedded(data, **networks):
    networks = networks or {TRAINED: Scaled(), UNTRAINED: Scaled(2)}
    return embed_videos(networks, data, range(len(data.items)), with_raw=True)


def by_name(results, task="task"):
    return {(r.metric, r.variant): r for r in results if r.task == task}


class TestEmbedding:
    def test_every_video_is_embedded_once_without_gradients(self):
        network = Scaled().requires_grad_(True)
        videos = embed_videos({TRAINED: network}, noisy(4), [1, 3])
        assert network.calls == 2
        assert [video.handle for video in videos] == ["video1", "video3"]
        assert not videos[0].embeddings[TRAINED].requires_grad
        assert set(videos[0].paths) == {TRAINED, RAW}

    def test_a_non_finite_embedding_is_refused_by_name(self):
        with pytest.raises(CheckpointError, match="video0"):
            embed_videos({TRAINED: Scaled(float("nan"))}, noisy(1), [0])


class TestEvaluateTask:
    def test_a_perfect_embedding_is_perfect(self):
        videos = embedded(perfect(9))
        results = by_name(evaluate_task("task", videos[:5], videos[5:]))
        assert results["OPE_video_online", TRAINED].mean == pytest.approx(0, abs=1e-6)
        assert results["OPE_video_offline", TRAINED].mean == pytest.approx(0, abs=1e-6)
        assert results["PHP", TRAINED].mean == pytest.approx(1)
        assert results["KTW", TRAINED].mean > 0.95
        assert results["KT", TRAINED].mean > 0.95
        assert results["EAE", TRAINED].mean < 0.02
        assert results["OPE_video_online", "clock"].mean > 0.01

    def test_every_figure_has_its_baselines_and_a_sane_interval(self):
        videos = embedded(noisy(9))
        results = by_name(evaluate_task("task", videos[:5], videos[5:], frames_ahead=3))
        naive = {"constant 0.5", "mean truth at index", "clock", RAW, UNTRAINED, TRAINED}
        of_networks = {f"{name}{of}" for name in ("neighbours", "alignment") for of in ("", ", untrained network")}
        readouts = of_networks | {"neighbours, raw features", "alignment, raw features"}
        for level, others in (("video", readouts), ("action", set())):
            found = {variant for metric, variant in results if metric == f"OPE_{level}_online"}
            assert found == naive | others
            offline = {v for m, v in results if m == f"OPE_{level}_offline"}
            assert offline == {TRAINED, UNTRAINED, RAW, "t / T"}
        for metric in ("EAE", "KT", "KTW"):
            variants = {v for m, v in results if m == metric}
            assert variants == {TRAINED, UNTRAINED, RAW, "clock", "random neighbours"}
        for metric, naive in (("PHP", {"clock"}), ("PC_50", {"most frequent action"}), ("AP_5", {"clock", "chance"})):
            assert {v for m, v in results if m == metric} == {TRAINED, UNTRAINED, RAW} | naive
        assert abs(results["KT", "random neighbours"].mean) < 0.2
        for result in results.values():
            assert result.number_of_videos == len(result.values) == 4
            assert result.low <= result.mean <= result.high
        for variant in (TRAINED, UNTRAINED, *of_networks):
            assert "3 frames ahead" in results["OPE_video_online", variant].note
        for variant in ("clock", RAW, "alignment, raw features"):
            assert not results["OPE_video_online", variant].note
        assert results["OPE_video_offline", TRAINED].note == "knows the end"

    def test_the_same_twice_and_without_the_classifier(self):
        videos = embedded(noisy(6))
        first, second = (evaluate_task("task", videos[:3], videos[3:]) for _ in range(2))
        assert first == second
        without = evaluate_task("task", videos[:3], videos[3:], classify=False)
        assert without == [r for r in first if METRICS[r.metric].needs is not Needs.LABELS]
        assert 0 < len(without) < len(first)

    def test_a_lone_test_video_is_paired_with_training_videos_and_says_so(self):
        videos = embedded(perfect(4))
        results = by_name(evaluate_task("task", videos[:3], videos[3:]))
        for metric in ("EAE", "KT", "KTW"):
            result = results[metric, TRAINED]
            assert result.mean is not None
            assert "lone test video, paired with 3 training videos" in result.note
        assert results["KT", TRAINED].mean > 0.95
        assert results["OPE_video_online", TRAINED].low is None
        assert "no interval" in results["OPE_video_online", TRAINED].note

    def test_videos_without_actions_get_reasons_and_never_nan(self):
        silent = dataset([annotation(("SIL", 6))] * 5, [torch.randn(6, 2)] * 5)
        results = evaluate_task("task", embedded(silent)[:3], embedded(silent)[3:])
        for result in results:
            if result.metric in ("KT", "CYC"):
                continue
            assert result.mean is None, result
            assert "action" in result.note
        json.dumps([r.as_row() for r in results], allow_nan=False)

    def test_one_video_without_actions_is_left_out_and_counted(self):
        data = perfect(6)
        data.items[5] = (torch.randn(8, 3), {**annotation(("SIL", 8)), "name": "silent"})
        videos = embedded(data)
        result = by_name(evaluate_task("task", videos[:2], videos[2:]))["OPE_video_online", TRAINED]
        assert result.number_of_videos == 3
        assert "1 of 4 videos left out: no action in the video" in result.note

    def test_no_test_video_and_no_training_video_are_refused(self):
        videos = embedded(noisy(2))
        with pytest.raises(ValueError, match="'task' has no video"):
            evaluate_task("task", videos, [])
        with pytest.raises(ValueError, match="training videos"):
            evaluate_task("task", [], videos)


def figure(task, values, metric="KT", variant=TRAINED):
    values = np.asarray(values, dtype=float)
    handles = [f"{task}{i}" for i in range(len(values))]
    measured = Measured(METRICS[metric], variant, values, missing="no figure")
    return summarise(measured, task, handles)


class TestResults:
    def test_pair_values_are_averaged_without_the_diagonal(self):
        values = np.array([[99.0, 1.0, 2.0], [3.0, 99.0, np.nan], [5.0, 6.0, 99.0]])
        result = summarise(Measured(METRICS["KT"], TRAINED, values), "task", ["a", "b", "c"])
        assert result.mean == pytest.approx((1 + 2 + 3 + 5 + 6) / 5)
        assert result.values == {"a": 1.5, "b": 3.0, "c": 5.5}

    def test_mean_over_tasks_weighs_tasks_equally_and_narrows_the_interval(self):
        rng = np.random.default_rng(0)
        tasks = [figure("a", rng.normal(size=20) / 10), figure("b", rng.normal(size=5) / 10 + 0.1)]
        (mean,) = mean_over_tasks(tasks)
        assert mean.mean == pytest.approx((tasks[0].mean + tasks[1].mean) / 2)
        assert mean.number_of_videos == 25
        assert mean.low < mean.mean < mean.high
        assert mean.high - mean.low < tasks[1].high - tasks[1].low

    def test_few_videos_a_task_give_an_interval_over_tasks_or_none(self):
        (mean,) = mean_over_tasks(
            [figure(task, [value]) for task, value in zip("abc", (0.1, 0.2, 0.4), strict=True)]
        )
        assert mean.low < 0.7 / 3 < mean.high
        assert "interval over tasks" in mean.note
        (mean,) = mean_over_tasks([figure("a", [0.1]), figure("b", [0.2])])
        assert mean.low is None
        assert "no interval" in mean.note

    def test_tasks_without_a_figure_are_named(self):
        (mean,) = mean_over_tasks([figure("a", [1, 2, 3]), figure("b", [np.nan])])
        assert mean.mean == pytest.approx(2)
        assert "without b" in mean.note
        (mean,) = mean_over_tasks([figure("b", [np.nan])])
        assert mean.mean is None
        assert mean.note == "no figure"

    def test_what_holds_for_every_task_and_what_was_left_out_of_one_is_said_of_the_mean(self):
        not_causal = Note(NoteKind.NOT_CAUSAL, "not causal: 3 frames")
        notes = {
            "a": (not_causal, Note(NoteKind.LEFT_OUT, "1 of 4 videos left out: x")),
            "b": (not_causal, Note(NoteKind.OTHER, "only b")),
        }
        results = [replace(figure(task, [1, 2, 3]), notes=of_task) for task, of_task in notes.items()]
        (mean,) = mean_over_tasks(results)
        assert mean.note == "not causal: 3 frames; a: 1 of 4 videos left out: x"
        assert [note.kind for note in mean.notes] == [NoteKind.NOT_CAUSAL, NoteKind.LEFT_OUT]
        few = (KNOWS_THE_END, Note(NoteKind.NO_INTERVAL, "no interval: few"))
        ended = [replace(figure(task, [1.0]), notes=few) for task in "ab"]
        (mean,) = mean_over_tasks(ended)
        assert mean.note.startswith("no interval: it needs")
        assert "; knows the end" in mean.note
        assert "few" not in mean.note
        assert "knows the end" not in results_table([mean])
        assert "no interval" in results_table([mean])

    def test_files_hold_what_was_measured(self, tmp_path):
        results = [figure("a", [0.1, 0.2, 0.4]), figure("a", [np.nan], metric="PHP")]
        results += mean_over_tasks(results)
        save_results(tmp_path, results, {"checkpoint": "x.pt"})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["KT.csv", "PHP.csv", "metrics.json"]
        lines = (tmp_path / "KT.csv").read_text().splitlines()
        assert lines[0] == "metric,variant,task,mean,low,high,number_of_videos,note"
        assert len(lines) == 3
        assert (tmp_path / "PHP.csv").read_text().splitlines()[1] == "PHP,trained network,a,,,,0,no figure"
        content = json.loads((tmp_path / "metrics.json").read_text())
        assert content["checkpoint"] == "x.pt"
        assert read_results(content) == results

    def test_what_an_earlier_evaluation_left_goes(self, tmp_path):
        picture = {"file": "map+a.png", "kind": "map", "task": "a", "videos": []}
        for name in ("map+a.png", "notes.txt"):
            (tmp_path / name).write_text("x")
        results = [figure("a", [1, 2, 3]), figure("a", [1, 2, 3], "PC_10")]
        save_results(tmp_path, results, {"pictures": [picture, {"file": "../outside.png"}]})
        assert (tmp_path / "PC_10.csv").is_file()
        (tmp_path.parent / "outside.png").write_text("x")
        save_results(tmp_path, results[:1], {})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["KT.csv", "metrics.json", "notes.txt"]
        assert (tmp_path.parent / "outside.png").is_file()
        (tmp_path / "metrics.json").write_text("[1")
        save_results(tmp_path, results, {})
        assert json.loads((tmp_path / "metrics.json").read_text())["results"]

    def test_the_table_shows_figures_intervals_and_reasons(self):
        results = [
            figure("a", [0.1, 0.2, 0.4]),
            figure("a", [np.nan], "PHP"),
            figure("a", [0.5] * 3, "OPE_video_online"),
        ]
        table = results_table(results, "a")
        assert "0.233 [" in table
        assert "0.500 [0.500, 0.500]" in table
        assert "PHP: no figure" in table
        assert "nan" not in table


class TestComparison:
    def test_differences_are_paired_by_video(self):
        rng = np.random.default_rng(0)
        spread = rng.normal(size=12) * 10
        first, second = [figure("a", spread)], [figure("a", spread + 1 + rng.normal(size=12) * 0.01)]
        difference = paired_differences(first, second, TRAINED)[0]
        assert difference.mean == pytest.approx(1, abs=0.02)
        assert difference.high - difference.low < 0.1 < first[0].high - first[0].low

    def test_only_common_videos_count_and_none_is_refused(self):
        difference = paired_differences([figure("a", [1, 2, 3, 4])], [figure("a", [2, 3, 4])], TRAINED)[0]
        assert difference.number_of_videos == 3
        assert "1 videos are in one evaluation only" in difference.note
        with pytest.raises(DataError, match="common video"):
            paired_differences([figure("a", [1])], [figure("b", [1])], TRAINED)

    def test_a_run_against_itself_differs_by_nothing(self):
        results = [figure("a", [1, 2, 3]), figure("a", [1, 2, 4], "OPE_video_online")]
        results += mean_over_tasks(results)
        table = comparison_table({"run 1": results, "run 2": results}, TRAINED)
        assert table.count("0.000 [0.000, 0.000]") == 2
        assert "OPE_video_online (lower)" in table
        assert "KT (higher)" in table


def draw(folder, task, train, test, number=2, names=(), **options):
    """Of embeddings of networks alone."""
    train, test = (
        [replace(v, embeddings={name: v.embeddings[name] for name in (TRAINED, UNTRAINED)}) for v in videos]
        for videos in (train, test)
    )
    results, curves = evaluate_task_with_curves(task, train, test, kept=DRAWN)
    drawn = videos_to_draw(test, curves, results, number, names)
    return draw_task(folder, task, test, drawn, train[:1], **options)


def test_pictures_are_drawn_of_the_videos_by_their_error_and_of_a_lone_one(tmp_path):
    videos = embedded(perfect(5))
    results, _ = evaluate_task_with_curves("make_tea", videos[:2], videos[2:])
    errors = next(r.values for r in results if (r.metric, r.variant) == ("OPE_video_online", TRAINED))
    best, _, worst = sorted(errors, key=errors.get)
    draw(tmp_path / "many", "make_tea", videos[:2], videos[2:])
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted([
        "map+make_tea.png",
        f"progress+make_tea+best+{best}.png",
        f"progress+make_tea+worst+{worst}.png",
        f"similarity+make_tea+{best}+{worst}.png",
    ])
    draw(tmp_path / "lone", "tea", videos[:4], videos[4:])
    assert sorted(path.name for path in (tmp_path / "lone").iterdir()) == [
        "map+tea.png", "progress+tea+video4.png", "similarity+tea+video4+video0.png",
    ]


def test_raw_features_that_are_kept_have_a_similarity_picture_of_their_own(tmp_path):
    videos = [replace(v, embeddings={**v.embeddings, RAW: v.embeddings[TRAINED]}) for v in embedded(perfect(4))]
    results, curves = evaluate_task_with_curves("tea", videos[:2], videos[2:], kept=DRAWN)
    assert all(set(of_video) == {Needs.VIDEO_ONLINE, Needs.ACTION_ONLINE} for of_video in curves)
    assert all(set(found) == set(DRAWN) for of_video in curves for found in of_video.values())
    drawn = videos_to_draw(videos[2:], curves, results, 3)
    pictures = draw_task(tmp_path, "tea", videos[2:], drawn, [])
    assert [p.source for p in pictures if p.kind == "similarity"] == ["", RAW]
    assert all((tmp_path / picture.file).is_file() for picture in pictures)


class TestVideosToDraw:
    def choose(self, errors, number, names=()):
        """By handle, the role of each that is drawn; NaN is a video without an error."""
        videos = embedded(perfect(len(errors)))
        values = {v.handle: e for v, e in zip(videos, errors, strict=True) if e == e}
        results = [Result("OPE_video_online", TRAINED, "tea", 0.5, None, None, len(values), (), values)]
        drawn = videos_to_draw(videos, [{} for _ in videos], results, number, names)
        return {videos[each.video].handle: each.role for each in drawn}

    def test_the_best_the_median_and_the_worst(self):
        roles = self.choose([0.3, 0.1, 0.5, 0.2, 0.4], 3)
        assert roles == {"video1": "best", "video0": "median", "video2": "worst"}
        assert list(roles) == ["video1", "video0", "video2"]

    def test_other_numbers_are_spread_from_best_to_worst(self):
        errors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
        assert self.choose(errors, 0) == {}
        assert self.choose(errors, 1) == {"video4": "median"}
        assert self.choose(errors, 2) == {"video8": "best", "video0": "worst"}
        assert self.choose(errors, 5) == {
            "video8": "best", "video6": "number-3", "video4": "median", "video2": "number-7", "video0": "worst",
        }  # fmt: skip
        assert len(self.choose(errors, 100)) == 9
        assert self.choose([0.3], 3) == {"video0": ""}
        assert self.choose([0.3, 0.1], 3) == {"video1": "best", "video0": "worst"}

    def test_a_video_without_an_error_has_no_place_and_without_any_the_order_stays(self):
        assert self.choose([0.3, math.nan, 0.1], 3) == {"video2": "best", "video0": "worst"}
        assert self.choose([math.nan, math.nan], 3) == {"video0": "", "video1": ""}

    def test_those_that_are_named_are_drawn_besides_and_once(self):
        assert self.choose([0.3, 0.1, 0.2], 2, ["video2", "video1", "of another task"]) == {
            "video1": "best", "video0": "worst", "video2": "",
        }  # fmt: skip
        assert self.choose([0.3, 0.1, 0.2], 0, ["video2"]) == {"video2": ""}


def test_every_format_that_is_asked_for_lies_beside_the_png_and_goes_with_it(tmp_path):
    videos = embedded(perfect(4))
    pictures = draw(tmp_path, "tea", videos[:2], videos[2:], number=1, formats=("svg", "pdf"))
    expected = {f"{Path(picture.file).stem}.{suffix}" for picture in pictures for suffix in ("png", "svg", "pdf")}
    assert {path.name for path in tmp_path.iterdir()} == expected
    assert {name for picture in pictures for name in (picture.file, *picture.other_files)} == expected
    results = [Result("KT", TRAINED, "tea", 0.5, None, None, 1)]
    save_results(tmp_path, results, {"pictures": [picture.as_description() for picture in pictures]})
    save_results(tmp_path, results, {"pictures": []})
    assert {path.name for path in tmp_path.iterdir()} == {"KT.csv", "metrics.json"}


def test_tasks_that_differ_in_punctuation_alone_have_pictures_of_their_own(tmp_path):
    videos = embedded(perfect(4))
    pictures = [
        picture.file
        for task in ("make tea/milk", "make tea milk", "make-tea-milk", "make+tea+milk")
        for picture in draw(tmp_path, task, videos[:2], videos[2:])
    ]
    assert len(set(pictures)) == len(pictures) == 16
    assert {path.name for path in tmp_path.iterdir()} == set(pictures)


def test_results_lie_in_the_run_of_the_checkpoint(tmp_path):
    checkpoint = tmp_path / "run-001" / "ckpt" / "best_model_combined.pt"
    assert evaluation_folder(checkpoint) == tmp_path / "run-001" / "EVAL" / "best_model_combined"
    assert evaluation_folder(checkpoint, "val").name == "best_model_combined-val"
    assert evaluation_folder(tmp_path / "x.pt") == tmp_path / "EVAL" / "x"


def test_an_evaluation_of_some_tasks_leaves_that_of_all_alone(tmp_path):
    checkpoint = tmp_path / "ckpt" / "best.pt"
    chosen = [(), ("a",), ("b",), ("a", "b"), ("a+b",), ("a b",), ("a-b",), *((f"{'long ' * 30}{i}",) for i in "12")]
    folders = {evaluation_folder(checkpoint, split, tasks) for split in ("test", "val") for tasks in chosen}
    assert len(folders) == 2 * len(chosen)
    assert {folder.parent for folder in folders} == {tmp_path / "EVAL"}
    assert max(len(folder.name) for folder in folders) < 120
    assert evaluation_folder(checkpoint, "val", ("a", "b")).name == "best-val+a+b"


def test_the_untrained_network_is_always_the_same_and_leaves_the_generator_alone():
    config = get_generic_config().to_dict()
    checkpoint = {"config": config, "feature_width": 4, "tasks": ["a", "b"]}
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (untrained_network(checkpoint).state_dict() for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    others = [untrained_network(checkpoint, number).state_dict() for number in range(1, 5)]
    others.append(untrained_network({**checkpoint, "config": {**config, "SEED": config["SEED"] + 1}}).state_dict())
    name = next(iter(first))
    weights = [other[name] for other in (first, *others)]
    assert not any(torch.equal(a, b) for a, b in combinations(weights, 2))


@pytest.fixture(scope="module")
def checkpoint(data_root, tmp_path_factory):
    config = get_generic_config()
    config.DATASET_PATH, config.DATASET_NAME = str(data_root), "synthetic"
    config.OUTPUT_DIMENSIONALITY = 4
    config.BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels = 8
    config.GTCC_PARAMS.delta = 0.3
    config.PROGRESS_LOSS = {
        "enabled": True, "level": "action", "frames": "all", "lambda_curriculum": {"enabled": True},
    }
    config = config.to_dict()
    data = load_data(config)
    network = build_model(config, data.feature_width, len(data.train.tasks))
    path = tmp_path_factory.mktemp("run") / "ckpt" / "best_model_combined.pt"
    content = {"feature_width": data.feature_width, "tasks": list(data.train.tasks)}
    ckpt_save(network, None, 7, 0.5, path, config, standardization=None, **content)
    return path


class TestEvaluateCheckpoint:
    """An untrained checkpoint on the small synthetic data set: no training is needed to evaluate."""

    def test_writes_tables_and_pictures_of_every_task(self, checkpoint):
        folder = evaluation_folder(checkpoint)
        results = evaluate_checkpoint(checkpoint, EvaluationRequest(figures=1), folder)
        content = json.loads((folder / "metrics.json").read_text())
        assert content["epoch"] == 7
        assert read_results(content) == results
        tasks = {result.task for result in results} - {ALL_TASKS}
        assert len(tasks) == 2
        for task in tasks:
            assert len(list(folder.glob(f"progress+{task}+*.png"))) == 1
            assert len(list(folder.glob(f"similarity+{task}+*.png"))) == 2  # trained network, raw features
        assert {path.stem for path in folder.glob("*.csv")} == {"differences"} | {result.metric for result in results}
        assert all(result.mean is not None or result.note for result in results)

    def test_a_picture_that_fails_is_named_and_loses_no_figure(self, checkpoint, tmp_path, monkeypatch, caplog):
        whole = evaluate_checkpoint(checkpoint, EvaluationRequest(figures=1), tmp_path / "whole")
        folder, seen = tmp_path / "out", []

        def fail(path, *_):
            seen.append(read_results(json.loads((folder / "metrics.json").read_text())))
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("utils.evaluation.pictures.plot_similarity", fail)
        monkeypatch.setitem(sys.modules, "sklearn.manifold", None)  # as where it isn't installed
        results = evaluate_checkpoint(checkpoint, EvaluationRequest(figures=1, map_method="tsne"), folder)
        assert results == whole
        assert len(seen) >= 2
        assert all(found == whole for found in seen), "the figures of all tasks are on disk before anything is drawn"
        content = json.loads((folder / "metrics.json").read_text())
        assert read_results(content) == whole
        assert {picture["kind"] for picture in content["pictures"]} == {"progress"}
        assert {picture["file"] for picture in content["pictures"]} == {path.name for path in folder.glob("*.png")}
        for task in {result.task for result in results} - {ALL_TASKS}:
            assert f"similarity+{task}+" in caplog.text
            assert f"{folder / f'map+{task}.png'} is not drawn: a map by t-SNE needs scikit-learn" in caplog.text
        assert "No space left on device" in caplog.text
        assert 'pip install ".[evaluation]"' in caplog.text

    def test_a_stop_while_drawing_is_no_picture_that_fails(self, checkpoint, tmp_path, monkeypatch):
        def stop(*_):
            raise Interrupted(signal.SIGTERM)

        monkeypatch.setattr("utils.evaluation.pictures.plot_similarity", stop)
        with pytest.raises(Interrupted):
            evaluate_checkpoint(checkpoint, EvaluationRequest(figures=1), tmp_path)
        assert read_results(json.loads((tmp_path / "metrics.json").read_text()))

    def test_online_progress_is_predicted_once(self, checkpoint, tmp_path, monkeypatch):
        calls = []
        original = progress.online_video_progress

        def counted(video, statistics):
            calls.append(video.handle)
            return original(video, statistics)

        monkeypatch.setattr(progress, "online_video_progress", counted)
        results = evaluate_checkpoint(checkpoint, EvaluationRequest(figures=2), tmp_path)
        videos = {handle for result in results for handle in result.values}
        assert sorted(calls) == sorted(videos)

    def test_the_embeddings_of_a_task_are_gone_when_the_next_is_embedded(self, checkpoint, tmp_path, monkeypatch):
        embedded, alive = [], []

        def observed(networks, dataset, indices, *rest, **more):
            gc.collect()
            alive.append(sum(reference() is not None for reference in embedded))
            videos = embed_videos(networks, dataset, indices, *rest, **more)
            embedded.extend(weakref.ref(tensor) for video in videos for tensor in video.embeddings.values())
            return videos

        monkeypatch.setattr("utils.evaluation.checkpoint.embed_videos", observed)
        evaluate_checkpoint(checkpoint, EvaluationRequest(figures=1, classify=False), tmp_path)
        assert len(alive) == 4, "training and test videos of two tasks"
        assert alive[::2] == [0, 0]
        assert not list(tmp_path.glob(".*")), "what waited on disk is gone"

    def test_metrics_json_says_what_was_run(self, checkpoint, tmp_path):
        request = EvaluationRequest(figures=0, classify=False)
        evaluate_checkpoint(checkpoint, request, tmp_path, date=datetime(2024, 2, 29, 12, 30))
        content = json.loads((tmp_path / "metrics.json").read_text())
        run = content["run"]
        assert "note" not in content
        assert run["losses"] == {"GTCC": {"delta": 0.3}}
        assert run["progress_loss"] == {"level": "action", "frames": "all", "lambda": {"start": 0.0, "end": 1.0}}
        assert (run["seed"], run["epochs"], run["causal"], run["crosstask"]) == (0, 50, False, True)
        assert run["encoder"] == "temporal_stacking"
        assert run["date"] == "2024-02-29 12:30"
        assert set(run["recordings"]) == {"train", "val", "test"}
        data = load_data(load_checkpoint(checkpoint)["config"])
        assert sum(run["recordings"]["train"].values()) == len(data.train.videos)
        assert set(run["recordings"]["train"]) == set(data.train.tasks)
        digests = data.fingerprint()
        assert all(digests[part].startswith(digest) and len(digest) == 12
                   for part, digest in run["data_fingerprint"].items())
        assert run["versions"]["torch"] == torch.__version__
        assert run["versions"]["project"]

    def test_validation_says_that_its_videos_chose_the_checkpoint(self, checkpoint, tmp_path):
        evaluate_checkpoint(checkpoint, EvaluationRequest(split="val", figures=0, classify=False), tmp_path)
        assert "chose the best checkpoints" in json.loads((tmp_path / "metrics.json").read_text())["note"]

    def test_one_task_and_the_validation_split(self, checkpoint, tmp_path):
        task = load_checkpoint(checkpoint)["tasks"][1]
        request = EvaluationRequest(split="val", tasks=(task,), figures=0, classify=False)
        results = evaluate_checkpoint(checkpoint, request, tmp_path)
        assert {result.task for result in results} == {task, ALL_TASKS}
        assert not list(tmp_path.glob("*.png"))
        assert not list(tmp_path.glob("PC*"))

    def test_without_competitors_the_trained_network_has_the_same_figures(self, checkpoint, tmp_path):
        whole = evaluate_checkpoint(checkpoint, EvaluationRequest(figures=0), tmp_path / "whole")
        alone = evaluate_checkpoint(checkpoint, EvaluationRequest(figures=0, competitors=False), tmp_path / "alone")
        kinds = {VARIANTS[result.variant].kind for result in alone}
        assert kinds == {Kind.TRAINED, Kind.NAIVE}
        expected = {(r.task, r.metric, r.variant): r for r in whole if VARIANTS[r.variant].kind in kinds}
        found = {(r.task, r.metric, r.variant): r for r in alone}
        assert found.keys() == expected.keys()
        for key, result in found.items():
            assert replace(result, differences=()) == replace(expected[key], differences=())

    def test_data_of_another_width_is_refused(self, checkpoint, data_root, tmp_path):
        shutil.copytree(data_root / "synthetic", tmp_path / "synthetic")
        for file in (tmp_path / "synthetic" / "features").glob("*.npy"):
            np.save(file, np.load(file)[:, :3])
        with pytest.raises(DataError, match="width 3; expected"):
            evaluate_checkpoint(checkpoint, EvaluationRequest(dataset_path=str(tmp_path)), tmp_path / "out")


def test_a_request_says_what_decides_the_figures():
    assert (
        EvaluationRequest().as_description() == EvaluationRequest(figures=0, device="cuda").as_description()
    )
    assert EvaluationRequest().as_description() != EvaluationRequest(split="val").as_description()


def test_figures_of_more_answer_a_request_for_less_and_not_the_other_way_round():
    more, less = EvaluationRequest(), EvaluationRequest(classify=False, competitors=False)
    assert less.is_answered_by(more.as_description())
    assert not more.is_answered_by(less.as_description())
    assert not less.is_answered_by(EvaluationRequest("val").as_description())
    assert less.is_answered_by(less.as_description())
    first_files = {key: value for key, value in more.as_description().items() if key != "competitors"}
    assert more.is_answered_by(first_files), "they had the competitors"
    assert not more.is_answered_by(None)
    steps, others = EvaluationRequest(key_steps=7), EvaluationRequest(key_steps=7, segmentation="kmeans")
    assert more.is_answered_by(steps.as_description())
    assert steps.is_answered_by(steps.as_description())
    assert not any(steps.is_answered_by(each.as_description()) for each in (more, others, replace(steps, key_steps=5)))
