"""Time and memory of a frame that comes alone, over a long recording, by every read-out.

    python -m utils.data.synthetic data/synthetic --videos 32
    python -m benchmarks.streaming data/synthetic
    python -m benchmarks.streaming DATA_ROOT/robot_assembly --readouts auto "mean of all" --frames 100000

Fits each read-out to the training and validation recordings of the data set's first task, then gives its frames, one
after the other, over and over, one frame a call, as a camera would. Prints the time of a whole answer (progress,
interval, step, what remains, out of range) in the first and in the last tenth, and how much the process's memory grew
meanwhile. A read-out answers once a chunk, so that most frames only wait for theirs.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from configs.generic_config import get_generic_config
from utils.command import format_table
from utils.data.dataset import load_data
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.progress.candidates import BY_FRAME, HEADS, MEANS
from utils.prediction.progress.cross_validation import cross_validate
from utils.prediction.progress.model import fit_progress
from utils.prediction.progress_files import recordings_of
from utils.registry import AUTO


def resident_megabytes() -> float:
    """Memory of this process now."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def stream(predictor: ProgressPredictor, recordings: list[np.ndarray], frames: int) -> tuple[np.ndarray, float]:
    """Milliseconds of each frame, (frames,), and megabytes by which memory grew from the first tenth on."""
    source = np.concatenate(recordings)
    running = predictor.stream()
    spent = np.zeros(frames)
    before = float("nan")
    for number in tqdm(range(frames), desc="frames", disable=None, delay=3, leave=False):
        if number == frames // 10:
            before = resident_megabytes()
        frame = source[number % len(source)][None]
        start = time.perf_counter()
        running.update_answers(frame)
        spent[number] = 1000 * (time.perf_counter() - start)
    return spent, resident_megabytes() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("--readouts", nargs="+", default=[AUTO, *BY_FRAME, *HEADS, "mean of all"])
    parser.add_argument("--frames", type=int, default=100_000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    folder = options.dataset.resolve()
    config = get_generic_config().to_dict()
    config.update(DATASET_PATH=str(folder.parent), DATASET_NAME=folder.name, STANDARDIZE=False)
    data = load_data(config)
    task = next(iter(data.train.tasks))
    recordings = [*recordings_of(data.train, task), *recordings_of(data.val, task)]
    wanted = {own for name in options.readouts if name != AUTO for own in MEANS.get(name, (name,))}
    found = cross_validate(recordings, names=None if AUTO in options.readouts else sorted(wanted))
    rows = []
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name in options.readouts:
            model = fit_progress(recordings, found=found, name="" if name == AUTO else name)
            spent, grown = stream(
                ProgressPredictor.of_features(model), [one.frames for one in recordings], options.frames
            )
            tenth = max(1, options.frames // 10)
            parts = (spent[:tenth], spent[-tenth:])
            cells = [f"{np.quantile(part, share):.3f}" for part in parts for share in (0.5, 0.99)]
            shown = f"{name} ({model.name})" if name == AUTO else name
            rows.append([shown, str(model.scale.length), *cells, f"{grown:.1f}"])
    print(f"{folder.name}, task {task}: {len(recordings)} recordings, {options.frames} frames, 1 thread, milliseconds")
    print(format_table(["read-out", "chunk", "first median", "99th", "last median", "99th", "MB grown"], rows))


if __name__ == "__main__":
    main()
