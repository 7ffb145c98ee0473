"""A disk that fills up stops the run with one clear line; what was saved before stays good."""

import errno
import io
import os
import subprocess
import sys

import pytest

import multitask_train
from models.alignment_training_loop import AlignmentTraining
from tests.conftest import ROOT, training_arguments
from utils.ckpt_save import load_checkpoint, load_model
from utils.command import run_command as run_in_this_process
from utils.files import atomic_write


class FillingDisk:
    """Opens files that share a number of bytes, after which every write fails as on a full disk."""

    def __init__(self, bytes_left: int):
        self.bytes_left = bytes_left

    def open(self, path, mode):
        disk = self

        class File(io.FileIO):
            def write(self, content):
                size = memoryview(content).nbytes
                if size > disk.bytes_left:
                    super().write(memoryview(content)[: disk.bytes_left])
                    disk.bytes_left = 0
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                disk.bytes_left -= size
                return super().write(content)

        return File(path, mode)


def files_under(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# The first checkpoint fails; another; one in the second epoch.
@pytest.mark.parametrize("checkpoints", [0.5, 2.5, 4.5])
def test_a_write_that_fails_in_mid_checkpoint(data_root, tmp_path, monkeypatch, caplog, checkpoints):
    assert multitask_train.main(["train", *training_arguments(data_root, tmp_path / "whole")]) == 0
    size = (tmp_path / "whole" / "demo" / "run-001" / "ckpt" / "last.pt").stat().st_size
    disk = FillingDisk(int(checkpoints * size))
    monkeypatch.setattr("utils.checkpoints.files.open", disk.open, raising=False)
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    arguments = ["train", *training_arguments(data_root, tmp_path / "full")]
    assert run_in_this_process(multitask_train.main, arguments) == 1
    run = tmp_path / "full" / "demo" / "run-001"
    assert "No space left on device" in caplog.messages[-1]
    assert f"cannot write {run / 'ckpt'}" in caplog.messages[-1]

    left = files_under(run)
    assert left <= {
        ".lock", "config.json", "metrics.csv", "loss_curves.png", "ckpt/last.pt", "ckpt/epoch-2.pt",
        "ckpt/best_model_combined.pt", "ckpt/best_model_alignment.pt",
    }, "temporary files are left"
    for name in left:
        if name.endswith(".pt"):
            load_model(load_checkpoint(run / name))
    assert ("ckpt/last.pt" in left) == (checkpoints > 3)

    disk.bytes_left = 10**9
    assert multitask_train.main([*arguments, "--resume", "auto"]) == 0


def test_a_picture_that_cannot_be_written_does_not_hide_what_broke_the_run(data_root, tmp_path, monkeypatch, caplog):
    """On a full disk the curves fail after the checkpoint did; the checkpoint's error is the one that counts."""

    disk = FillingDisk(10**9)
    original = AlignmentTraining._finish_epoch

    def full(*arguments, **settings):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def filling(self, *arguments):
        original(self, *arguments)
        disk.bytes_left = 0

    monkeypatch.setattr("utils.checkpoints.files.open", disk.open, raising=False)
    monkeypatch.setattr(AlignmentTraining, "_finish_epoch", filling)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    arguments = ["train", *training_arguments(data_root, tmp_path)]
    assert run_in_this_process(multitask_train.main, arguments) == 1
    *_, curves, last = caplog.messages
    assert "loss_curves.png: No space left on device" in curves
    assert "cannot write" in last
    assert ".pt: No space left on device; make room, then run it again, a training with --resume" in last


def test_a_library_that_names_no_reason_is_asked_whether_the_disk_is_full(tmp_path, monkeypatch):
    def write():
        with atomic_write(tmp_path / "curves.png"):
            raise OSError("encoder error -2 when writing image file")

    with pytest.raises(OSError, match=r"cannot write .*curves\.png: encoder error") as raised:
        write()
    assert raised.value.errno == errno.EIO
    monkeypatch.setattr("utils.files.open", FillingDisk(100).open, raising=False)
    with pytest.raises(OSError, match=r"cannot write .*curves\.png: No space left on device") as raised:
        write()
    assert raised.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_small_disk(data_root, tmp_path):
    """The command itself on a file system of 250 kB; only an administrator may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=250k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no file system can be mounted here")
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "multitask_train.py"), *training_arguments(data_root, disk)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=120, check=False,
        )
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        left = files_under(disk)
        assert not [name for name in left if name.rpartition("/")[2].startswith(".") and not name.endswith(".lock")]
        assert [load_checkpoint(disk / name) for name in left if name.endswith(".pt")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
