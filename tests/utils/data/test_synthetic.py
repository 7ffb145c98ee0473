import json
import logging

import numpy as np
import pytest

from tests.utils.data.builders import assert_valid, config_for
from utils.data.dataset import load_data
from utils.data.synthetic import BACKGROUND_LABEL, write_synthetic_dataset
from utils.data.synthetic import main as run_command
from utils.data.synthetic_videos import ACTION_NAMES, ACTIONS_PER_TASK, make_task
from utils.tensorops import get_trueprogress


def load(folder, **overrides):
    return load_data(config_for(folder, TRAIN_SPLIT=(0.65, 0.5), LAZY_LOAD=False, **overrides))


def content_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_same_seed_writes_the_same_files(tmp_path):
    sizes = {"tasks": 2, "videos": 3}
    for name in "ab":
        write_synthetic_dataset(tmp_path / name / "set", seed=5, **sizes)
    write_synthetic_dataset(tmp_path / "c" / "set", seed=6, **sizes)
    first, second, other = (content_of(tmp_path / name / "set") for name in "abc")
    assert len(first) == 7
    assert first == second
    assert first.keys() == other.keys()
    assert all(first[path] != other[path] for path in first)


def test_further_videos_and_tasks_leave_the_others_as_they_are(tmp_path):
    write_synthetic_dataset(tmp_path / "few" / "set", tasks=1, videos=3)
    write_synthetic_dataset(tmp_path / "many" / "set", tasks=2, videos=5)
    few, many = content_of(tmp_path / "few" / "set"), content_of(tmp_path / "many" / "set")
    assert all(many[path] == few[path] for path in few if path.suffix == ".npy")


def test_it_loads_as_the_recorded_sets_do(tmp_path):
    path = write_synthetic_dataset(tmp_path / "set", tasks=3, videos=16, frames=(60, 220), width=20)
    assert path == tmp_path / "set" / "set.json"
    data = load(tmp_path / "set")
    assert (len(data.train), len(data.val), len(data.test)) == (30, 9, 9)
    assert (data.feature_width, data.skipped_tasks, data.notes) == (20, {}, ())
    lengths = []
    for dataset in (data.train, data.val, data.test):
        for features, time_dict in dataset:
            assert_valid(time_dict, len(features))
            assert min(np.subtract(time_dict["end_frame"], time_dict["start_frame"])) >= 1
            lengths.append(len(features))
    assert 60 <= min(lengths) < 90
    assert 170 < max(lengths) <= 220


def test_orders_options_and_repeats_are_those_of_the_task(tmp_path):
    path = write_synthetic_dataset(tmp_path / "set", tasks=3, videos=30)
    annotation = json.loads(path.read_text())
    used = []
    for number, entry in enumerate(annotation.values()):
        task = make_task(0, number)
        names = [ACTION_NAMES[action] for action in task.actions]
        used.append(set(names))
        orders = [
            [label for label in actions if label != BACKGROUND_LABEL] for actions in entry["hdl_actions"]
        ]
        for order in orders:
            assert set(order) <= set(names)
            assert {names[i] for i in range(ACTIONS_PER_TASK) if not task.optional[i]} <= set(order)
            for i, j in np.argwhere(task.before):
                if names[i] in order and names[j] in order:
                    assert order.index(names[i]) < order.index(names[j])
            for i in range(ACTIONS_PER_TASK):
                assert order.count(names[i]) <= 1 + task.repeatable[i]
        assert len({tuple(dict.fromkeys(order)) for order in orders}) > 10
        assert any(len(order) > len(set(order)) for order in orders)
        assert any(len(set(order)) < ACTIONS_PER_TASK for order in orders)
        assert any(BACKGROUND_LABEL in actions for actions in entry["hdl_actions"])
    assert used[0] & used[1]
    assert used[0] != used[1]


def path_length(features):
    return np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(features, axis=0), axis=1))])


def online_errors(data):
    """Mean absolute error of constant, clock, index, and raw path length, over validation and test."""
    errors = []
    for task in data.train.tasks:
        train = [data.train[index] for index in data.train.of_task(task)]
        held_out = [dataset[index] for dataset in (data.val, data.test) for index in dataset.of_task(task)]
        length = np.mean([len(features) for features, _ in train])
        total = np.mean([path_length(features.numpy())[-1] for features, _ in train])
        longest = max(len(features) for features, _ in train + held_out)
        curves = [np.asarray(get_trueprogress(time_dict)) for _, time_dict in train]
        index_mean = np.mean(
            [np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves], axis=0
        )
        for features, time_dict in held_out:
            truth = np.asarray(get_trueprogress(time_dict))
            frames = np.arange(len(truth))
            predictions = [
                np.full(len(truth), 0.5),
                np.clip(frames / length, 0, 1),
                index_mean[: len(truth)],
                np.clip(path_length(features.numpy()) / total, 0, 1),
            ]
            errors.append([np.abs(prediction - truth).mean() for prediction in predictions])
    return np.mean(errors, axis=0)


def test_counting_frames_does_not_predict_progress_but_smooth_path_length_does(tmp_path):
    figures, clean = [], []
    for seed in range(4):
        write_synthetic_dataset(tmp_path / f"set{seed}", seed=seed)
        figures.append(online_errors(load(tmp_path / f"set{seed}")))
        write_synthetic_dataset(tmp_path / f"clean{seed}", seed=seed, noise=0.0, fidget=0.0)
        clean.append(online_errors(load(tmp_path / f"clean{seed}"))[-1])
    for _, clock, index, raw in figures:
        assert clock > 0.12
        assert index > 0.12
        # The raw features leave an encoder something to find.
        assert raw > 0.09
    assert max(clean) < 0.07


def test_features_of_an_action_cover_the_same_path_whatever_time_they_take(tmp_path):
    write_synthetic_dataset(tmp_path / "set", noise=0.0, fidget=0.0, frames=(400, 900))
    totals, durations = [], []
    for features, time_dict in load(tmp_path / "set").train:
        path = path_length(features.numpy())
        for step, start, end in zip(
            time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True
        ):
            covered = path[start : end + 1] - path[start]
            if step == "SIL":
                assert covered[-1] < 1e-4
            elif end - start > 20:
                totals.append(covered[-1])
                durations.append(end - start)
                # Path length within the action grows with progress.
                assert np.abs(covered / covered[-1] - np.linspace(0, 1, len(covered))).max() < 0.12
    assert np.std(totals) / np.mean(totals) < 0.15
    assert np.std(durations) / np.mean(durations) > 0.5


def test_a_subject_has_one_offset_and_noise_is_white(tmp_path):
    for name, noise, offset in (("clean", 0.0, 0.0), ("offset", 0.0, 2.0), ("noise", 0.3, 0.0)):
        write_synthetic_dataset(
            tmp_path / name, tasks=2, videos=2, frames=(200, 300), noise=noise, subject_offset=offset
        )

    def features(name, task, subject):
        return np.load(tmp_path / name / "features" / f"procedure{task}_subject{subject:02d}.npy")

    offsets = {
        (task, subject): features("offset", task, subject) - features("clean", task, subject)
        for task in (1, 2)
        for subject in (1, 2)
    }
    for offset in offsets.values():
        assert np.ptp(offset, axis=0).max() < 1e-5
    np.testing.assert_allclose(offsets[1, 1][0], offsets[2, 1][0], atol=1e-5)
    assert np.linalg.norm(offsets[1, 1][0] - offsets[1, 2][0]) > 1
    noise = features("noise", 1, 1) - features("clean", 1, 1)
    assert noise.std() == pytest.approx(0.3, rel=0.05)


def test_an_interrupted_call_leaves_no_annotation(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    write_synthetic_dataset(folder, tasks=1, videos=2)
    calls = []

    def failing(path, array):
        calls.append(path)
        if len(calls) == 2:
            raise OSError("disk full")
        path.write_bytes(b"")

    monkeypatch.setattr(np, "save", failing)
    with pytest.raises(OSError, match="disk full"):
        write_synthetic_dataset(folder, tasks=1, videos=2)
    assert not (folder / "set.json").exists()
    assert len(list(folder.rglob("*.npy"))) == 2  # and no temporary file


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ({"tasks": 0}, "tasks"),
        ({"videos": 0}, "videos"),
        ({"width": 0}, "width"),
        ({"seed": -1}, "seed"),
        ({"frames": (10, 20)}, "frames"),
        ({"frames": (200, 100)}, "frames"),
        ({"noise": -1.0}, "noise"),
        ({"fidget": float("nan")}, "fidget"),
    ],
)
def test_impossible_sizes_are_refused_by_name(tmp_path, sizes, word):
    with pytest.raises(ValueError, match=f"^{word} is"):
        write_synthetic_dataset(tmp_path / "set", **sizes)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(tmp_path, caplog, capsys):
    with caplog.at_level(logging.INFO):
        run_command(
            [str(tmp_path / "set"), "--seed", "3", "--tasks", "1", "--videos", "2", "--frames", "60", "80"]
        )
    write_synthetic_dataset(tmp_path / "same" / "set", seed=3, tasks=1, videos=2, frames=(60, 80))
    assert content_of(tmp_path / "set") == content_of(tmp_path / "same" / "set")
    assert "set.json" in caplog.text
    with pytest.raises(SystemExit):
        run_command([str(tmp_path / "set"), "--frames", "5", "6"])
    assert "frames is (5, 6)" in capsys.readouterr().err


def test_nuisances_change_the_features_alone_and_by_their_scale(tmp_path):
    sets = {
        nuisances: content_of(
            write_synthetic_dataset(tmp_path / str(nuisances) / "set", tasks=1, videos=3, nuisances=nuisances).parent
        )
        for nuisances in (0, 0.5, 1)
    }
    for path, clean in sets[0].items():
        if path.suffix != ".npy":
            assert sets[1][path] == clean
            continue
        none, half, whole = (np.load(tmp_path / str(scale) / "set" / path) for scale in (0, 0.5, 1))
        np.testing.assert_allclose(whole - none, 2 * (half - none), atol=1e-5)
        assert np.abs(whole - none).mean() > 0.1
