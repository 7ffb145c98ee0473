"""Damaged and edited checkpoints: one loads and everything that must hold does, or there is one clear error.

python -m tests.fuzz_readers --cases 20000
"""

import copy
import csv
import io
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import multitask_train
from configs.entry_config import read_command_line
from models.alignment_training_loop import AlignmentTraining
from models.build_model import build_model
from tests.conftest import training_arguments
from tests.utils.data.mutation import EXAMPLES, fuzzing, mutated, note, odd_plain_values
from tests.utils.test_ckpt_save import save
from utils.ckpt_save import load_checkpoint, load_model
from utils.command import run_command
from utils.data.dataset import load_data
from utils.errors import BAD_INPUT, CheckpointError, ConfigError, DataError
from utils.prediction.predictor import ProgressPredictor
from utils.training.processes import Processes
from utils.training.run_folder import open_run

REFUSALS = (CheckpointError, ConfigError, DataError, FileNotFoundError)


def check_refusal(refusal):
    note("refused")
    text = str(refusal)
    assert text
    assert len(text) < 3000
    text.encode(errors="backslashreplace")


def check(path):
    """Loads, builds, predicts; returns the content, or None where the file was refused."""
    try:
        checkpoint = load_checkpoint(path)
        model = load_model(checkpoint)
        predictor = ProgressPredictor.from_checkpoint(path)
        progress = predictor.predict(np.ones((5, checkpoint["feature_width"]), np.float32))
    except REFUSALS as refusal:
        check_refusal(refusal)
        return None
    note("loaded")
    assert all(torch.isfinite(weight).all() for weight in model.state_dict().values())
    assert progress.shape == (5,)
    assert ((progress >= 0) & (progress <= 1)).all()
    assert checkpoint["tasks"]
    assert set(checkpoint["progress_normalizers"]) == set(checkpoint["tasks"])
    return checkpoint


def same(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint of this project with everything that a finished training writes into one."""
    path = tmp_path_factory.mktemp("whole") / "best_model_combined.pt"
    save(path)
    standardization = {"mean": torch.zeros(3), "std": torch.ones(3)}
    content = {
        **load_checkpoint(path), "standardization": standardization, "progress_normalizers": {"a": 1.0, "b": 2.0}
    }
    torch.save(content, path)
    return path


@fuzzing
@given(st.data())
def test_changed_bytes_load_as_they_were_or_not_at_all(tmp_path_factory, whole, data):
    path = tmp_path_factory.getbasetemp() / "bytes.pt"
    path.write_bytes(data.draw(mutated(whole.read_bytes(), head=data.draw(st.sampled_from([0, 2000])))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile: duplicate names
        checkpoint = check(path)
    if checkpoint is not None:
        assert same(checkpoint, load_checkpoint(whole)), "a changed number came through"


@fuzzing
@given(st.data())
def test_changed_entries_of_the_archive(tmp_path_factory, whole, data):
    """Checksums are computed again, as when someone unpacks, edits and packs the archive."""
    path = tmp_path_factory.getbasetemp() / "entries.pt"
    with zipfile.ZipFile(whole) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    position = data.draw(st.integers(0, len(entries) - 1))
    if data.draw(st.booleans()):
        position = next(index for index, (name, _) in enumerate(entries) if name.endswith("data.pkl"))
    name, content = entries[position]
    kinds = ["mutate"] * 3 + ["drop", "double", "rename", "empty", "cut", "swap"]
    kind = data.draw(st.sampled_from(kinds))
    compression = data.draw(st.sampled_from([zipfile.ZIP_STORED] * 5 + [zipfile.ZIP_DEFLATED]))
    if kind == "mutate":
        entries[position] = (name, data.draw(mutated(content)))
    elif kind == "drop":
        del entries[position]
    elif kind == "double":
        entries.append(entries[position])
    elif kind == "rename":
        entries[position] = (name + "x", content)
    elif kind == "swap":
        other = data.draw(st.integers(0, len(entries) - 1))
        entries[position], entries[other] = (name, entries[other][1]), (entries[other][0], content)
    else:
        entries[position] = (name, content[: len(content) // 2 if kind == "cut" else 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile: duplicate names
        with zipfile.ZipFile(path, "w", compression) as archive:
            for entry, content in entries:
                archive.writestr(entry, content)
        check(path)


def places(content, found=None):
    """Every (container, key) of nested dicts and lists."""
    found = [] if found is None else found
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        found.append((content, key))
        places(value, found)
    return found


def odd_tensor(draw, tensor):
    numbers = tensor.detach().clone()
    kind = draw(st.sampled_from([
        "nan", "inf", "negative", "huge", "integer", "longer", "scalar", "double", "half", "complex", "sparse",
        "expanded", "parameter", "empty", "transposed",
    ]))  # fmt: skip
    if kind in ("nan", "inf", "negative", "huge") and numbers.numel() and numbers.is_floating_point():
        numbers.view(-1)[draw(st.integers(0, numbers.numel() - 1))] = {
            "nan": float("nan"), "inf": float("inf"), "negative": -1.0, "huge": 3e38
        }[kind]
        return numbers
    return {
        "integer": lambda: numbers.abs().to(torch.int64), "longer": lambda: torch.cat([numbers.flatten()] * 2),
        "scalar": lambda: torch.tensor(1.0), "double": lambda: numbers.double(), "half": lambda: numbers.half(),
        "complex": lambda: numbers.to(torch.complex64), "sparse": lambda: numbers.to_sparse(),
        "expanded": lambda: torch.zeros(1).expand(1 << 40),
        "parameter": lambda: torch.nn.Parameter(numbers.float()), "empty": lambda: torch.zeros(0),
        "transposed": lambda: numbers.t() if numbers.dim() == 2 else numbers,
    }.get(kind, lambda: numbers)()  # fmt: skip


def edited(draw, content):
    """The content with one to three entries edited, as a person or a script would."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        every = places(content)
        # The few entries at the top as often as the many deep ones.
        top = [(container, key) for container, key in every if container is content]
        choice = top if draw(st.booleans()) and top else every
        container, key = choice[draw(st.integers(0, len(choice) - 1))]
        kind = draw(st.sampled_from(["replace", "replace", "delete", "rename", "add", "swap", "tensor"]))
        value = container[key]
        if kind == "delete":
            del container[key]
        elif kind == "rename" and isinstance(container, dict):
            container[f"{key}x" if draw(st.booleans()) else draw(st.integers(-3, 3))] = container.pop(key)
        elif kind == "add" and isinstance(container, dict):
            container["surplus"] = draw(odd_plain_values)
        elif kind == "swap":
            other, other_key = every[draw(st.integers(0, len(every) - 1))]
            container[key], other[other_key] = copy.copy(other[other_key]), copy.copy(value)
        elif isinstance(value, torch.Tensor):
            container[key] = odd_tensor(draw, value) if draw(st.integers(0, 4)) else draw(odd_plain_values)
        else:
            container[key] = draw(odd_plain_values)
        if not content:
            break
    return content


def saved(content, path):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getvalue())


@fuzzing
@given(st.data())
def test_edited_content(tmp_path_factory, whole, data):
    path = tmp_path_factory.getbasetemp() / "edited.pt"
    saved(edited(data.draw, torch.load(whole, weights_only=True)), path)
    checkpoint = check(path)
    if checkpoint is not None:
        assert checkpoint["config"].keys() == load_checkpoint(whole)["config"].keys()
        build_model(checkpoint["config"], checkpoint["feature_width"], len(checkpoint["tasks"]))


class Run:
    """A finished training of two epochs, one of them to be resumed from edited files over and over."""

    def __init__(self, data_root, output):
        self.data_root, self.output = data_root, output
        self.arguments = [*training_arguments(data_root, output, "--config.NUM_EPOCHS=2"), "--resume", "auto"]
        assert multitask_train.main(["train", *self.arguments]) == 0
        self.folder = output / "demo" / "run-001"
        self.config = read_command_line(["train", *self.arguments]).config
        self.data = load_data(self.config.to_dict())
        self.content = torch.load(self.folder / "ckpt" / "last.pt", weights_only=True)

    def training(self):
        model = build_model(self.config.to_dict(), self.data.feature_width, len(self.data.train.tasks))
        return AlignmentTraining(model, self.data, self.config, self.folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def run(data_root, tmp_path_factory):
    return Run(data_root, tmp_path_factory.mktemp("resumed"))


@fuzzing
@given(st.data())
def test_edited_last_checkpoints_resume_soundly_or_are_refused(run, data):
    saved(edited(data.draw, run.content), run.folder / "ckpt" / "last.pt")
    training = run.training()
    try:
        with open_run(str(run.folder), run.config, Processes()) as (_, checkpoint):
            training.resume(checkpoint)
    except REFUSALS as refusal:
        check_refusal(refusal)
        return
    note("loaded")
    state = training.state
    assert state.epoch == len(state.history) == 2
    assert [row["epoch"] for row in state.history] == [0, 1]
    assert 0 <= state.batch <= len(training.sampler)
    assert all(loss > -np.inf for loss in state.best.values())
    assert all(torch.isfinite(weight).all() for weight in training.model.state_dict().values())
    torch.manual_seed(0)
    np.random.random(700)  # noqa: NPY002 - beyond one block of the generator's numbers
    training.checkpoints.write_last(state)
    load_checkpoint(run.folder / "ckpt" / "last.pt")


FILES = (
    "config.json", "metrics.csv", "loss_curves.png", "ckpt/last.pt", "ckpt/best_model_combined.pt",
    "ckpt/best_model_alignment.pt", ".lock",
)  # fmt: skip


def damage(path: Path, kind: str, replacement: bytes) -> None:
    """Does to a file what happens to files."""
    content = path.read_bytes() if path.is_file() else b""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "link to nothing":
        path.symlink_to("nowhere")
    elif kind == "changed":
        path.write_bytes(replacement)
    elif kind != "deleted":
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "text": b"\xff\x00epoch,x\n1,"}[kind])


@settings(fuzzing, max_examples=max(10, EXAMPLES // 10))  # each trains an epoch
@given(st.data())
def test_damaged_run_folders_under_resume_auto(tmp_path_factory, run, data):
    """The whole command, with one more epoch to train where it can."""
    output = tmp_path_factory.getbasetemp() / "damaged"
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(run.output, output)
    folder = output / "demo" / "run-001"
    saved(run.content, folder / "ckpt" / "last.pt")
    name = data.draw(st.sampled_from(FILES))
    kind = data.draw(st.sampled_from(["empty", "half", "text", "folder", "link to nothing", "deleted", "changed"]))
    content = (folder / name).read_bytes()
    damage(folder / name, kind, data.draw(mutated(content)) if kind == "changed" and content else b"x")
    arguments = [*training_arguments(run.data_root, output, "--config.NUM_EPOCHS=3"), "--resume", "auto"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
        code = run_command(multitask_train.main, ["train", *arguments])
    note("loaded" if code == 0 else "refused")
    if code == 0:
        newest = max((output / "demo").glob("run-*"))
        assert (newest != folder) == (name == "ckpt/last.pt" and kind in ("folder", "link to nothing", "deleted"))
        history = load_checkpoint(newest / "ckpt" / "last.pt")["training_state"]["history"]
        assert [row["epoch"] for row in history] == [0, 1, 2]
        with open(newest / "metrics.csv", newline="") as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]
        for kind in ("combined", "alignment"):
            load_model(load_checkpoint(newest / "ckpt" / f"best_model_{kind}.pt"))
    else:
        assert code in (1, BAD_INPUT)
        assert name.endswith(".pt") or kind == "folder"
