import json
import logging
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.real_data import real_data
from tests.utils.data.builders import assert_valid, config_for, labels_of_frames
from utils.data.dataset import load_data
from utils.data.mstcn import convert_mstcn, main, segments_of_labels
from utils.errors import DataError

LABELS = ("SIL", "take", "pour", "stir milk", "été")


def write_source(folder, lengths, *, split=1, transposed=True, seed=0):
    """A small data set in the layout; returns the labels and the (T, D) features by video."""
    generator = np.random.default_rng(seed)
    for part in ("groundTruth", "features", "splits"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "mapping.txt").write_text("".join(f"{i} {label}\n" for i, label in enumerate(LABELS)), "utf-8")
    labels, features = {}, {}
    for handle, length in lengths.items():
        runs = np.repeat(generator.choice(LABELS, length), generator.integers(1, 9, length))
        lines = runs[:length].tolist()
        (folder / "groundTruth" / f"{handle}.txt").write_text("\n".join(lines) + "\n", "utf-8")
        array = generator.normal(size=(length, 3)).astype(np.float32)
        np.save(folder / "features" / f"{handle}.npy", np.ascontiguousarray(array.T) if transposed else array)
        labels[handle], features[handle] = lines, array
    handles = list(lengths)
    half = len(handles) // 2 + 1
    for name, part in (("train", handles[:half]), ("test", handles[half:])):
        lines = "".join(f"{handle}.txt\n" for handle in part)
        (folder / "splits" / f"{name}.split{split}.bundle").write_text(lines)
    return labels, features


BREAKFAST = {
    f"P{person:02d}_cam01_P{person:02d}_{task}": 30 + person
    for person in range(6)
    for task in ("tea", "cereals")
}


def loaded(conversion, **overrides):
    return load_data(
        config_for(conversion.annotation_path.parent, **{**conversion.settings, "VALIDATION_FRACTION": 0.0},
                   **overrides)
    )  # fmt: skip


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_a_converted_set_has_every_frame_as_it_was(tmp_path, transposed, inside):
    source = tmp_path / "breakfast"
    labels, features = write_source(source, BREAKFAST, transposed=transposed)
    output = source if inside else tmp_path / "data" / "breakfast"
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*.npy")}
    conversion = convert_mstcn(source, output, task_pattern=r"_([^_]+)$")
    assert conversion.settings["FEATURE_LAYOUT"] == ("features_first" if transposed else "frames_first")
    assert conversion.videos_of_task == {"tea": 6, "cereals": 6}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == before
    data = loaded(conversion)
    seen = []
    for dataset in (data.train, data.test):
        for video, (sequence, time_dict) in zip(dataset.videos, dataset, strict=True):
            assert video.task == video.handle.split("_")[-1]
            assert torch.equal(sequence, torch.from_numpy(features[video.handle]))
            assert_valid(time_dict, len(sequence))
            assert labels_of_frames(time_dict) == labels[video.handle]
            seen.append(video.handle)
    assert sorted(seen) == sorted(labels)
    assert not data.notes
    split = json.loads((output / "split.json").read_text())
    assert {video.handle for video in data.test.videos} == set(split["test"])


def test_without_a_pattern_all_videos_are_one_task_of_the_folders_name(tmp_path):
    write_source(tmp_path / "50salads", {"rgb-01-1": 40, "rgb-01-2": 50, "rgb-02-1": 60})
    conversion = convert_mstcn(tmp_path / "50salads", tmp_path / "salads")
    assert conversion.videos_of_task == {"50salads": 3}
    assert conversion.annotation_path == tmp_path / "salads" / "salads.json"
    assert loaded(conversion).train.tasks == ("50salads",)


def test_the_split_is_the_one_asked_for_or_the_first(tmp_path):
    source = tmp_path / "gtea"
    write_source(source, {"S1_Tea_C1": 20, "S2_Tea_C1": 20, "S3_Tea_C1": 20}, split=3)
    assert convert_mstcn(source, tmp_path / "third", split=3).split == 3
    with pytest.raises(DataError, match=r"test\.split1\.bundle: no such file"):
        convert_mstcn(source, tmp_path / "first")
    for path in (source / "splits").iterdir():
        path.unlink()
    (source / "splits").rmdir()
    assert convert_mstcn(source, tmp_path / "none").split is None
    assert not (tmp_path / "none" / "split.json").exists()
    with pytest.raises(DataError, match="left over from another conversion"):
        convert_mstcn(source, tmp_path / "third")


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_segments_of_labels_are_their_runs(labels):
    actions, starts, ends = segments_of_labels(labels)
    rebuilt = []
    for position, (action, start, end) in enumerate(zip(actions, starts, ends, strict=True)):
        assert start == len(rebuilt)
        rebuilt += [action] * (end - start + (position == len(actions) - 1))
    assert rebuilt == labels
    assert all(first != second for first, second in pairwise(actions))


def test_lengths_are_reconciled_as_in_loading_and_no_further(tmp_path):
    source = tmp_path / "gtea"
    _, features = write_source(source, {"S1_Tea_C1": 100, "S2_Tea_C1": 200, "S3_Tea_C1": 300})
    np.save(source / "features" / "S1_Tea_C1.npy", features["S1_Tea_C1"][:98].T)
    np.save(source / "features" / "S3_Tea_C1.npy", np.pad(features["S3_Tea_C1"], ((0, 3), (0, 0))).T)
    data = loaded(convert_mstcn(source, tmp_path / "out"))
    assert {len(sequence) for sequence, _ in [*data.train, *data.test]} == {98, 200, 303}
    np.save(source / "features" / "S1_Tea_C1.npy", features["S1_Tea_C1"][:90].T)
    with pytest.raises(DataError, match=r"S1_Tea_C1\.npy: has shape \(3, 90\), 100 frames are labelled"):
        convert_mstcn(source, tmp_path / "out")


def test_all_problems_come_in_one_error_and_nothing_is_written(tmp_path):
    source = tmp_path / "gtea"
    write_source(source, {f"S{i}_Tea_C1": 20 for i in range(6)} | {"odd": 20})
    ground_truth = source / "groundTruth"
    (ground_truth / "S0_Tea_C1.txt").write_text("take\n\npour\n")
    (ground_truth / "S1_Tea_C1.txt").write_text("take\n")
    (ground_truth / "S2_Tea_C1.txt").write_text("puor\n" * 20)
    (ground_truth / "S3_Tea_C1.txt").write_bytes(b"\xff\xfe\x00")
    (ground_truth / "._S4_Tea_C1.txt").write_bytes(b"\xff\xfe\x00")
    (source / "features" / "S4_Tea_C1.npy").unlink()
    (source / "features" / "S5_Tea_C1.npy").write_bytes(b"text")
    with open(source / "mapping.txt", "a") as file:
        file.write("99\n")
    bundle = "S4_Tea_C1.txt\r\nS4_Tea_C1.txt\n../S9_Tea_C1.txt\n"
    (source / "splits" / "test.split1.bundle").write_text(bundle)
    with pytest.raises(DataError) as caught:
        convert_mstcn(source, tmp_path / "out", task_pattern=r"_(Tea)_")
    problems = caught.value.problems
    for words in [
        "S0_Tea_C1.txt: line 2 is empty",
        "S1_Tea_C1.txt: has 1 labels",
        "S3_Tea_C1.txt: cannot be read as text",
        "mapping.txt: line 6 is '99'",
        "does not name the label 'puor' of groundTruth/S2_Tea_C1.txt, line 1; did you mean 'pour'?",
        "video 'odd': the task pattern '_(Tea)_' finds no task in it",
        "S4_Tea_C1.npy: no such feature file",
        "S5_Tea_C1.npy: cannot be read",
        "names '../S9_Tea_C1', which has no usable groundTruth file",
        "test.split1.bundle: video 'S4_Tea_C1' is in 'test' already",
    ]:
        assert sum(words in problem for problem in problems) == 1, (words, problems)
    assert not (tmp_path / "out").exists()


def test_a_bad_pattern_or_an_empty_folder_is_said(tmp_path):
    write_source(tmp_path / "gtea", {"S1_Tea_C1": 20, "S2_Tea_C1": 20})
    for pattern, words in [("(", "is not a regular expression"), ("Tea", "0 groups"), ("(T)(e)", "2 groups")]:
        with pytest.raises(DataError, match=words):
            convert_mstcn(tmp_path / "gtea", tmp_path / "out", task_pattern=pattern)
    with pytest.raises(DataError, match=r"holds no \.txt file"):
        convert_mstcn(tmp_path / "nowhere", tmp_path / "out")


def test_labels_of_another_rate_are_offered_and_taken_by_an_option(tmp_path):
    source = tmp_path / "cholec"
    _, features = write_source(source, {"v1": 100, "v2": 150, "v3": 200})
    for handle, array in features.items():
        np.save(source / "features" / f"{handle}.npy", array[::5].T)
    with pytest.raises(DataError, match=r"labels of another rate\? --scaling proportional: about 0\.2 frames a label"):
        convert_mstcn(source, tmp_path / "out")
    conversion = convert_mstcn(source, tmp_path / "out", scaling="proportional")
    assert conversion.settings["ANNOTATION_SCALING"] == "proportional"
    assert conversion.settings["FEATURE_LAYOUT"] == "features_first"
    assert {len(sequence) for sequence, _ in loaded(conversion).train} == {20, 30}


def test_lines_that_are_segments_and_swapped_columns_are_recognised(tmp_path):
    source = tmp_path / "breakfast"
    write_source(source, {"v1": 20, "v2": 20})
    (source / "groundTruth" / "v1.txt").write_text("1-30 SIL\n31-40 take\n")
    with pytest.raises(DataError, match=r"lines such as '1-30 SIL', which are segments.*breakfast_coarse") as caught:
        convert_mstcn(source, tmp_path / "out")
    assert not any("does not name" in problem for problem in caught.value.problems)
    (source / "mapping.txt").write_text("SIL 0\ntake 1\n")
    with pytest.raises(DataError, match="has the label first, as 'SIL 0'") as caught:
        convert_mstcn(source, tmp_path / "out")
    assert not any("does not name" in problem for problem in caught.value.problems)


def test_a_label_that_the_default_settings_take_for_background_is_said(tmp_path, caplog):
    source = tmp_path / "numbers"
    write_source(source, {"v1": 20, "v2": 20})
    (source / "mapping.txt").write_text("0 0\n7 7\n")
    for handle in ("v1", "v2"):
        (source / "groundTruth" / f"{handle}.txt").write_text("7\n" * 10 + "0\n" * 10)
    assert convert_mstcn(source, tmp_path / "out").doubtful_labels == ["0"]
    main([str(source), str(tmp_path / "out")])
    assert "background by the default settings: '0'" in caplog.text


def test_the_command_says_how_to_load_and_ends_with_2_on_bad_input(tmp_path, capsys, caplog):
    write_source(tmp_path / "gtea", {"S1_Tea_C1": 20, "S2_Tea_C1": 20})
    with caplog.at_level(logging.INFO):
        folders = [str(tmp_path / "gtea"), str(tmp_path / "data" / "out")]
        main([*folders, "--task-pattern", "^S[0-9]+_([A-Za-z]+)_"])
    assert "CONFIG.FEATURE_LAYOUT = 'features_first'" in caplog.text
    assert "CONFIG.FEATURES_FOLDER = '../../gtea/features'" in caplog.text
    assert "task 'Tea': 2 videos" in caplog.text
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path / "nowhere"), str(tmp_path / "out")])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nowhere' / 'groundTruth'}: holds no .txt")


def test_real_recordings_survive_the_way_there_and_back(tmp_path):
    folder = real_data("gtea")
    plain = load_data(config_for(folder))
    source = tmp_path / "gtea"
    for part in ("groundTruth", "features", "splits"):
        (source / part).mkdir(parents=True)
    videos = [(video, *item) for part in (plain.train, plain.val, plain.test)
              for video, item in zip(part.videos, part, strict=True)][:8]  # fmt: skip
    names = sorted({step for _, _, time_dict in videos for step in time_dict["step"]})
    (source / "mapping.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(names)))
    for video, features, time_dict in videos:
        np.save(source / "features" / f"{video.handle}.npy", features.numpy().T)
        (source / "groundTruth" / f"{video.handle}.txt").write_text("\n".join(labels_of_frames(time_dict)))
    handles = [video.handle for video, _, _ in videos]
    (source / "splits" / "train.split1.bundle").write_text("\n".join(handles[:6]))
    (source / "splits" / "test.split1.bundle").write_text("\n".join(handles[6:]))
    data = loaded(convert_mstcn(source, tmp_path / "converted"))
    found = {time_dict["name"]: (sequence, time_dict) for sequence, time_dict in [*data.train, *data.test]}
    assert sorted(found) == sorted(handles)
    for video, features, time_dict in videos:
        assert torch.equal(found[video.handle][0], features)
        assert labels_of_frames(found[video.handle][1]) == labels_of_frames(time_dict)
