"""How long one task's metrics take after embedding: 10 test videos and 40 training videos of 1000 frames.

python benchmarks/evaluation_speed.py [--networks 2]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.baselines import task_statistics
from utils.embedding import RAW, TRAINED, UNTRAINED, EmbeddedVideo, path_length
from utils.evaluation import alignment_results, classification_results, progress_results, progression_results
from utils.evaluation_results import task_counts
from utils.tensorops import get_trueprogress, get_trueprogress_per_action


def random_video(
    rng: np.random.Generator, networks: int, frames: int = 1000, width: int = 128
) -> EmbeddedVideo:
    """A random walk for an embedding, 20 segments of 12 actions and background."""
    starts = np.concatenate([[0], np.sort(rng.choice(np.arange(1, frames), 19, replace=False))])
    ends = np.concatenate([starts[1:] - 1, [frames - 1]])
    steps = ["SIL" if k % 4 == 3 else f"action {rng.integers(12)}" for k in range(20)]
    time_dict = {"step": steps, "start_frame": starts.tolist(), "end_frame": ends.tolist(), "name": "video"}
    embeddings = {
        name: torch.from_numpy((rng.normal(size=(frames, width)).cumsum(axis=0) * 0.1).astype(np.float32))
        for name in (TRAINED, UNTRAINED)[:networks]
    }
    return EmbeddedVideo(
        handle=f"video {rng.integers(1 << 40)}",
        time_dict=time_dict,
        progress=get_trueprogress(time_dict).double().numpy(),
        action_progress=get_trueprogress_per_action(time_dict).double().numpy(),
        paths={**{n: path_length(e) for n, e in embeddings.items()}, RAW: np.arange(frames, dtype=float)},
        embeddings=embeddings,
    )


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of some runs."""
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        durations.append(time.perf_counter() - begin)
    return min(durations)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--networks", type=int, choices=(1, 2), default=2, help="2: with the untrained network"
    )
    networks = parser.parse_args().networks
    rng = np.random.default_rng(0)
    train, test = ([random_video(rng, networks) for _ in range(count)] for count in (40, 10))
    counts = task_counts("task", len(test))
    parts = {
        "OPE and baselines": lambda: progress_results("task", task_statistics(train), test, counts),
        "EAE, KT, KTW": lambda: alignment_results("task", train, test, counts),
        "PHP": lambda: progression_results("task", train, test, counts),
        "PC": lambda: classification_results("task", train, test, counts),
    }
    total = 0.0
    for name, work in parts.items():
        duration = seconds(work)
        total += duration
        print(f"{name:20} {duration:.3f} s")
    print(f"{'together':20} {total:.3f} s   ({networks} networks, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
