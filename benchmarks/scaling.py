"""The speed-up with several processes: seconds per epoch, and the bytes of gradients that a step exchanges.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --processes 1 2 1 2 1 2
    python -m benchmarks.scaling --processes 1 2 4 --config configs/salads50_accel.py

Writes a synthetic data set, trains the experiment's network on it under `torchrun` with one thread a process,
and prints for each number of processes the median of the epochs' training time (the first is left out).
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from utils.ckpt_save import load_checkpoint, load_model
from utils.data.synthetic import write_synthetic_dataset

ROOT = Path(__file__).parents[1]


def train(processes: int, config: str, data_root: Path, output: Path, epochs: int) -> Path:
    """Trains and returns the run's folder."""
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
         str(ROOT / "multitask_train.py"), "--config", config, f"--config.DATASET_PATH={data_root}",
         "--config.DATASET_NAME=synthetic", f"--config.OUTPUT_FOLDER={output}", f"--config.NUM_EPOCHS={epochs}",
         "--config.DEVICE=cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, stderr=subprocess.DEVNULL,
    )
    return next(output.glob("*/run-*"))


def epoch_seconds(run: Path) -> list[float]:
    """Training time of every epoch but the first."""
    with open(run / "metrics.csv", newline="") as file:
        return [float(row["train_seconds"]) for row in csv.DictReader(file)][1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--config", default=str(ROOT / "configs" / "demo.py"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--videos", type=int, default=24, help="of each of two tasks")
    parser.add_argument("--frames", type=int, nargs=2, default=(300, 600), metavar=("LEAST", "MOST"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_synthetic_dataset(
            root / "data" / "synthetic", seed=0, tasks=2, videos=options.videos, frames=tuple(options.frames)
        )
        print("processes | steps an epoch | seconds an epoch, median (least) | times as fast")
        alone = None
        for number, processes in enumerate(options.processes):
            run = train(processes, options.config, root / "data", root / str(number), options.epochs)
            seconds = epoch_seconds(run)
            alone = alone or statistics.median(seconds)
            batches = 2 * -(-int(0.65 * options.videos) // 2)
            print(f"{processes} | {-(-batches // processes)} | {statistics.median(seconds):.2f} ({min(seconds):.2f}) | "
                  f"{alone / statistics.median(seconds):.2f}", flush=True)
        model = load_model(load_checkpoint(run / "ckpt" / "last.pt"))
        weights = sum(weight.numel() for weight in model.parameters())
        print(f"{weights} weights: a step exchanges {4 * weights / 1e6:.2f} MB of gradients")


if __name__ == "__main__":
    main()
