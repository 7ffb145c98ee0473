"""Checkpoints: written whole, chosen as the plan says, read strictly and without executing anything."""

import builtins
import io
import math
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.generic_config import get_generic_config
from configs.settings import Settings
from models.build_model import build_model
from tests.utils.checkpoints.test_original_code import original_content, write  # noqa: F401 - a fixture
from utils.ckpt_save import (
    choose_checkpoint,
    ckpt_save,
    find_checkpoint,
    get_ckpt_basic,
    get_ckpt_for_eval,
    get_ckpt_MCN,
    load_checkpoint,
    load_model,
)
from utils.errors import CheckpointError


def small_config(crosstask=True):
    config = get_generic_config()
    config.OUTPUT_DIMENSIONALITY = 4
    config.BASEARCH.TEMPORAL_STACKING_ARCH = {"conv_num_channels": 4}
    config.ARCHITECTURE = {"MCN": crosstask, "head_layers": (4,), "attn_layers": (4,), "drop_layers": (4,)}
    return config.to_dict()


def save(path, crosstask=True, epoch=0):
    torch.manual_seed(epoch)
    config = small_config(crosstask)
    model = build_model(config, 3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    ckpt_save(
        model_t=model,
        optimizer_t=optimizer,
        epoch_t=epoch,
        loss_t=0.5,
        filename=str(path),
        config=config,
        feature_width=3,
        tasks=["a", "b"],
        standardization=None,
    )
    return model


@pytest.fixture
def run(tmp_path):
    (tmp_path / "ckpt").mkdir()
    return tmp_path


class TestChoice:
    def test_best_of_each_type(self, run):
        for name in ("best_model_combined.pt", "best_model_alignment.pt", "best_model.pt", "epoch-3.pt"):
            (run / "ckpt" / name).touch()
        assert choose_checkpoint(run).name == "best_model_combined.pt"
        assert choose_checkpoint(run, "alignment").name == "best_model_alignment.pt"
        assert choose_checkpoint(run / "ckpt", "alignment").name == "best_model_alignment.pt"

    def test_falls_back_to_the_old_name_then_to_the_numerically_latest_epoch(self, run):
        for number in (9, 10, 2):
            (run / "ckpt" / f"epoch-{number}.pt").touch()
        (run / "ckpt" / "epoch-best.pt").touch()
        assert choose_checkpoint(run).name == "epoch-10.pt"
        (run / "ckpt" / "best_model.pt").touch()
        assert choose_checkpoint(run, "alignment").name == "best_model.pt"

    def test_nothing_found_lists_what_was_looked_for(self, run):
        with pytest.raises(FileNotFoundError, match=r"best_model_combined\.pt.*best_model\.pt.*epoch-N\.pt"):
            choose_checkpoint(run)
        with pytest.raises(ValueError, match="checkpoint_type"):
            choose_checkpoint(run, "newest")

    def test_find_by_path_by_run_and_in_the_newest_run(self, tmp_path):
        for name in ("run-001", "run-002"):
            save(tmp_path / "output" / "demo" / name / "ckpt" / "best_model_combined.pt")
            (tmp_path / "output" / "demo" / name / "config.json").write_text("{}")
        output = tmp_path / "output"
        first = output / "demo" / "run-001"
        path = first / "ckpt" / "best_model_combined.pt"
        assert find_checkpoint(str(path), output_folder=output) == path
        assert find_checkpoint(str(first), output_folder=output) == path
        assert find_checkpoint(str(first / "ckpt"), output_folder=output) == path
        assert find_checkpoint("best_model_combined.pt", folder=first) == path
        newest = find_checkpoint("best_model_combined.pt", output_folder=output)
        assert newest == output / "demo" / "run-002" / "ckpt" / "best_model_combined.pt"
        with pytest.raises(FileNotFoundError, match="no run under"):
            find_checkpoint("best_model_combined.pt", output_folder=tmp_path / "empty")
        with pytest.raises(FileNotFoundError, match=r"other\.pt"):
            find_checkpoint("other.pt", folder=first)
        with pytest.raises(FileNotFoundError, match=r"demo.*best_model_combined\.pt"):
            find_checkpoint(str(output / "demo"))


class TestWriting:
    def test_a_configuration_as_it_is_and_what_the_network_knows(self, tmp_path):
        config = Settings(small_config())
        config.TASKS = ("a", "b")
        model = build_model(config.to_dict(), 3, 2)
        path = tmp_path / "best_model_combined.pt"
        ckpt_save(model_t=model, optimizer_t=None, epoch_t=1, loss_t=0.5, filename=str(path), config=config)
        loaded = load_checkpoint(path)
        assert (loaded["feature_width"], loaded["tasks"]) == (3, ["a", "b"])
        assert loaded["config"]["OUTPUT_DIMENSIONALITY"] == 4

    def test_tasks_that_nobody_names_are_asked_for(self, tmp_path):
        model = build_model(small_config(), 3, 2)
        with pytest.raises(ValueError, match="expected `tasks`"):
            ckpt_save(model, None, 1, 0.5, tmp_path / "x.pt", small_config())
        assert not list(tmp_path.iterdir())


    @pytest.mark.parametrize("number", [torch.tensor(2), np.int64(2), np.array(2), torch.tensor([2]), np.float32(2.5)])
    def test_scalars_of_torch_and_numpy_become_plain_numbers(self, tmp_path, number):
        path = tmp_path / "x.pt"
        epoch = 3 if isinstance(number, np.float32) else number
        model = build_model(small_config(), 3, 2)
        ckpt_save(model, None, epoch, number, path, small_config(), tasks=["a", "b"])
        loaded = load_checkpoint(path)
        assert (loaded["epoch"], loaded["loss"]) == (int(epoch), float(number))
        assert type(loaded["epoch"]) is int

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"epoch_t": np.float32(2.5)}, "epoch is 2.5; expected a whole number"), ({"epoch_t": -1}, "epoch is -1"),
            ({"loss_t": torch.ones(2)}, "loss is tensor"), ({"loss_t": None}, "loss is None"),
            ({"loss_t": "low"}, "loss is 'low'; expected a number"),
            *(({"mine": value}, "mine is ") for value in (
                np.ones(2), np.float64(1), {1, 2}, torch.Size([1]), torch.float32, Path("a"), b"x", 1j, Counter(a=1),
                torch.nn.Parameter(torch.ones(1)), torch.ones(1, dtype=torch.complex64), torch.eye(2).to_sparse(),
                torch.ones(1, dtype=torch.float8_e4m3fn), torch.ones(1, device="meta"), print,
            )),
            ({"mine": {"deep": [1, {"er": np.ones(2)}]}}, r"mine\.deep\[1\]\.er is array"),
            ({"mine": {(1, 2): 3}}, r"mine has the key \(1, 2\)"), ({"mine": {True: 3}}, "mine has the key True"),
            ({"config": {**small_config(), "SEED": np.int64(1)}}, r"config\.SEED is"),
        ],
    )  # fmt: skip
    def test_what_could_not_be_read_back_is_refused_at_once(self, tmp_path, change, named):
        path = tmp_path / "x.pt"
        model = build_model(small_config(), 3, 2)
        given = {"epoch_t": 0, "loss_t": 0.5, "config": small_config(), "tasks": ["a", "b"], **change}
        with pytest.raises(CheckpointError, match=rf"x\.pt: {named}"):
            ckpt_save(model_t=model, optimizer_t=None, filename=path, **given)
        assert not list(tmp_path.iterdir())

    def test_whatever_is_written_can_be_read(self, tmp_path):
        """Odd but plain entries."""
        path = tmp_path / "x.pt"
        extra = {
            "tuples": (1, (2.5, None)), "text": "é\n", "numbers": [2**70, float("nan"), True], 7: {"a": {3: "x"}},
            "tensors": [torch.ones(2, requires_grad=True), torch.zeros(1).expand(9), torch.eye(3).bool()],
        }  # fmt: skip
        ckpt_save(build_model(small_config(), 3, 2), None, 0, math.inf, path, small_config(), tasks=["a"], mine=extra)
        loaded = load_checkpoint(path)["mine"]
        assert (loaded["tuples"], loaded["text"], loaded[7]) == (extra["tuples"], extra["text"], extra[7])
        assert str(loaded["numbers"]) == str(extra["numbers"])
        for one, other in zip(loaded["tensors"], extra["tensors"], strict=True):
            assert torch.equal(one, other)


def test_a_configuration_from_before_a_setting_means_what_was_done_then(tmp_path):
    """It was written before the skip projection, GTCC's balance and responsibilities, trust and normalization."""
    config = small_config()
    del config["ARCHITECTURE"]["skip"], config["ARCHITECTURE"]["skip_means"]
    for key in ("softmax_temp", "anchors_per_video", "normalization", "reciprocal", "soft_neighbours"):
        del config["GTCC_PARAMS"][key]
    del config["TCC_ORIGINAL_PARAMS"]["softmax_temp"]
    for group in ("TCC_ORIGINAL_PARAMS", "LAV_PARAMS", "VAVA_PARAMS"):
        del config[group]["normalization"]
    del config["LAV_PARAMS"]["trust"]
    model = build_model({**config, "ARCHITECTURE": {**config["ARCHITECTURE"], "skip": False}}, 3, 2)
    path = tmp_path / "old.pt"
    ckpt_save(model, None, 3, 0.5, str(path), config=config, feature_width=3, tasks=["a", "b"], standardization=None)
    checkpoint = load_checkpoint(path)
    assert checkpoint["config"]["ARCHITECTURE"]["skip"] is False
    assert checkpoint["config"]["ARCHITECTURE"]["skip_means"] == ()
    before = {
        "softmax_temp": 0.1, "anchors_per_video": 20, "normalization": "none", "reciprocal": "chance",
        "soft_neighbours": "components",
    }  # fmt: skip
    assert before.items() <= checkpoint["config"]["GTCC_PARAMS"].items()
    for group in ("TCC_ORIGINAL_PARAMS", "LAV_PARAMS", "VAVA_PARAMS"):
        assert checkpoint["config"][group]["normalization"] == "none"
    assert checkpoint["config"]["TCC_ORIGINAL_PARAMS"]["softmax_temp"] == 0.1
    assert checkpoint["config"]["LAV_PARAMS"]["trust"] == 0
    video = [torch.randn(9, 3)]
    loaded = load_model(checkpoint)
    assert loaded.skip is None
    assert torch.equal(loaded(video)["outputs"][0], model.eval()(video)["outputs"][0])


class TestReading:
    @pytest.mark.parametrize("kind", ["of this project", "of the original code"])
    def test_the_file_is_opened_once(self, run, write, monkeypatch, kind):  # noqa: F811
        path = run / "ckpt" / "best_model_combined.pt"
        if kind == "of this project":
            save(path)
        else:
            path = write(original_content())
        opened = []

        def counting_open(file, *arguments, _open=open, **options):
            opened.append(str(file))
            return _open(file, *arguments, **options)

        for module in (io, builtins):
            monkeypatch.setattr(module, "open", counting_open)
        load_checkpoint(path)
        assert opened.count(str(path)) == 1

    def test_model_comes_back_with_its_weights(self, run):
        saved = save(run / "ckpt" / "best_model_combined.pt", epoch=7)
        model, checkpoint, path = get_ckpt_for_eval(run, "combined")
        assert checkpoint["epoch"] == 7
        assert checkpoint["loss"] == 0.5
        assert checkpoint["config"]["PROGRESS_LOSS"]["lambda_fixed"] == 0.1
        assert path.name == "best_model_combined.pt"
        assert not model.training
        sequences = [torch.randn(9, 3), torch.randn(5, 3)]
        for one, other in zip(saved.eval()(sequences)["outputs"], model(sequences)["outputs"], strict=True):
            assert torch.equal(one, other)

    def test_crosstask_and_basic_ask_for_their_own(self, run):
        save(run / "ckpt" / "best_model_combined.pt", crosstask=True)
        save(run / "ckpt" / "best_model_alignment.pt", crosstask=False)
        assert get_ckpt_MCN(run, checkpoint_type="combined").checkpoint["config"]["ARCHITECTURE"]["MCN"]
        assert not get_ckpt_basic(run, checkpoint_type="alignment").checkpoint["config"]["ARCHITECTURE"][
            "MCN"
        ]
        with pytest.raises(CheckpointError, match="crosstask"):
            get_ckpt_MCN(run, checkpoint_type="alignment")
        with pytest.raises(CheckpointError, match="crosstask"):
            get_ckpt_basic(run, checkpoint_type="combined")

    @pytest.mark.parametrize(
        "change",
        [
            lambda weights: weights.pop(next(iter(weights))),
            lambda weights: weights.update(surplus=torch.zeros(2)),
            lambda weights: weights.update({next(iter(weights)): torch.zeros(1)}),
        ],
        ids=["missing", "surplus", "other shape"],
    )
    def test_weights_that_do_not_fit_are_refused(self, run, change):
        path = run / "ckpt" / "best_model_combined.pt"
        save(path)
        checkpoint = load_checkpoint(path)
        change(checkpoint["model_state_dict"])
        with pytest.raises(CheckpointError, match="do not fit"):
            load_model(checkpoint)

    def test_code_in_a_checkpoint_is_not_run(self, run):
        trap = run / "sprung"

        class Trap:
            def __reduce__(self):
                return (open, (str(trap), "w"))

        path = run / "ckpt" / "best_model_combined.pt"
        torch.save({"config": Trap()}, path)
        with pytest.raises(CheckpointError, match=r"best_model_combined\.pt"):
            load_checkpoint(path)
        path.write_bytes(pickle.dumps(Trap()))
        with pytest.raises(CheckpointError, match=r"best_model_combined\.pt"):
            load_checkpoint(path)
        assert not trap.exists()

    def test_truncated_foreign_and_absent_files(self, run):
        path = run / "ckpt" / "best_model_combined.pt"
        save(path)
        whole = path.read_bytes()
        for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
            path.write_bytes(content)
            with pytest.raises(CheckpointError, match=r"best_model_combined\.pt"):
                load_checkpoint(path)
        torch.save({"weights": torch.zeros(2)}, path)
        with pytest.raises(CheckpointError, match="lacks config"):
            load_checkpoint(path)
        with pytest.raises(FileNotFoundError):
            load_checkpoint(run / "absent.pt")


def test_a_failed_write_keeps_the_old_checkpoint(run, monkeypatch):
    path = run / "ckpt" / "last.pt"
    save(path, epoch=1)

    def fail(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        save(path, epoch=2)
    monkeypatch.undo()
    assert load_checkpoint(path)["epoch"] == 1
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("settings", "before"),
    [
        (("SEGMENT_ENDS", "INTEGER_LABELS"), {"SEGMENT_ENDS": "majority", "INTEGER_LABELS": "take"}),
        (("GTCC_PARAMS.soft_neighbours",), {}),
        ((), {"SEGMENT_ENDS": "auto", "INTEGER_LABELS": "refuse", "UNLABELLED_TAIL": "refuse"}),
    ],
)
def test_settings_that_a_configuration_lacks_have_the_meaning_of_its_time(tmp_path, settings, before):
    path = tmp_path / "best_model_combined.pt"
    save(path)
    content = torch.load(path, weights_only=True)
    for key in settings:
        *groups, name = key.split(".")
        group = content["config"]
        for part in groups:
            group = group[part]
        del group[name]
    torch.save(content, path)
    config = load_checkpoint(path)["config"]
    assert {key: config[key] for key in before} == before
    expected = "components" if "GTCC_PARAMS.soft_neighbours" in settings else "responsibilities"
    assert config["GTCC_PARAMS"]["soft_neighbours"] == expected
