"""Mistakes that users make, as actions: what a command says of each, and how it ends. `docs/mistakes.md` lists them."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import multitask_train
import predict
from tests.conftest import ROOT
from tests.prediction_runs import WIDTH, recording, small_config, write_checkpoint
from tests.utils.data.builders import entry, write_annotation, write_features
from utils.command import run_command

LISTS = ["background", "cut", "mix"], [0, 10, 25], [10, 25, 39]
FRAMES = 40


class Bench:
    """A folder in which mistakes are made.

    Args:
        folder: an empty folder, which is also the current one.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.said = ""
        self.checkpoint = write_checkpoint(folder / "run", small_config())

    def run(self, main: Callable, arguments: list[str], lines: str | None = None) -> int:
        """Runs a command here; what it logs and prints is in `said`."""
        log = io.StringIO()
        handler = logging.StreamHandler(log)
        logging.getLogger().addHandler(handler)
        before = sys.stdin
        sys.stdin = io.StringIO(lines) if lines is not None else before
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                code = run_command(main, arguments, "--output" if main is predict.main else "OUTPUT_FOLDER")
        finally:
            logging.getLogger().removeHandler(handler)
            sys.stdin = before
        self.said = log.getvalue() + printed.getvalue()
        return code

    def predict(self, *arguments: Any, lines: str | None = None) -> int:
        options = [] if "--checkpoint" in arguments else ["--checkpoint", self.checkpoint]
        return self.run(predict.main, ["predict.py", *map(str, [*options, *arguments])], lines)

    def predict_array(self, array: np.ndarray, name: str = "recording.npy") -> int:
        np.save(self.folder / name, array, allow_pickle=True)
        return self.predict(self.folder / name)

    def data(
        self, lists: Any = LISTS, edit: Callable | None = None, videos: int = 8, frames: Any = FRAMES, width: int = 6
    ) -> Path:
        """A data set of one task; `lists` or `frames` may be functions of a recording's number."""
        folder = self.folder / "data" / "mine"
        listed = lists if callable(lists) else lambda number: lists
        write_annotation(folder, {"tea": entry(*((f"v{number}", *listed(number)) for number in range(videos)))})
        for number in range(videos):
            length = frames(number) if callable(frames) else frames
            array = np.random.default_rng(number).normal(size=(length, width)).astype(np.float32)
            write_features(folder, f"v{number}", array if edit is None else edit(number, array))
        return folder

    def train(self, *settings: str, command: str = "--check") -> int:
        arguments = [
            "--config", str(ROOT / "configs" / "demo.py"), f"--config.DATASET_PATH={self.folder / 'data'}",
            "--config.DATASET_NAME=mine", "--config.FIT_PROGRESS=False", *settings, *([command] if command else []),
        ]  # fmt: skip
        return self.run(multitask_train.main, ["multitask_train.py", *arguments])

    def check(self, *settings: str, **data: Any) -> int:
        self.data(**data)
        return self.train(*settings)

    def json(self, text: str | bytes) -> int:
        """--check of an annotation file with this content."""
        path = self.data() / "mine.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.train()

    def edited(self, edit: Callable[[dict], Any]) -> int:
        """--check after an edit of the annotation."""
        path = self.data() / "mine.json"
        content = json.loads(path.read_text())
        edit(content["tea"])
        path.write_text(json.dumps(content))
        return self.train()

    def good(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, recording(1, 30).numpy())
        return path


def _folder_of_mixed_files(bench: Bench) -> int:
    bench.good("in/good.npy")
    np.save(bench.folder / "in" / "nan.npy", np.full((20, WIDTH), np.nan))
    np.save(bench.folder / "in" / "wide.npy", np.zeros((20, WIDTH + 1)))
    return bench.predict(bench.folder / "in")


def _folder_of_another_system(bench: Bench) -> int:
    bench.good("in/a.npy")
    (bench.folder / "in" / "._a.npy").write_bytes(b"Mac OS X")
    return bench.predict(bench.folder / "in")


def _folder_in_folder(bench: Bench) -> int:
    bench.good("in/P1/a.npy")
    return bench.predict(bench.folder / "in")


def _same_name(bench: Bench) -> int:
    return bench.predict(bench.good("a/x.npy"), bench.good("b/x.npy"))


def _output_is_a_file(bench: Bench) -> int:
    (bench.folder / "out").touch()
    return bench.predict(bench.good("a.npy"), "--output", bench.folder / "out")


def _training_output_is_a_file(bench: Bench) -> int:
    (bench.folder / "out").touch()
    bench.data()
    return bench.train(f"--config.OUTPUT_FOLDER={bench.folder / 'out'}", "--config.NUM_EPOCHS=1", command="")


def _archive(bench: Bench) -> int:
    np.savez(bench.folder / "a.npz", recording(1, 30).numpy())
    return bench.predict(bench.folder / "a.npz")


def _archive_of_several(bench: Bench) -> int:
    np.savez(bench.folder / "a.npz", pose=recording(1, 30).numpy(), hands=recording(2, 30).numpy())
    return bench.predict(bench.folder / "a.npz")


def _tensor(bench: Bench) -> int:
    torch.save(recording(1, 30), bench.folder / "a.pt")
    return bench.predict(bench.folder / "a.pt")


def _text(bench: Bench) -> int:
    np.savetxt(bench.folder / "a.csv", recording(1, 30).numpy(), delimiter=",", header="a,b,c,d,e", comments="")
    return bench.predict(bench.folder / "a.csv")


def _truncated(bench: Bench) -> int:
    path = bench.good("a.npy")
    path.write_bytes(path.read_bytes()[:-7])
    return bench.predict(path)


def _no_features(bench: Bench) -> int:
    folder = bench.data()
    (folder / "features").rename(folder / "elsewhere")
    return bench.train()


def _empty_features(bench: Bench) -> int:
    folder = bench.data()
    for path in (folder / "features").iterdir():
        path.unlink()
    return bench.train()


def _features_as_archives(bench: Bench) -> int:
    folder = bench.data()
    for path in (folder / "features").iterdir():
        np.savez(path.with_suffix(".npz"), np.load(path))
        path.unlink()
    return bench.train()


def _features_in_another_format(bench: Bench) -> int:
    folder = bench.data()
    for path in (folder / "features").iterdir():
        path.rename(path.with_suffix(".mat"))
    return bench.train()


def _no_validation(bench: Bench) -> int:
    folder = bench.data()
    (folder / "split.json").write_text(json.dumps({"train": [f"v{n}" for n in range(8)], "val": [], "test": []}))
    return bench.train()


def _lists(*times: Any) -> dict[str, Any]:
    return {"lists": times}


def _setting(text: str) -> Callable[[Bench], int]:
    return lambda bench: bench.check(text)


def _on_stdin(lines: str, *options: str) -> Callable[[Bench], int]:
    return lambda bench: bench.predict("-", *options, lines=lines)


ROW = " ".join(["0.5"] * WIDTH) + "\n"


def _change(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Bench], int]:
    return lambda bench: bench.predict_array(change(recording(1, 30).numpy()))


def _train_large(scale: float) -> Callable[[Bench], int]:
    def run(bench: Bench) -> int:
        bench.data(edit=lambda number, array: array * np.float32(scale))
        return bench.train(
            "--config.LOSS_TYPE.GTCC=False", "--config.LOSS_TYPE.tcc=True", "--config.NUM_EPOCHS=1",
            "--config.TCC_ORIGINAL_PARAMS.normalization=none", "--config.MAX_BAD_STEPS=1000",
            f"--config.OUTPUT_FOLDER={bench.folder / 'output'}", command="",
        )  # fmt: skip

    return run


# By the mistake, as the page writes it.
MISTAKES: dict[str, Callable[[Bench], int]] = {
    # -- prediction: files
    "a path that isn't there": lambda bench: bench.predict(bench.folder / "nowhere.npy"),
    "a checkpoint that isn't there": lambda bench: bench.predict(bench.good("a.npy"), "--checkpoint", "nowhere.pt"),
    "one axis": _change(lambda x: x[0]),
    "three axes": _change(lambda x: x[None]),
    "another width": _change(lambda x: x[:, :3]),
    "no frame": _change(lambda x: x[:0]),
    "half or double precision, big endian, Fortran order": _change(lambda x: np.asfortranarray(x.astype(">f8"))),
    "features scaled to 0 to 255": _change(lambda x: np.clip(x * 50 + 128, 0, 255).astype(np.uint8)),
    "features times 1e6": _change(lambda x: x * np.float32(1e6)),
    "constant features": _change(lambda x: np.ones_like(x)),
    "features of 3e38": _change(lambda x: np.where(x > 0, 3e38, -3e38)),
    "an archive, .npz": _archive,
    "an archive of several arrays": _archive_of_several,
    "a tensor, .pt": _tensor,
    "a table, .csv": _text,
    "transposed": _change(lambda x: x.T),
    "one frame": _change(lambda x: x[:1]),
    "NaN in a file": _change(lambda x: np.where(np.arange(30)[:, None] == 3, np.nan, x)),
    "an array of objects": lambda bench: bench.predict_array(np.array([{}, []], dtype=object)),
    "complex numbers": _change(lambda x: x.astype(complex)),
    "a file cut short": _truncated,
    "an empty folder": lambda bench: ((bench.folder / "in").mkdir(), bench.predict(bench.folder / "in"))[1],
    "a folder of folders": _folder_in_folder,
    "a folder with two bad files": _folder_of_mixed_files,
    "a folder from a Mac, with ._ files": _folder_of_another_system,
    "the same name in two folders": _same_name,
    "--output is a file": _output_is_a_file,
    "a task that the network wasn't trained on": lambda bench: bench.predict(bench.good("a.npy"), "--task", "cok"),
    # -- prediction: standard input
    "a header line on standard input": _on_stdin("a b c d e\n" + ROW),
    "an index column": _on_stdin("0 " + ROW),
    "nothing on standard input": _on_stdin(""),
    "a byte-order mark": _on_stdin("\ufeff" + ROW * 3),
    "NaN on standard input": _on_stdin(ROW + ROW.replace("0.5", "nan", 1) + ROW),
    "the same, with --missing hold": _on_stdin(ROW + ROW.replace("0.5", "nan", 1) + ROW, "--missing", "hold"),
    # -- the annotation file
    "JSON with a trailing comma": lambda bench: bench.json('{"tea": {},}'),
    "JSON cut off": lambda bench: bench.json('{"tea": {"handles": ["v0"'),
    "a list instead of an object": lambda bench: bench.json("[1, 2]"),
    "an empty file": lambda bench: bench.json(b""),
    "an end before its start": lambda bench: bench.check(**_lists(["cut", "mix"], [0, 20], [20, 10])),
    "segments out of order": lambda bench: bench.check(**_lists(["cut", "mix"], [20, 0], [39, 20])),
    "a list that is missing": lambda bench: bench.edited(lambda task: task.pop("hdl_end_times")),
    "fewer handles than lists": lambda bench: bench.edited(lambda task: task["handles"].pop()),
    "an empty label": lambda bench: bench.check(**_lists(["cut", None], [0, 20], [20, 39])),
    "times in seconds": lambda bench: bench.check(**_lists(["cut", "mix"], [0.0, 1.8], [1.8, 3.9])),
    "times as text": lambda bench: bench.check(**_lists(["cut", "mix"], ["0", "20"], ["20", "39"])),
    "whole numbers written as 12.0": lambda bench: bench.check(**_lists(["cut", "mix"], [0.0, 20.0], [20.0, 39.0])),
    "a handle that is a path": lambda bench: bench.edited(
        lambda task: task["handles"].__setitem__(0, "features/v0.npy")
    ),
    "a handle with a suffix": lambda bench: bench.edited(lambda task: task["handles"].__setitem__(0, "v0.npy")),
    "labels that are numbers": lambda bench: bench.check(**_lists([0, 1], [0, 20], [20, 39])),
    "background called BG": lambda bench: bench.check(**_lists(["BG", "mix"], [0, 20], [20, 39])),
    "all background": lambda bench: bench.check(**_lists(["background"], [0], [39])),
    "frames counted from 1": lambda bench: bench.check(**_lists(["cut", "mix"], [1, 20], [20, 39])),
    "ends that disagree": lambda bench: bench.check(**_lists(["a", "b", "c", "d"], [0, 11, 21, 30], [10, 20, 30, 39])),
    "two actions at once": lambda bench: bench.check(**_lists(["a", "b"], [0, 10], [25, 39])),
    # -- lengths
    "annotation of twice the rate": lambda bench: bench.check(
        lists=lambda n: (["cut", "mix"], [0, 40 + n], [40 + n, 79 + 8 * n]), frames=lambda n: FRAMES + 4 * n
    ),
    "times in milliseconds": lambda bench: bench.check(
        lists=lambda n: (["cut", "mix"], [0, 2000], [2000, 3999 + 400 * n]), frames=lambda n: FRAMES + 4 * n
    ),
    "frames after the last segment": lambda bench: bench.check(**_lists(["cut", "mix"], [0, 10], [10, 19])),
    "an annotation numbered in a longer recording": lambda bench: bench.check(
        **_lists(["cut", "mix"], [1000, 1020], [1020, 1039])
    ),
    "segments after the end": lambda bench: bench.check(**_lists(["cut", "mix"], [0, 20], [20, 55])),
    # -- features of a data set
    "all files transposed": lambda bench: bench.check(
        edit=lambda n, array: array.T, frames=lambda n: FRAMES + n, videos=50
    ),
    "one file transposed": lambda bench: bench.check(
        edit=lambda n, array: array.T if n == 3 else array, frames=lambda n: FRAMES + (n > 4)
    ),
    "a recording of one frame": lambda bench: bench.check(frames=lambda n: 1 if n == 2 else FRAMES),
    "features as .npz": _features_as_archives,
    "features in a format that isn't read": _features_in_another_format,
    "no folder of features": _no_features,
    "an empty folder of features": _empty_features,
    "features that never change": lambda bench: bench.check(edit=lambda n, array: np.ones_like(array)),
    "one recording times 1000": lambda bench: bench.check(edit=lambda n, array: array * (1000 if n == 3 else 1)),
    "no validation and no test recording": _no_validation,
    # -- settings and training
    "training where the output folder can't be made": _training_output_is_a_file,
    "features so large that no step is taken": _train_large(1e18),
    "an unknown setting": _setting("--config.NUM_EPOCH=3"),
    "a value of another type": _setting("--config.NUM_EPOCHS=many"),
    "BATCH_SIZE=0": _setting("--config.BATCH_SIZE=0"),
    "LOSS_TYPE=GTCC": _setting("--config.LOSS_TYPE=GTCC"),
    "LOSS_TYPE.TCC": _setting("--config.LOSS_TYPE.TCC=True"),
    "CAUSAL=yes": _setting("--config.CAUSAL=yes"),
    "--epochs 3": _setting("--epochs=3"),
    "an unknown task": _setting("--config.TASKS=('coffee',)"),
    "no experiment file": lambda bench: bench.run(multitask_train.main, ["multitask_train.py"]),
}


def make(mistake: str, folder: Path) -> tuple[int, str]:
    """Makes a mistake in an empty folder: the exit code, and what was said."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        bench = Bench(folder)
        code = MISTAKES[mistake](bench)
    finally:
        os.chdir(before)
    return code, bench.said.replace(str(folder), "FOLDER")
