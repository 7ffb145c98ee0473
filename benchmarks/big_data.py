"""Memory and time for a large data set: checks and reads thousands of videos.

    python -m benchmarks.big_data
    python -m benchmarks.big_data --videos 20 --frames 33000 --max-frames 2000
    python -m benchmarks.big_data --layout features_first --workers 2

Makes a data set of sparse files in a temporary folder (they take no disk space; reading gives zeros), checks
it as training does, then loads one epoch of batches. Prints seconds and the peak of resident memory after
each part; with workers, that of the largest of them beside that of the main process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from configs.generic_config import get_generic_config
from models.batch_loading import make_loader
from utils.data.batches import TaskBatchSampler
from utils.data.dataset import load_data
from utils.files import write_json

SEGMENTS = 20


def write_sparse_dataset(folder: Path, videos: int, frames: int, width: int, features_first: bool) -> int:
    """Writes annotation, split and sparse features, four tasks; returns the features' size in bytes."""
    (folder / "features").mkdir(parents=True)
    handles = [f"video{number:05d}" for number in range(videos)]
    starts = [segment * frames // SEGMENTS for segment in range(SEGMENTS)]
    actions = ["SIL" if segment % 5 == 0 else f"action{segment}" for segment in range(SEGMENTS)]
    annotation = {}
    for number in range(4):
        own = handles[number::4]
        annotation[f"task{number}"] = {
            "handles": own,
            "hdl_actions": [actions] * len(own),
            "hdl_start_times": [starts] * len(own),
            "hdl_end_times": [[*starts[1:], frames - 1]] * len(own),
        }
    shape = (width, frames) if features_first else (frames, width)
    size = 0
    for handle in handles:
        with open(folder / "features" / f"{handle}.npy", "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            size += file.truncate(file.tell() + 4 * frames * width)
    write_json(folder / f"{folder.name}.json", annotation)
    write_json(folder / "split.json", {"train": handles, "test": []})
    return size


def peak_gigabytes() -> str:
    """Peak resident memory so far in GB, of this process and of the largest of its children."""
    own, children = (
        resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"peak {own:.2f} GB" + (f" + {children:.2f} GB in the largest worker" if children else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--max-frames", type=int, default=0)
    parser.add_argument("--layout", choices=("frames_first", "features_first"), default="frames_first")
    parser.add_argument("--standardize", action="store_true", help="measure mean and deviation in the check")
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()

    config = get_generic_config()
    config.DATASET_NAME = "sparse"
    config.VALIDATION_FRACTION = 0.0
    config.STANDARDIZE = options.standardize
    config.MAX_FRAMES = options.max_frames
    config.FEATURE_LAYOUT = options.layout
    print(f"{'imports':24} {peak_gigabytes()}")
    with tempfile.TemporaryDirectory() as root:
        config.DATASET_PATH = root
        folder = Path(root) / config.DATASET_NAME
        size = write_sparse_dataset(
            folder, options.videos, options.frames, options.width, options.layout == "features_first"
        )
        print(f"{'features':24} {options.videos} videos, {size / 2**30:.1f} GB")
        began = time.perf_counter()
        data = load_data(config.to_dict())
        print(f"{'check':24} {time.perf_counter() - began:6.1f} s   {peak_gigabytes()}")
        began = time.perf_counter()
        config.NUM_WORKERS = options.workers
        batches_of_epoch = list(TaskBatchSampler(data.train, options.batch_size, seed=0))
        loader = make_loader(data.train.in_epoch(0), batches_of_epoch, config)
        frames = batches = 0
        for sequences, times in loader:
            batches += 1
            frames += sum(map(len, sequences))
            assert all(
                len(sequence) == time_dict["end_frame"][-1] + 1
                for sequence, time_dict in zip(sequences, times, strict=True)
            )
        seconds = time.perf_counter() - began
        print(f"{'epoch of loading':24} {seconds:6.1f} s   {peak_gigabytes()}")
        print(f"{'':24} {batches} batches, {frames} frames, {seconds / batches * 1e3:.1f} ms a batch")
    print(f"{torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
