import copy
import json
import logging
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.real_data import real_data
from tests.utils.data.builders import (
    assert_valid,
    config_for,
    entry,
    features_of,
    labels_of_frames,
    simple_video,
    write_annotation,
    write_features,
    write_folder,
)
from utils.data.batches import TaskBatchSampler, collate_videos
from utils.data.dataset import load_data
from utils.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kitchen"


def names(count, prefix="v"):
    return [f"{prefix}{number}" for number in range(count)]


def handles(dataset):
    return [video.handle for video in dataset.videos]


def test_a_data_set_loads(folder):
    write_folder(folder, {"tea": names(8), "toast": names(4, "w")})
    data = load_data(config_for(folder))
    assert handles(data.train) == ["v0", "v1", "v2", "v3", "w0", "w1"]
    assert handles(data.val) == ["v4", "v5", "w2"]
    assert handles(data.test) == ["v6", "v7", "w3"]
    assert data.train.tasks == data.test.tasks == ("tea", "toast")
    assert data.train.of_task("toast") == [4, 5]
    assert data.train.of_task("unknown") == []
    assert (data.feature_width, data.standardization, data.skipped_tasks, data.notes) == (3, None, {}, ())
    for dataset in (data.train, data.val, data.test):
        assert len(list(dataset)) == len(dataset)
        for video, (features, time_dict) in zip(dataset.videos, dataset, strict=True):
            assert torch.equal(features, torch.from_numpy(features_of(video.handle)))
            assert time_dict is video.time_dict
            assert_valid(time_dict, video.number_of_frames)
            assert time_dict["name"] == video.handle
    with pytest.raises(IndexError):
        data.train[len(data.train)]
    with pytest.raises(IndexError):
        data.train[-1]


def test_split_file_decides(folder):
    write_folder(folder, {"tea": names(5)}, split={"train": ["v4", "v1", "v2"], "test": ["v0"]})
    data = load_data(config_for(folder))
    assert (handles(data.train), handles(data.val), handles(data.test)) == (["v1", "v4"], ["v2"], ["v0"])
    assert "1 of 5 videos are in no list of split.json and not used, 'v3' first" in data.notes[0]
    assert data.notes[0] in data.summary()


def test_a_lone_video_reaches_its_training_partners(folder):
    write_folder(folder, {"tea": names(4), "toast": names(4, "w")})
    data = load_data(config_for(folder))
    assert data.train.partner_indices("tea") == []
    (partner, _) = data.test.partner_indices("toast")
    features, time_dict = data.test[partner]
    assert time_dict["name"] == "w0"
    assert torch.equal(features, torch.from_numpy(features_of("w0")))
    loader = DataLoader(
        data.test,
        batch_sampler=TaskBatchSampler(data.test, 2, seed=0),
        collate_fn=collate_videos,
        num_workers=0,
    )
    for sequences, times in loader:
        assert len(sequences) == len(times) == 2
        assert len({time["name"][0] for time in times}) == 1
    with pytest.raises(IndexError):
        data.test[len(data.test) + len(data.train)]


def test_tasks_with_too_few_training_videos_are_left_out_and_said(folder, caplog):
    write_folder(folder, {"tea": names(4), "solo": ["w0"], "none": []})
    (folder / "features" / "w0.npy").unlink()  # a task left out needs no features
    with caplog.at_level(logging.WARNING):
        data = load_data(config_for(folder))
    assert set(data.skipped_tasks) == {"solo", "none"}
    assert "1 training video (of 1 videos" in data.skipped_tasks["solo"]
    assert "task 'solo' is left out" in caplog.text
    assert "left out: task 'solo': 1 training video" in data.summary()
    assert data.train.tasks == ("tea",)


def test_labels_that_the_settings_make_background_are_said(folder, caplog):
    spans = ["0", "a", "background"], [0, 3, 6], [3, 6, 9]
    write_annotation(folder, {"tea": entry(*((name, *spans) for name in names(4)))})
    for name in names(4):
        write_features(folder, name, features_of(name))
    with caplog.at_level(logging.INFO):
        load_data(config_for(folder))
    assert "labels that count as background (BACKGROUND_LABELS): '0'" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        load_data(config_for(folder, BACKGROUND_LABELS=()), log=False)
        load_data(config_for(folder, BACKGROUND_LABELS=()))
    assert "count as background" not in caplog.text


def test_nothing_left_is_an_error(folder):
    write_folder(folder, {"solo": ["w0"]})
    with pytest.raises(DataError, match="task 'solo': 1 training video"):
        load_data(config_for(folder))


def test_selected_tasks_alone_are_validated(folder):
    write_folder(folder, {"tea": names(4), "toast": names(4, "w")})
    (folder / "features" / "w0.npy").unlink()
    assert load_data(config_for(folder, TASKS=("tea",))).train.tasks == ("tea",)
    with pytest.raises(DataError, match="w0"):
        load_data(config_for(folder, TASKS=("toast",)))
    with pytest.raises(DataError, match="'teaa', which the file doesn't have; did you mean 'tea'"):
        load_data(config_for(folder, TASKS=("teaa",)))


def test_all_problems_come_in_one_error(folder):
    write_folder(folder, {"tea": names(8)})
    write_annotation(
        folder,
        {
            "tea": entry(
                ("v0", ["a", "b", "c"], [0, 4, 6], [4, 7, 9]),
                *(simple_video(name) for name in names(8)[1:]),
            )
        },
    )
    (folder / "features" / "v0.npy").unlink()
    write_features(folder, "v1", np.zeros((10, 4), np.float32))
    write_features(folder, "v2", np.zeros((10, 3, 1), np.float32))
    write_features(folder, "v3", np.full((10, 3), np.nan, np.float32))
    write_features(folder, "v4", np.zeros((1, 3), np.float32))
    write_features(folder, "v5", np.zeros((14, 3), np.float32))
    (folder / "features" / "v6.npy").write_bytes(b"not an array")
    (folder / "split.json").write_text(json.dumps({"train": ["v99"], "test": []}))
    with pytest.raises(DataError) as caught:
        load_data(config_for(folder))
    problems = caught.value.problems
    for words in [
        "kitchen.json: task 'tea', video 'v0', segment 2: starts at frame 6",
        "split.json: 'train' names the unknown video 'v99'",
        "v0.npy: task 'tea', video 'v0': no such feature file",
        "v1.npy: task 'tea', video 'v1': a frame has shape (4,); expected (3,)",
        "v2.npy: task 'tea', video 'v2': has shape (10, 3, 1)",
        "v3.npy: task 'tea', video 'v3': holds nan at frame 0, feature 0",
        "v4.npy: task 'tea', video 'v4': has 1 frame",
        "kitchen.json: task 'tea', video 'v5': 14 frames of features, 10 annotated",
        "v6.npy: task 'tea', video 'v6': cannot be read",
    ]:
        assert sum(words in problem for problem in problems) == 1, (words, problems)
    assert len(problems) == 9


def test_lengths_are_reconciled_and_counted(folder):
    write_folder(folder, {"tea": names(4)})
    write_features(folder, "v0", features_of("v0", 12))
    write_features(folder, "v1", features_of("v1", 8))
    data = load_data(config_for(folder))
    assert [video.number_of_frames for video in data.train.videos] == [12, 8]
    for video, (features, time_dict) in zip(data.train.videos, data.train, strict=True):
        assert len(features) == video.number_of_frames
        assert_valid(time_dict, video.number_of_frames)
        assert time_dict["step"] == ["cut", "mix"]
    assert data.notes == (
        "annotations cut or extended at the end to the length of their features: 2 videos",
    )


def test_proportional_scaling_takes_features_at_another_rate(folder):
    write_folder(folder, {"tea": names(4)})
    for name in names(4):
        write_features(folder, name, features_of(name, 25))
    with pytest.raises(DataError, match="4 problems"):
        load_data(config_for(folder))
    data = load_data(config_for(folder, ANNOTATION_SCALING="proportional"))
    assert data.train[0][1] == {
        "step": ["cut", "mix"],
        "start_frame": [0, 10],
        "end_frame": [9, 24],
        "name": "v0",
    }


def test_skip_rate_takes_every_kth_frame_of_both(folder):
    write_folder(folder, {"tea": names(4)}, frames=11)
    whole = load_data(config_for(folder))
    data = load_data(config_for(folder, SKIP_RATE=3))
    for index in range(len(data.train)):
        features, time_dict = data.train[index]
        assert torch.equal(features, whole.train[index][0][::3])
        assert labels_of_frames(time_dict) == labels_of_frames(whole.train[index][1])[::3]
        assert data.train.videos[index].number_of_frames == len(features) == 4
    # Loading again sees the same: nothing was halved on the way.
    assert [time for _, time in load_data(config_for(folder, SKIP_RATE=3)).train] == [
        t for _, t in data.train
    ]
    with pytest.raises(DataError, match="1 frame at SKIP_RATE 11"):
        load_data(config_for(folder, SKIP_RATE=11))


def test_segments_that_skipping_passes_over_are_said(folder):
    write_annotation(
        folder, {"tea": entry(*((name, ["a", "b", "c"], [0, 3, 4], [3, 4, 9]) for name in names(4)))}
    )
    for name in names(4):
        write_features(folder, name, features_of(name))
    data = load_data(config_for(folder, SKIP_RATE=2))
    assert data.train[0][1]["step"] == ["a", "c"]
    assert data.notes == (
        "SKIP_RATE 2 skips 4 short segments in 4 videos: none of their frames is used",
    )


def test_standardization_is_that_of_the_training_frames(folder):
    write_folder(folder, {"tea": names(8)})
    for number, name in enumerate(names(8)):
        array = features_of(name) * [1, 100, 0] + [5, number, 7]
        write_features(folder, name, array.astype(np.float32))
    plain = load_data(config_for(folder, SKIP_RATE=2))
    data = load_data(config_for(folder, SKIP_RATE=2, STANDARDIZE=True))
    frames = torch.cat([features for features, _ in plain.train]).double()
    mean, std = frames.mean(0), frames.std(0, correction=0)
    std[2] = 1
    assert data.standardization["mean"].dtype == torch.float32
    torch.testing.assert_close(data.standardization["mean"].double(), mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(data.standardization["std"].double(), std, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        data.test[0][0].double(), (plain.test[0][0] - mean) / std, rtol=1e-4, atol=1e-4
    )

    # At evaluation the stored one counts, whatever the files say now and whatever STANDARDIZE says.
    given = {"mean": torch.ones(3), "std": torch.full((3,), 2.0)}
    for standardize in (True, False):
        again = load_data(config_for(folder, STANDARDIZE=standardize), standardization=given)
        torch.testing.assert_close(again.test[0][0], (load_data(config_for(folder)).test[0][0] - 1) / 2)
        assert torch.equal(again.standardization["std"], given["std"])
    with pytest.raises(DataError, match=r"shape \(4,\); expected \(3,\)"):
        load_data(config_for(folder), standardization={"mean": torch.ones(4), "std": torch.ones(4)})


def test_lazy_reads_the_file_each_time_and_eager_once_and_a_change_is_refused(folder):
    write_folder(folder, {"tea": names(4)})
    lazy, kept = load_data(config_for(folder)), load_data(config_for(folder, LAZY_LOAD=False))
    first = kept.train[0][0]
    assert torch.equal(lazy.train[0][0], first)
    write_features(folder, "v0", np.ones((10, 3), np.float32))
    with pytest.raises(DataError, match=r"v0\.npy: task 'tea', video 'v0': was rewritten after the data"):
        lazy.train[0]
    assert kept.train[0][0] is first
    assert kept.test[kept.test.partner_indices("tea")[0]][0] is first

    write_features(folder, "v0", np.ones((9, 3), np.float32))
    with pytest.raises(DataError, match=r"v0\.npy: task 'tea', video 'v0': gives 9 frames; expected the 10"):
        lazy.train[0]
    (folder / "features" / "v0.npy").unlink()
    with pytest.raises(DataError, match=r"v0\.npy: task 'tea', video 'v0': no such feature file"):
        lazy.train[0]


def test_time_dicts_survive_reading_and_workers(folder):
    write_folder(folder, {"tea": names(6)})
    data = load_data(config_for(folder))
    before = copy.deepcopy([video.time_dict for video in data.train.videos])
    loader = DataLoader(
        data.train,
        batch_sampler=TaskBatchSampler(data.train, 2, seed=0),
        collate_fn=collate_videos,
        num_workers=1,
    )
    seen = {
        time["name"]: sequence
        for sequences, times in loader
        for sequence, time in zip(sequences, times, strict=True)
    }
    assert set(seen) == set(handles(data.train))
    assert torch.equal(seen["v1"], torch.from_numpy(features_of("v1")))
    assert [video.time_dict for video in data.train.videos] == before
    assert handles(pickle.loads(pickle.dumps(data.val)).partners) == handles(data.train)


def test_transposed_features_in_another_folder_load_the_same(folder, tmp_path):
    write_folder(folder, {"tea": names(6)})
    plain = load_data(config_for(folder, STANDARDIZE=True))
    splits = ("train", "val", "test")
    expected = {split: [features for features, _ in getattr(plain, split)] for split in splits}
    (tmp_path / "elsewhere").mkdir()
    for name in names(6):
        np.save(tmp_path / "elsewhere" / f"{name}.npy", features_of(name).T.copy())
        (folder / "features" / f"{name}.npy").unlink()
    with pytest.raises(DataError, match=r"features/v0\.npy: task 'tea', video 'v0': no such feature file"):
        load_data(config_for(folder))
    overrides = {"FEATURE_LAYOUT": "features_first", "STANDARDIZE": True}
    for where in ("../elsewhere", str(tmp_path / "elsewhere")):
        data = load_data(config_for(folder, FEATURES_FOLDER=where, **overrides))
        assert data.feature_width == 3
        for split, sequences in expected.items():
            for first, (second, _) in zip(sequences, getattr(data, split), strict=True):
                torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
    with pytest.raises(DataError, match="the other axis of the file fits: see FEATURE_LAYOUT"):
        load_data(config_for(folder, FEATURES_FOLDER="../elsewhere"))


def test_a_handle_cannot_lead_out_of_the_features_folder(folder, tmp_path):
    write_folder(folder, {"tea": names(4)})
    write_features(tmp_path, "secret", features_of("secret"), "outside")
    for handle in ("../../outside/secret", str(tmp_path / "outside" / "secret"), "..\\secret"):
        write_annotation(folder, {"tea": entry(*map(simple_video, [*names(3), handle]))})
        with pytest.raises(DataError, match="leaves the data folder"):
            load_data(config_for(folder))
        (folder / "split.json").write_text(json.dumps({"train": [handle, *names(3)], "test": []}))
        write_annotation(folder, {"tea": entry(*map(simple_video, names(4)))})
        with pytest.raises(DataError, match="unknown video"):
            load_data(config_for(folder))
        (folder / "split.json").unlink()


def long_folder(folder):
    """Four videos of 40 frames, one of 10, in five segments."""
    spans = ["a", "0", "b", "a", "c"], [0, 10, 11, 25, 38], [10, 11, 25, 38, 39]
    short = ["a", "b"], [0, 4], [4, 9]
    write_annotation(folder, {"tea": entry(*((name, *spans) for name in names(7)), ("short", *short))})
    for name in names(7):
        write_features(folder, name, features_of(name, 40))
    write_features(folder, "short", features_of("short", 10))
    (folder / "split.json").write_text(
        json.dumps({"train": [*names(4), "short"], "val": ["v4"], "test": ["v5", "v6"]})
    )


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("skip_rate", [1, 2])
@pytest.mark.parametrize("layout", ["frames_first", "features_first"])
def test_an_epoch_sees_some_frames_of_long_videos(folder, lazy, skip_rate, layout):
    long_folder(folder)
    if layout == "features_first":
        for path in (folder / "features").iterdir():
            np.save(path, np.load(path).T)
    overrides = {"LAZY_LOAD": lazy, "SKIP_RATE": skip_rate, "STANDARDIZE": True, "FEATURE_LAYOUT": layout}
    whole = load_data(config_for(folder, **overrides)).train
    data = load_data(config_for(folder, MAX_FRAMES=12, **overrides))
    drawn = []
    for epoch in (0, 1, 0):
        view = data.train.in_epoch(epoch)
        assert len(view) == len(data.train) == 5
        for index, (all_frames, all_segments) in enumerate(whole):
            features, time_dict = view[index]
            assert_valid(time_dict, len(features))
            assert len(features) == min(12, len(all_frames))
            # Each frame drawn is one of the video's, in order, with the label it has there.
            positions = [int(torch.nonzero((all_frames == frame).all(1)).squeeze()) for frame in features]
            assert positions == sorted(set(positions))
            labels = labels_of_frames(all_segments)
            assert labels_of_frames(time_dict) == [labels[position] for position in positions]
            assert time_dict["step"] == all_segments["step"]
            drawn.append((epoch, index, positions))
    first, second, again = drawn[:5], drawn[5:10], drawn[10:]
    assert first == again
    assert first != second
    assert len({tuple(positions) for _, _, positions in first[:4]}) == 4  # each video its own
    # Everything but an epoch's view sees all frames.
    assert [len(features) for features, _ in data.train] == [len(features) for features, _ in whole]
    assert len(data.val[data.val.partner_indices("tea")[0]][0]) == len(whole[0][0])
    other = load_data(config_for(folder, MAX_FRAMES=12, SEED=1, **overrides)).train.in_epoch(0)[0][0]
    assert not torch.equal(other, data.train.in_epoch(0)[0][0])


def test_workers_draw_the_same_frames(folder):
    long_folder(folder)
    train = load_data(config_for(folder, MAX_FRAMES=12)).train
    view = train.in_epoch(3)
    batches = [[0, 1], [2, 3], [4, 0]]
    loader = DataLoader(view, batch_sampler=batches, collate_fn=collate_videos, num_workers=2)
    found = [sequence for sequences, _ in loader for sequence in sequences]
    expected = [view[index][0] for index in (0, 1, 2, 3, 4, 0)]
    assert all(map(torch.equal, found, expected))


def test_long_videos_are_said_and_without_a_limit_an_epoch_is_the_data_set(folder):
    long_folder(folder)
    data = load_data(config_for(folder, MAX_FRAMES=12))
    assert data.notes == (
        "MAX_FRAMES 12: 4 of 5 training videos are longer; each epoch trains on that many frames of them, "
        "evaluation uses all",
    )
    crowded = load_data(config_for(folder, MAX_FRAMES=4))
    assert crowded.notes[0].endswith(
        "; 4 of them have more segments than that, and an epoch misses some of these"
    )
    features, time_dict = crowded.train.in_epoch(0)[0]
    assert len(features) == 4
    assert_valid(time_dict, 4)
    plain = load_data(config_for(folder)).train
    assert plain.in_epoch(5) is plain
    with pytest.raises(IndexError):
        data.train.in_epoch(0)[5]
    with pytest.raises(IndexError):
        data.train.in_epoch(0)[-1]


def test_the_resnet_encoder_reads_maps(folder):
    write_folder(folder, {"tea": names(4)})
    with pytest.raises(DataError, match=r"frames.v0\.npy: no such feature file, because the folder .* of 4 videos"):
        load_data(config_for(folder, BASEARCH={"ARCHITECTURE": "resnet50"}))
    maps = np.random.default_rng(0).normal(size=(10, 6, 2, 2)).astype(np.float32)
    for name in names(4):
        write_features(folder, name, maps, "frames")
    data = load_data(config_for(folder, BASEARCH={"ARCHITECTURE": "resnet50"}, STANDARDIZE=True))
    assert data.feature_width == 6
    assert data.standardization["mean"].shape == (6,)
    features = data.train[0][0]
    assert features.shape == (10, 6, 2, 2)
    torch.testing.assert_close(features.mean((0, 2, 3)), torch.zeros(6), atol=1e-6, rtol=0)
    write_features(folder, "v1", maps[:, :, :1], "frames")
    with pytest.raises(DataError, match=r"v1.*shape \(6, 1, 2\); expected \(6, 2, 2\)"):
        load_data(config_for(folder, BASEARCH={"ARCHITECTURE": "resnet50"}))


@pytest.mark.parametrize(
    "video",
    [
        ("one action", ["a"], [0], [999]),
        ("all background", ["0"], [0], [999]),
        ("all background twice", ["0", "SIL"], [0, 500], [500, 999]),
        ("a thousand segments", ["a", "b"] * 500, list(range(1000)), [*range(1, 1000), 999]),
        ("unicode", ["切る", "mélanger 🥣"], [0, 500], [500, 999]),
    ],
    ids=lambda video: video[0],
)
def test_weird_but_legal_videos_in_a_task_of_two(folder, video):
    pair = [(handle, *video[1:]) for handle in ("première", "第二")]
    write_annotation(folder, {"tâche": entry(*pair)})
    for handle, *_ in pair:
        write_features(folder, handle, features_of(handle, 1000))
    data = load_data(config_for(folder))
    assert (len(data.train), len(data.val), len(data.test)) == (2, 0, 0)
    assert len(data.train[0][1]["step"]) == len(video[1])
    assert_valid(data.train[0][1], 1000)
    assert "tâche" in data.summary()
    assert list(TaskBatchSampler(data.val, 2, seed=0)) == []


def test_the_summary_counts(folder):
    write_annotation(
        folder,
        {
            "tea": entry(
                ("v0", ["0", "a", "b", "a"], [0, 10, 20, 30], [10, 20, 30, 39]),
                ("v1", ["a", "b"], [0, 10], [10, 19]),
                ("v2", ["c", "0", "0"], [0, 10, 30], [10, 30, 59]),
            ),
            "toast": entry(simple_video("w0"), simple_video("w1")),
        },
    )
    for name, frames in {"v0": 40, "v1": 20, "v2": 60, "w0": 10, "w1": 10}.items():
        write_features(folder, name, features_of(name, frames))
    lines = [
        line.split() for line in load_data(config_for(folder, TRAIN_SPLIT=(0.6, 0.0))).summary().splitlines()
    ]
    assert lines[1] == ["tea", "2", "0", "1", "20/40/60", "3", "50.0%", "1", "of", "3"]
    assert lines[2] == ["toast", "2", "0", "0", "10/10/10", "2", "0.0%", "0", "of", "2"]
    assert lines[3] == ["all", "4", "0", "1", "10/20/60", "5", "42.9%", "1", "of", "5"]
    assert lines[4] == ["features", "of", "width", "3"]


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"DATASET_NAME": "../kitchen"}, "DATASET_NAME"),
        ({"SKIP_RATE": 0}, "SKIP_RATE"),
        ({"SKIP_RATE": 1.5}, "SKIP_RATE"),
        ({"ANNOTATION_SCALING": "linear"}, "ANNOTATION_SCALING"),
        ({"SEGMENT_ENDS": "half open"}, "SEGMENT_ENDS"),
        ({"UNLABELLED_TAIL": "cut"}, "UNLABELLED_TAIL"),
        ({"INTEGER_LABELS": True}, "INTEGER_LABELS"),
        ({"TRAIN_SPLIT": (0.5,)}, "TRAIN_SPLIT"),
        ({"TRAIN_SPLIT": (0.5, 1.5)}, "TRAIN_SPLIT"),
        ({"VALIDATION_FRACTION": 1.0}, "VALIDATION_FRACTION"),
    ],
)
def test_impossible_settings_are_refused_by_name(folder, overrides, key):
    write_folder(folder, {"tea": names(4)})
    with pytest.raises(DataError, match=key):
        load_data(config_for(folder, **overrides))


def test_a_missing_data_set_names_the_file(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json: no such file"):
        load_data(config_for(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("name", "videos", "width", "listed"),
    [
        ("gtea", 28, 128, True),
        ("openpack", 20, 40, False),
        ("openpack_actions", 20, 40, False),
        ("salads50", 50, 128, True),
        ("salads50_accel", 50, 30, True),
    ],
)
def test_real_recordings(name, videos, width, listed):
    folder = real_data(name)
    data = load_data(config_for(folder, STANDARDIZE=True, TRAIN_SPLIT=(0.65, 0.5)))
    datasets = (data.train, data.val, data.test)
    assert sum(map(len, datasets)) == videos
    assert all(map(len, datasets))
    assert (data.feature_width, data.skipped_tasks, data.notes) == (width, {}, ())
    source = {
        handle: (actions, starts, ends)
        for task in json.loads((folder / f"{name}.json").read_text()).values()
        for handle, actions, starts, ends in zip(*task.values(), strict=True)
    }
    for dataset in datasets:
        for video, (features, time_dict) in zip(dataset.videos, dataset, strict=True):
            actions, starts, ends = source[video.handle]
            assert_valid(time_dict, len(features))
            assert features.shape == (video.number_of_frames, width)
            assert time_dict["start_frame"] == starts
            assert time_dict["end_frame"] == [*(end - 1 for end in ends[:-1]), ends[-1]]
            renamed = {"background": "SIL", "Null": "SIL"}
            assert time_dict["step"] == [renamed.get(action, action) for action in actions]
    frames = torch.cat([features for features, _ in data.train]).double()
    torch.testing.assert_close(frames.mean(0), torch.zeros(width).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(frames.std(0), torch.ones(width).double(), atol=1e-3, rtol=0)
    if listed:
        split = json.loads((folder / "split.json").read_text())
        assert set(handles(data.test)) == set(split["test"])
        assert set(handles(data.train)) | set(handles(data.val)) == set(split["train"])
    for dataset in datasets:
        for batch in TaskBatchSampler(dataset, 2, seed=0):
            assert len({dataset[index][1]["name"] for index in batch}) == 2
