"""Training lowers its own loss, step by step as the settings say, and takes every split where it belongs."""

from __future__ import annotations

import csv
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import models.alignment_training_loop as loop
from configs.validation import complete_config
from tests.tiny_training import LOSSES, equal, make_training, one_pixel, only, small_config, train, write_recordings
from tests.utils.data.builders import entry, write_annotation, write_features
from utils.ckpt_save import load_checkpoint, load_model
from utils.data.dataset import load_data
from utils.data.frame_segments import action_frames
from utils.data.synthetic import write_synthetic_dataset
from utils.evaluation.checkpoint import EvaluationRequest, evaluate_checkpoint
from utils.loss_entry import get_loss_function, get_validation_loss_function
from utils.metrics import phase_classification, phase_progression
from utils.prediction.embedding import TRAINED
from utils.tensorops import get_trueprogress
from utils.training.interruption import StopRequest

CPU = torch.device("cpu")
PROGRESS = {"PROGRESS_LOSS.enabled": True, "PROGRESS_LOSS.frames": "all"}


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr("utils.training.log.plot_loss_curves", one_pixel)


@pytest.fixture(scope="module")
def learnable(tmp_path_factory):
    """'synthetic', and 'walk': time in one feature, in three others noise that is gone after a third of the video."""
    root = tmp_path_factory.mktemp("data")
    write_synthetic_dataset(root / "synthetic", seed=0, tasks=1, videos=10, frames=(40, 60), width=8)
    generator = np.random.default_rng(0)
    videos = []
    for number in range(10):
        handle, frames = f"walk_{number}", 40 + 2 * number
        time = np.linspace(0, 1, frames)[:, None]
        noise = generator.normal(size=(frames, 3)) * (time < 1 / 3)
        write_features(root / "walk", handle, np.hstack([4 * time, noise]).astype(np.float32))
        videos.append((handle, ["walk"], [0], [frames - 1]))
    write_annotation(root / "walk", {"walk": entry(*videos)})
    return root


@pytest.mark.parametrize("loss", [*LOSSES, "progress"])
def test_training_lowers_its_loss_on_training_and_validation_videos(learnable, tmp_path, loss):
    """Fails under gradient ascent, without a step of the optimiser, and at a learning rate of zero."""
    if loss == "progress":
        settings = {**PROGRESS, "PROGRESS_LOSS.lambda_fixed": 10.0, "LEARNING_RATE": 1e-2, "DATASET_NAME": "walk"}
    else:
        settings = {**only(loss), "LEARNING_RATE": 3e-3, "DATASET_NAME": "synthetic"}
    config = small_config(
        {
            "DATASET_PATH": str(learnable), "TASKS": (), "TRAIN_SPLIT": (0.6, 0.5), "NUM_EPOCHS": 12,
            # Without what makes the loss of so easy a data set low from the beginning.
            "OUTPUT_DIMENSIONALITY": 8, "ARCHITECTURE.MCN": False, "ARCHITECTURE.skip": False,
            "GTCC_PARAMS.normalization": "none", "TCC_ORIGINAL_PARAMS.normalization": "none",
            "VAOT_PARAMS.softmax_temp": 0.1,
            # At every epoch the same function, and of the whole video: what falls is the loss, not its schedule.
            "GTCC_PARAMS.gamma": 1.0, "GTCC_PARAMS.delta": 1.0, "GTCC_PARAMS.alignment_variance": 0.0, **settings,
        }
    )  # fmt: skip
    training = make_training(config, tmp_path)
    term = "progress_loss" if loss == "progress" else "alignment_loss"
    share = 0.95 if loss == "VAOT" else 0.8  # the entropy of the plan is a part of VAOT's loss that never goes away
    splits = {"train": training.data.train, "val": training.data.val}
    before = {name: loss_over(training, videos)[term] for name, videos in splits.items()}
    training.run_to_the_end()
    for name, videos in splits.items():
        assert loss_over(training, videos)[term] < share * before[name], name
    with open(tmp_path / "metrics.csv", newline="") as file:
        first, *_, last = csv.DictReader(file)
    for name in (f"train_{term}", f"val_{term}"):
        assert float(last[name]) < share * float(first[name]), name


def loss_over(training, videos):
    """The validation loss of a split's videos, two by two of each task in their order, by a plain loop."""
    function = get_validation_loss_function(training.config, num_epochs=training.num_epochs)
    found = []
    for task in videos.tasks:
        own = videos.of_task(task)
        for start in range(0, len(own), 2):
            pair = own[start : start + 2]
            assert len(pair) == 2, "the data of this test are to make whole batches"
            sequences, times = zip(*(videos[index] for index in pair), strict=True)
            with torch.no_grad():
                output_dict = training.model.eval()(list(sequences))
                found.append(function(output_dict, 0, times_list=list(times)))
    return {name: float(torch.stack([losses[name] for losses in found]).mean()) for name in found[0]}


@pytest.fixture(scope="module")
def split_root(tmp_path_factory):
    """A data set whose splits differ in lengths, in values and in which action takes most of the time."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    lengths = {
        task: [*(first + 2 * number for number in range(4)), *(20 + first, 23 + first), *(40 + first, 45 + first)]
        for task, first in (("brew", 12), ("fold", 13))
    }
    handles = {task: [f"{task}_{number}" for number in range(8)] for task in lengths}
    split = {
        name: [handle for task in handles.values() for handle in task[part]]
        for name, part in (("train", slice(4)), ("val", slice(4, 6)), ("test", slice(6, 8)))
    }
    write_recordings(folder, lengths, split=split, annotated_more=0)
    for factor, name in enumerate(("train", "val", "test"), start=1):
        for handle in split[name]:
            path = folder / "features" / f"{handle}.npy"
            np.save(path, factor * (np.load(path) + 1))
    return SimpleNamespace(path=folder.parent, handles=split)


@pytest.fixture(scope="module")
def run(split_root, tmp_path_factory):
    """A finished run on it."""
    folder = tmp_path_factory.mktemp("run")
    config = small_config(
        {"DATASET_PATH": str(split_root.path), "OUTPUT_FOLDER": str(folder), "TASKS": (), "STANDARDIZE": True},
        {**only("GTCC"), **PROGRESS},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.training.log.plot_loss_curves", one_pixel)
        return train(config, folder)


def embedded(checkpoint, videos):
    """The embeddings of a split's videos by a checkpoint's network, by handle."""
    model = load_model(checkpoint, CPU)
    with torch.no_grad():
        return {
            video.handle: model([features])["outputs"][0]
            for video, (features, _) in zip(videos.videos, videos, strict=True)
        }


class TestSplits:
    @pytest.mark.parametrize(("kind", "term"), [("combined", "total_loss"), ("alignment", "alignment_loss")])
    def test_best_checkpoints_are_chosen_by_the_loss_on_validation_videos(self, run, kind, term):
        checkpoint = load_checkpoint(run / "ckpt" / f"best_model_{kind}.pt")
        config = complete_config(checkpoint["config"])
        data = load_data(checkpoint["config"])
        as_chosen = SimpleNamespace(model=load_model(checkpoint, CPU), config=config, num_epochs=config.NUM_EPOCHS)
        by_split = {name: loss_over(as_chosen, getattr(data, name))[term] for name in ("train", "val", "test")}
        assert checkpoint["loss"] == pytest.approx(by_split["val"], rel=1e-5)
        assert by_split["train"] != pytest.approx(by_split["val"], rel=0.02)
        assert by_split["test"] != pytest.approx(by_split["val"], rel=0.02)
        with open(run / "metrics.csv", newline="") as file:
            losses = [float(row[f"val_{term}"]) for row in csv.DictReader(file)]
        assert losses.index(min(losses)) == checkpoint["epoch"]
        assert min(losses) == pytest.approx(checkpoint["loss"])

    def test_steps_take_training_videos_and_validation_its_own(self, split_root, tmp_path, monkeypatch):
        seen = {True: [], False: []}

        def watched(*arguments, **settings):
            function = get_loss_function(*arguments, **settings)

            def loss(outputs, epoch, times_list, **more):
                seen[torch.is_grad_enabled()] += [time_dict["name"] for time_dict in times_list]
                return function(outputs, epoch, times_list=times_list, **more)

            return loss

        monkeypatch.setattr(loop, "get_loss_function", watched)
        config = small_config({"DATASET_PATH": str(split_root.path), "TASKS": (), "NUM_EPOCHS": 1})
        make_training(config, tmp_path).run_to_the_end()
        assert sorted(seen[True]) == sorted(split_root.handles["train"])
        assert sorted(seen[False]) == sorted(split_root.handles["val"])

    def test_features_are_standardised_by_the_training_videos(self, split_root, run):
        folder = split_root.path / "tiny" / "features"
        frames = np.concatenate([np.load(folder / f"{handle}.npy") for handle in split_root.handles["train"]])
        checkpoint = load_checkpoint(run / "ckpt" / "best_model_combined.pt")
        standardization = checkpoint["standardization"]
        np.testing.assert_allclose(standardization["mean"], frames.mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(standardization["std"], frames.std(axis=0), rtol=1e-4)
        data = load_data(checkpoint["config"])
        for name, videos in (("train", data.train), ("val", data.val), ("test", data.test)):
            for handle, (features, _) in zip(split_root.handles[name], videos, strict=True):
                expected = (np.load(folder / f"{handle}.npy") - frames.mean(axis=0)) / frames.std(axis=0)
                np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("kind", ["combined", "alignment"])
    def test_progress_is_normalised_by_the_training_videos(self, split_root, run, kind):
        checkpoint = load_checkpoint(run / "ckpt" / f"best_model_{kind}.pt")
        data = load_data(checkpoint["config"])
        lengths = {"brew": [], "fold": []}
        for handle, embedding in embedded(checkpoint, data.train).items():
            frames = embedding.double()
            length = sum(float((after - before).norm()) for before, after in itertools.pairwise(frames))
            lengths[handle.split("_")[0]].append(length)
        assert [len(of_task) for of_task in lengths.values()] == [4, 4]
        expected = {task: sum(of_task) / len(of_task) for task, of_task in lengths.items()}
        assert checkpoint["progress_normalizers"] == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("split", ["val", "test"])
    def test_an_evaluation_fits_on_training_videos_and_judges_those_asked_for(self, split_root, run, tmp_path, split):
        path = run / "ckpt" / "best_model_combined.pt"
        results = evaluate_checkpoint(path, EvaluationRequest(split=split, figures=0), tmp_path)
        found = {(result.metric, result.variant, result.task): result for result in results}
        checkpoint = load_checkpoint(path)
        data = load_data(checkpoint["config"])
        judged = getattr(data, split)
        for task in ("brew", "fold"):
            handles = [handle for handle in split_root.handles[split] if handle.startswith(task)]
            fitted, asked = (
                [(video.time_dict, embedded(checkpoint, videos)[video.handle].numpy())
                 for video in videos.videos if video.task == task]
                for videos in (data.train, judged)
            )
            for metric, function, target in (
                ("PHP", phase_progression, lambda times: get_trueprogress(times).double().numpy()),
                ("PC_100", phase_classification, frame_labels),
            ):
                expected = function(
                    [frames for _, frames in fitted], [target(times) for times, _ in fitted],
                    [frames for _, frames in asked], [target(times) for times, _ in asked],
                )  # fmt: skip
                values = found[metric, TRAINED, task].values
                assert list(values) == handles
                np.testing.assert_allclose(list(values.values()), expected, rtol=1e-3, atol=1e-5)
            assert list(found["OPE_video_online", TRAINED, task].values) == handles


def frame_labels(times):
    """A number for each action of these tests, -1 for background."""
    labels = np.full(times["end_frame"][-1] + 1, -1)
    for step, start, end in zip(times["step"], times["start_frame"], times["end_frame"], strict=True):
        labels[start : end + 1] = {"SIL": -1, "cut": 0, "mix": 1, "pour": 2}[step]
    assert ((labels >= 0) == action_frames(times)).all()
    return labels


def path_means(model, videos, level):
    """The mean total path length of each task's videos, or of each of its actions, by plain loops."""
    lengths = {}
    for index, video in enumerate(videos.videos):
        features, times = videos[index]
        with torch.no_grad():
            frames = model.eval()([features])["outputs"][0].double()
        steps = [float((after - before).norm()) for before, after in itertools.pairwise(frames)]
        segments = zip(times["step"], times["start_frame"], times["end_frame"], strict=True)
        parts = [part for part in segments if part[0] not in ("SIL", "Null")]
        for label, start, end in parts if level == "action" else [("", 0, len(frames) - 1)]:
            lengths.setdefault(video.task, {}).setdefault(label, []).append(sum(steps[start:end]))
    means = {
        task: {label: sum(found) / len(found) for label, found in of_task.items()} for task, of_task in lengths.items()
    }
    return means if level == "action" else {task: of_task[""] for task, of_task in means.items()}


def close(one, other):
    """Whether mean path lengths, possibly by action, are nearly the same."""
    return one.keys() == other.keys() and all(
        close(one[name], other[name]) if isinstance(one[name], dict) else one[name] == pytest.approx(other[name], 1e-4)
        for name in one
    )


class TestPathsOverTheMeanOfTrainingVideos:
    @pytest.fixture
    def settings(self, split_root):
        return {
            "DATASET_PATH": str(split_root.path), "TASKS": (), "NUM_EPOCHS": 3, **PROGRESS,
            "PROGRESS_LOSS.normalizer": "training", "PROGRESS_LOSS.lambda_fixed": 5.0,
        }  # fmt: skip

    @pytest.mark.parametrize("level", ["video", "action"])
    @pytest.mark.parametrize("seen", [{}, {"MAX_FRAMES": 8}])
    def test_steps_take_those_at_the_start_of_their_epoch_and_validation_those_after_it(
        self, settings, tmp_path, monkeypatch, level, seen
    ):
        config = small_config(settings, seen, {"PROGRESS_LOSS.level": level})
        training = make_training(config, tmp_path)
        told, expected = {"steps": {}, "validation": {}}, {"steps": {}, "validation": {}}

        def watched(part):
            function = training.loss_fn if part == "steps" else training.validation_loss_fn

            def loss(outputs, epoch, times_list, totals, **more):
                if (part == "steps") == torch.is_grad_enabled():
                    of_epoch = told[part].setdefault(epoch, {})
                    for time_dict in times_list:
                        task = time_dict["name"].split("_")[0]
                        assert of_epoch.setdefault(task, totals[time_dict["name"]]) == totals[time_dict["name"]]
                return function(outputs, epoch, times_list=times_list, totals=totals, **more)

            return loss

        def steps(stop):
            epoch = training.state.epoch
            expected["steps"][epoch] = path_means(training.model, InEpoch(training.data.train, epoch), level)
            means = run_steps(stop)
            expected["validation"][epoch] = path_means(training.model, training.data.train, level)
            return means

        run_steps = training._run_training_steps
        monkeypatch.setattr(training, "_run_training_steps", steps)
        training.loss_fn, training.validation_loss_fn = watched("steps"), watched("validation")
        training.run_to_the_end()
        for part in ("steps", "validation"):
            assert list(told[part]) == [0, 1, 2]
            for epoch in told[part]:
                assert close(told[part][epoch], expected[part][epoch]), (part, epoch)
            assert not close(told[part][0], told[part][2]), "the network learns"
        assert close(told["steps"][1], told["validation"][0]) == (not seen)

    @pytest.mark.parametrize("kind", ["combined", "alignment"])
    def test_the_loss_that_chooses_a_checkpoint_divides_as_its_online_progress(self, settings, tmp_path, kind):
        """One function of the network at every epoch: recomputed from the checkpoint alone."""
        make_training(small_config(settings), tmp_path).run_to_the_end()
        checkpoint = load_checkpoint(tmp_path / "ckpt" / f"best_model_{kind}.pt")
        data = load_data(checkpoint["config"])
        embeddings = embedded(checkpoint, data.val)
        errors = {"brew": [], "fold": []}
        for video in data.val.videos:
            path = embeddings[video.handle].double().diff(dim=0).norm(dim=1).cumsum(0)
            predicted = torch.cat([torch.zeros(1), path]) / checkpoint["progress_normalizers"][video.task]
            errors[video.task].append((predicted - get_trueprogress(video.time_dict)).abs().mean())
        expected = torch.stack([torch.stack(of_task).mean() for of_task in errors.values()]).mean()
        with open(tmp_path / "metrics.csv", newline="") as file:
            row = list(csv.DictReader(file))[checkpoint["epoch"]]
        assert float(row["val_progress_loss"]) == pytest.approx(float(expected), rel=1e-4)
        assert float(row["val_at_epoch_progress_loss"]) == pytest.approx(float(expected), rel=1e-4)

    def test_with_its_own_total_nothing_is_measured(self, settings, tmp_path, monkeypatch):
        def measured(*arguments):
            raise AssertionError("every training video was embedded for nothing")

        monkeypatch.setattr(loop, "mean_path_lengths", measured)
        for others in ({"PROGRESS_LOSS.normalizer": "own"}, {"PROGRESS_LOSS.enabled": False}):
            training = make_training(small_config(settings, others, {"NUM_EPOCHS": 1}), tmp_path)
            training.run_to_the_end()
            assert training.state.mean_paths == {}


class InEpoch:
    """The videos of a data set with the frames of one epoch."""

    def __init__(self, dataset, epoch):
        self.videos, self._drawn = dataset.videos, dataset.in_epoch(epoch)

    def __getitem__(self, index):
        return self._drawn[index]


class TestSteps:
    @pytest.fixture
    def settings(self, split_root):
        return {"DATASET_PATH": str(split_root.path), "TASKS": (), "NUM_EPOCHS": 3}

    def test_gradients_are_clipped_to_the_norm_that_is_set_and_reported_as_they_were(self, settings, tmp_path):
        def gradient(largest):
            training = make_training(small_config(settings, {"MAX_GRAD_NORM": largest}), tmp_path)
            sequences, times = zip(*(training.data.train[index] for index in (0, 1)), strict=True)
            _, norm = training._forward_backward(sequences, times, number=0, weight=1.0)
            parts = [each.grad.flatten() for each in training.model.parameters() if each.grad is not None]
            return torch.cat(parts), norm

        whole, norm = gradient(1e9)
        torch.testing.assert_close(whole.norm(), norm)
        assert norm > 1e-3
        clipped, reported = gradient(1e-3)
        torch.testing.assert_close(clipped, whole * 1e-3 / norm, rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(reported, norm)

    def test_the_gradient_of_a_step_is_that_of_its_own_batch(self, settings, tmp_path):
        training = make_training(small_config(settings), tmp_path)
        found = []
        for pair in ((0, 1), (2, 3), (0, 1)):
            sequences, times = zip(*(training.data.train[index] for index in pair), strict=True)
            training._forward_backward(sequences, times, number=0, weight=1.0)
            found.append(
                torch.cat([each.grad.flatten() for each in training.model.parameters() if each.grad is not None])
            )
        assert torch.equal(found[0], found[2])
        assert not torch.equal(found[0], found[1])

    def test_every_epoch_and_seed_draws_frames_of_its_own(self, settings, tmp_path, monkeypatch):
        seen = []

        def watched(self, sequences, times, number, weight):
            by_name = {time_dict["name"]: features for time_dict, features in zip(times, sequences, strict=True)}
            if number == 0:
                seen.append({})
            seen[-1].update(by_name)
            return original(self, sequences, times, number=number, weight=weight)

        original = loop.AlignmentTraining._forward_backward
        monkeypatch.setattr(loop.AlignmentTraining, "_forward_backward", watched)
        for seed in (0, 1):
            config = small_config(settings, {"MAX_FRAMES": 8, "NUM_EPOCHS": 2, "SEED": seed})
            make_training(config, tmp_path / str(seed)).run_to_the_end()
        assert len(seen) == 4
        assert all(len(features) == 8 for of_epoch in seen for features in of_epoch.values())
        assert not any(equal(*pair) for pair in itertools.combinations(seen, 2))

    def test_every_epoch_has_an_order_of_its_own_and_all_videos(self, split_root, settings, tmp_path, monkeypatch):
        orders = []

        def watched(self, sequences, times, number, weight):
            if number == 0:
                orders.append([])
            orders[-1].append(tuple(time_dict["name"] for time_dict in times))
            return original(self, sequences, times, number=number, weight=weight)

        original = loop.AlignmentTraining._forward_backward
        monkeypatch.setattr(loop.AlignmentTraining, "_forward_backward", watched)
        make_training(small_config(settings), tmp_path).run_to_the_end()
        assert len(orders) == 3
        assert len({tuple(order) for order in orders}) == 3
        for order in orders:
            assert sorted(itertools.chain(*order)) == sorted(split_root.handles["train"])

    def test_the_loss_is_told_the_epoch(self, settings, tmp_path, monkeypatch):
        told = {True: [], False: []}

        def watched(*arguments, **more):
            function = get_loss_function(*arguments, **more)

            def loss(outputs, epoch, **inputs):
                told[torch.is_grad_enabled()].append(epoch)
                return function(outputs, epoch, **inputs)

            return loss

        monkeypatch.setattr(loop, "get_loss_function", watched)
        make_training(small_config(settings), tmp_path).run_to_the_end()
        # Four steps an epoch, two batches of validation.
        assert told == {True: [0] * 4 + [1] * 4 + [2] * 4, False: [0, 0, 1, 1, 2, 2]}

    def test_a_step_of_the_first_epoch_is_as_long_as_the_learning_rate(self, settings, tmp_path):
        """Adam's first step moves a weight by the learning rate, whatever the size of its gradient, and against it."""
        training = make_training(small_config(settings, {"MAX_GRAD_NORM": 1e9}), tmp_path)
        before = {name: weight.detach().clone() for name, weight in training.model.named_parameters()}
        taken = []

        def one_step(sequences, times, number, weight):
            if taken:
                training.optimizer.step = lambda: None
            taken.append(1)
            return original(sequences, times, number=number, weight=weight)

        original, training._forward_backward = training._forward_backward, one_step
        gradients = {}
        training.optimizer.register_step_pre_hook(
            lambda *_: gradients.update(
                {name: weight.grad.clone() for name, weight in training.model.named_parameters()
                 if weight.grad is not None}
            )
        )
        with StopRequest() as stop:
            training._run_training_steps(stop)
        assert gradients
        for name, weight in training.model.named_parameters():
            if name in gradients:
                sure = gradients[name].abs() > 1e-4  # beside Adam's epsilon of 1e-8
                step = (weight.detach() - before[name])[sure]
                torch.testing.assert_close(step, -1e-2 * gradients[name][sure].sign(), rtol=1e-2, atol=0)
