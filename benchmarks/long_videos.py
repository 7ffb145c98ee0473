"""Memory of a training step of each loss on the longest videos of an annotation, with MAX_FRAMES.

    python -m benchmarks.long_videos DATA_ROOT/egoprocel/egoprocel.json
    python -m benchmarks.long_videos DATA_ROOT/egoprocel/egoprocel.json --max-frames 4000 --losses GTCC LAV

Takes the two longest videos of one task, gives them random features (in a temporary folder), and runs two
steps of the default network with each loss and the progress loss, each in a process of its own. Prints the
frames, the seconds of the second step and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from configs.generic_config import get_generic_config
from models.alignment_training_loop import step_generator
from models.build_model import build_model
from utils.data.annotation import read_annotation
from utils.data.dataset import load_data
from utils.files import write_json
from utils.loss_entry import get_loss_function

LOSSES = ("GTCC", "tcc", "LAV", "VAVA", "VAOT")


def write_longest_videos(annotation_path: Path, folder: Path, width: int) -> None:
    """A data set of the two longest videos of the task that has the longest one of all."""
    content = json.loads(annotation_path.read_text(encoding="utf-8"))
    usable = [task for task, entry in content.items() if len({len(values) for values in entry.values()}) == 1]
    videos = sorted(
        read_annotation(annotation_path, usable).videos, key=lambda video: -video.number_of_frames
    )
    pair = [video for video in videos if video.task == videos[0].task][:2]
    entry = content[videos[0].task]
    chosen = [entry["handles"].index(video.handle) for video in pair]
    task = {key: [values[index] for index in chosen] for key, values in entry.items()}
    (folder / "features").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for video in pair:
        array = np.lib.format.open_memmap(
            folder / "features" / f"{video.handle}.npy", mode="w+", dtype=np.float32,
            shape=(video.number_of_frames, width),
        )  # fmt: skip
        for start in range(0, len(array), 1000):
            array[start : start + 1000] = generator.normal(size=array[start : start + 1000].shape)
    write_json(folder / f"{folder.name}.json", {videos[0].task: task})


def train_steps(folder: Path, loss: str, max_frames: int) -> None:
    """Two steps with one loss; prints what they cost."""
    config = get_generic_config()
    config.DATASET_PATH, config.DATASET_NAME = str(folder.parent), folder.name
    config.MAX_FRAMES = max_frames
    config.LOSS_TYPE = {name: name == loss for name in LOSSES}
    config.PROGRESS_LOSS = {"enabled": True, "frames": "all"}
    data = load_data(config.to_dict())
    torch.manual_seed(0)
    model = build_model(config.to_dict(), data.feature_width, len(data.train.tasks))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.LEARNING_RATE)
    loss_fn = get_loss_function(config, num_epochs=config.NUM_EPOCHS)
    for epoch in range(2):
        began = time.perf_counter()
        view = data.train.in_epoch(epoch)
        sequences, times = zip(*(view[index] for index in range(2)), strict=True)
        generator = step_generator(config.SEED, epoch, 0)
        losses = loss_fn(model(list(sequences)), epoch, times_list=list(times), generator=generator)
        optimizer.zero_grad(set_to_none=True)
        losses["total_loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.MAX_GRAD_NORM)
        optimizer.step()
        seconds = time.perf_counter() - began
    lengths = " and ".join(
        f"{len(sequence)} of {video.number_of_frames}"
        for sequence, video in zip(sequences, data.train.videos, strict=True)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    value = float(losses["total_loss"].detach())
    print(f"{loss:5} {lengths} frames, loss {value:.4f}, {seconds:.2f} s a step, peak {peak:.2f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation", type=Path)
    parser.add_argument("--max-frames", type=int, default=2000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=LOSSES)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        train_steps(options.folder, options.losses[0], options.max_frames)
        return
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "long"
        write_longest_videos(options.annotation, folder, options.width)
        for loss in options.losses:
            command = [sys.executable, "-m", "benchmarks.long_videos", str(options.annotation)]
            settings = ["--folder", str(folder), "--losses", loss, "--max-frames", str(options.max_frames)]
            subprocess.run([*command, *settings], check=True)


if __name__ == "__main__":
    main()
