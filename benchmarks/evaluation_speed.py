"""Time of an evaluation of one task after embedding: metrics, intervals, read-outs, baselines.

    python -m benchmarks.evaluation_speed [--test 10] [--train 40] [--frames 1000]

10 test videos and 40 training videos of 1000 frames, each embedded by the trained and the untrained networks, and the
raw features. The whole evaluation is timed with torch's number of threads (OMP_NUM_THREADS), then each part separately
with one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from threadpoolctl import threadpool_limits

from utils.evaluation.baselines import task_statistics
from utils.evaluation.measured import Measured
from utils.evaluation.progress import measure_progress, training_readouts
from utils.evaluation.results import summarise
from utils.evaluation.task import evaluate_task, measure_classification, measure_progression, measure_retrieval
from utils.metrics import nearest_neighbours, valid_alignment
from utils.metrics.table import METRICS, Needs, metrics_that_need
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED_NETWORKS, EmbeddedVideo
from utils.prediction.readouts import run_readout
from utils.tensorops import get_trueprogress, get_trueprogress_per_action, path_length


def random_video(
    rng: np.random.Generator, untrained: int, frames: int = 1000, width: int = 128, raw_width: int = 128
) -> EmbeddedVideo:
    """A random-walk embedding, with 20 segments of 12 actions and background."""
    starts = np.concatenate([[0], np.sort(rng.choice(np.arange(1, frames), 19, replace=False))])
    ends = np.concatenate([starts[1:] - 1, [frames - 1]])
    steps = ["SIL" if k % 4 == 3 else f"action {rng.integers(12)}" for k in range(20)]
    time_dict = {"step": steps, "start_frame": starts.tolist(), "end_frame": ends.tolist(), "name": "video"}
    embeddings = {
        name: torch.from_numpy((rng.normal(size=(frames, number)).cumsum(axis=0) * 0.1).astype(np.float32))
        for name, number in ((RAW, raw_width), *((n, width) for n in (TRAINED, *UNTRAINED_NETWORKS[:untrained])))
    }
    return EmbeddedVideo(
        handle=f"video {rng.integers(1 << 40)}",
        time_dict=time_dict,
        progress=get_trueprogress(time_dict).double().numpy(),
        action_progress=get_trueprogress_per_action(time_dict).double().numpy(),
        paths={name: path_length(embedding) for name, embedding in embeddings.items()},
        embeddings=embeddings,
    )


def seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Shortest of some runs: seconds of wall time, and seconds of processor time."""
    durations = []
    for _ in range(repeats):
        begin, begin_processor = time.perf_counter(), time.process_time()
        work()
        durations.append((time.perf_counter() - begin, time.process_time() - begin_processor))
    return min(wall for wall, _ in durations), min(processor for _, processor in durations)


def parts_of_evaluation(
    train: list[EmbeddedVideo], test: list[EmbeddedVideo]
) -> dict[str, Callable[[], object]]:
    """The parts of `evaluate_task`, each to be run separately."""
    parts: dict[str, Callable[[], object]] = {}
    statistics = task_statistics(train)
    for network, readouts in training_readouts(train).items():
        for name, readout in readouts.items():
            parts[f"read-out {name}, {network}"] = lambda readout=readout, network=network: [
                run_readout(readout, video.embeddings[network].numpy()) for video in test
            ]
    parts["read-out path, naive estimators"] = lambda: measure_progress("task", statistics, test)
    networks = list(test[0].embeddings)
    pairs = list(combinations(test, 2))
    parts["nearest neighbours"] = lambda: [
        nearest_neighbours(a.embeddings[n].numpy(), b.embeddings[n].numpy()) for a, b in pairs for n in networks
    ]
    ordered = [(a, b, valid_alignment(a.time_dict, b.time_dict)) for a, b in permutations(test, 2)]
    rng = np.random.default_rng(0)
    found = rng.integers(len(test[0].progress), size=(len(networks) + 2, len(test[0].progress)))
    parts["valid alignment"] = lambda: [valid_alignment(a.time_dict, b.time_dict) for a, b, _ in ordered]
    for metric in metrics_that_need(Needs.PAIRS, METRICS):
        parts[metric.name] = lambda metric=metric: [metric.measure(found, truth) for *_, truth in ordered]
    parts["PHP"] = lambda: measure_progression(train, test)
    parts["PC"] = lambda: measure_classification(train, test)
    parts["AP"] = lambda: measure_retrieval(test)
    values, handles = rng.random((len(test), len(test))), [video.handle for video in test]
    pairs_found, videos_found = Measured(METRICS["KT"], TRAINED, values), Measured(METRICS["PHP"], TRAINED, values[0])
    parts["an interval, pairs"] = lambda: summarise(pairs_found, "task", handles)
    parts["an interval, videos"] = lambda: summarise(videos_found, "task", handles)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--untrained", type=int, choices=range(6), default=5, help="how many untrained networks")
    parser.add_argument("--width", type=int, default=128, help="of an embedding")
    parser.add_argument("--raw-width", type=int, default=128, help="of the features")
    parser.add_argument("--test", type=int, default=10, help="number of test videos, at least 2")
    parser.add_argument("--train", type=int, default=40, help="number of training videos")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    train, test = (
        [random_video(rng, options.untrained, options.frames, options.width, options.raw_width) for _ in range(count)]
        for count in (options.train, options.test)
    )
    whole = seconds(lambda: evaluate_task("task", train, test), options.repeats)
    print(f"{'seconds':40} {'clock':>8} {'processors':>11}")
    print(f"{f'whole task, {torch.get_num_threads()} threads':40} {whole[0]:8.3f} {whole[1]:11.3f}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name, work in parts_of_evaluation(train, test).items():
            duration = seconds(work, options.repeats)
            print(f"  {name + ', 1 thread':38} {duration[0]:8.3f} {duration[1]:11.3f}")
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
