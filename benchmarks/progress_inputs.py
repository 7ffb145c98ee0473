"""What read-outs of progress are worth on raw features, on an untrained network's embedding, and on each loss's.

    python -m benchmarks.results --dataset-path DATA_ROOT --experiments openpack --losses GTCC tcc LAV VAVA
    python -m benchmarks.progress_inputs --experiments openpack --seeds 0 1 2 --write docs/results.md

Takes the runs that `benchmarks.results` has trained. A read-out is fitted to the training recordings as one input shows
them, and judged on the test recordings; the networks were trained on the same training recordings. Nothing is chosen.
Prints the mean absolute error of online progress for each input, mean over seeds, and its difference from the raw
features, paired by recording, with a 95 % interval.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.progress_readouts import write_between
from utils.ckpt_save import load_checkpoint, load_model
from utils.data.dataset import VideoDataset, load_data
from utils.evaluation.checkpoint import untrained_network
from utils.metrics.intervals import mean_interval
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, embed_videos
from utils.prediction.progress.candidates import ALIGNMENT, EVIDENCE, FILTER, fit_candidates, read_all
from utils.prediction.progress.cross_validation import scale_of
from utils.prediction.readouts.recording import LabelledRecording
from utils.registry import LOSSES

READOUTS = (ALIGNMENT, FILTER, EVIDENCE)
BEGIN, END = "<!-- inputs: begin -->", "<!-- inputs: end -->"

Errors = dict[str, dict[str, np.ndarray]]  # by read-out and input, of each test recording


def recordings_of(dataset: VideoDataset, networks: Mapping[str, Any], task: str) -> dict[str, list[LabelledRecording]]:
    """The recordings of a task, by what shows them."""
    videos = embed_videos(networks, dataset, dataset.of_task(task), description="embedding", with_raw=True)
    return {
        name: [LabelledRecording(one.handle, one.embeddings[name].numpy(), one.time_dict) for one in videos]
        for name in (*networks, RAW)
    }


def errors_of(
    train: Sequence[LabelledRecording], test: Sequence[LabelledRecording], seed: int
) -> dict[str, np.ndarray]:
    """By read-out, the mean absolute error of each test recording."""
    fitted = fit_candidates(train, scale_of(train), seed, READOUTS)
    curves = [read_all(fitted, one.frames) for one in test]
    return {
        name: np.array([np.abs(c[name][:, 1] - one.progress).mean() for c, one in zip(curves, test, strict=True)])
        for name in READOUTS
    }


def measure(experiment: str, options: argparse.Namespace) -> Errors:
    """Errors of every input, mean over the seeds."""
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    work = [(seed, loss) for seed in options.seeds for loss in options.losses]
    for seed, loss in tqdm(work, desc=experiment, disable=None):
        folder = options.results / f"{experiment}-{loss}-progress_{options.progress}-seed{seed}"
        path = max(folder.glob("run-*")) / "ckpt" / "best_model_combined.pt"
        checkpoint = load_checkpoint(path)
        data = load_data(checkpoint["config"], standardization=checkpoint.get("standardization"))
        networks = {TRAINED: load_model(checkpoint)}
        if loss == options.losses[0]:
            networks[UNTRAINED] = untrained_network(checkpoint)
        for task in data.train.tasks:
            train, test = (recordings_of(part, networks, task) for part in (data.train, data.test))
            for name in networks if seed != options.seeds[0] or loss != options.losses[0] else (*networks, RAW):
                own = errors_of(train[name], test[name], seed)
                found.setdefault(loss if name == TRAINED else name, []).append(own)
    order = [RAW, UNTRAINED, *options.losses]
    return {
        readout: {name: np.mean([own[readout] for own in found[name]], axis=0) for name in order}
        for readout in READOUTS
    }


def table(of_experiments: Mapping[str, Errors]) -> str:
    """Inputs by read-outs and experiments."""
    columns = [(experiment, readout) for experiment in of_experiments for readout in READOUTS]
    names = list(next(iter(of_experiments.values()))[READOUTS[0]])
    lines = [
        "| input | " + " | ".join(f"{experiment}, {readout}" for experiment, readout in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name in names:
        cells = []
        for experiment, readout in columns:
            errors = of_experiments[experiment][readout]
            cell = f"{errors[name].mean():.3f}"
            if name != RAW:
                interval = mean_interval(errors[name] - errors[RAW])
                cell += f"; {interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("output/results"), help="where benchmarks.results trained")
    parser.add_argument("--experiments", nargs="+", default=["openpack"], help="of one task each")
    parser.add_argument("--losses", nargs="+", default=["GTCC", "tcc", "LAV", "VAVA"], choices=LOSSES)
    parser.add_argument("--progress", default="on", choices=["on", "off"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help=f"page in which to replace what stands between {BEGIN} and {END}")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    text = table({experiment: measure(experiment, options) for experiment in options.experiments})
    print(text)
    if options.write:
        write_between(options.write, text, BEGIN, END)


if __name__ == "__main__":
    main()
