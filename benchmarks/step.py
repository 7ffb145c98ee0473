"""Time of a whole training step of GTCC with the crosstask network, through the training loop.

    python -m benchmarks.step
    python -m benchmarks.step --lengths 200 --heads 2 --loss tcc
    python -m benchmarks.step --attention 512 1024 512 256        # the sizes of the original's attention network

A step is what training does for a batch: forward, loss with the progress term, backward, clipping, fused Adam.
Two videos of T frames, 2048 features, embeddings of 128; the median over steps after a warm-up, with the spread
from the 10th to the 90th percentile. Also the times of its parts: the network alone and the loss alone.
The authors' released code takes 1420 ms at T = 200 with 2 heads and about 2400 ms at T = 1000 with 16.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import torch

from configs.generic_config import get_generic_config
from models.alignment_training_loop import AlignmentTraining
from models.batch_loading import run_network
from models.build_model import build_model

FEATURE_WIDTH = 2048
ORIGINAL_MS = {(200, 2): 1420, (1000, 16): 2400}


class TwoVideos(torch.utils.data.Dataset):
    """One task of two random videos, with the attributes of a data set that the training loop needs."""

    def __init__(self, number_of_frames: int):
        third = number_of_frames // 3
        self.videos = [torch.randn(number_of_frames, FEATURE_WIDTH) for _ in range(2)]
        self.times = {
            "step": ["first", "SIL", "second"],
            "start_frame": [0, third, 2 * third],
            "end_frame": [third - 1, 2 * third - 1, number_of_frames - 1],
            "name": "random",
        }
        self.tasks = ("task",)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict]:
        return self.videos[index], self.times

    def of_task(self, task: str) -> list[int]:
        return [0, 1]

    def partner_indices(self, task: str) -> list[int]:
        return []


def build_training(
    number_of_frames: int, heads: int, loss: str, folder: Path, precision: str = "float32",
    attention: Sequence[int] | None = None,
) -> AlignmentTraining:
    """A training with the default settings, except the given ones."""
    config = get_generic_config()
    config.PRECISION = precision
    config.LOSS_TYPE = {name: name == loss for name in config.LOSS_TYPE}
    config.ARCHITECTURE = {"num_heads": heads}
    if attention is not None:
        config.ARCHITECTURE.attn_layers = tuple(attention)
    config.PROGRESS_LOSS = {"enabled": True, "frames": "all"}
    videos = TwoVideos(number_of_frames)
    data = SimpleNamespace(
        train=videos, val=videos, feature_width=FEATURE_WIDTH, standardization=None, fingerprint=dict
    )
    torch.manual_seed(0)
    model = build_model(config.to_dict(), FEATURE_WIDTH, 1)
    return AlignmentTraining(model, data, config, folder, torch.device("cpu"))


def milliseconds(step: Callable[[], object], seconds: float) -> list[float]:
    """Times of the step, at least five, after two that are not counted."""
    step(), step()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        began = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - began))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--heads", type=int, nargs="+", default=[2, 16], help="as many as lengths")
    parser.add_argument("--loss", default="GTCC", choices=["GTCC", "tcc", "LAV", "VAVA", "VAOT"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--attention", type=int, nargs="+", help="sizes of the attention network's layers")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.loss}, {options.precision}, {options.threads} threads, milliseconds: median (10 % to 90 %)")
    for number_of_frames, heads in zip(options.lengths, options.heads, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            training = build_training(
                number_of_frames, heads, options.loss, Path(folder), options.precision, options.attention
            )
        sequences, times = zip(*(training.data.train[index] for index in range(2)), strict=True)

        def step(training=training, sequences=sequences, times=times) -> None:
            training._forward_backward(sequences, times, number=0, weight=1.0)
            training.optimizer.step()

        def network(training=training, sequences=sequences) -> None:
            output_dict = run_network(training.model, sequences, training.device, options.precision)
            sum(output.sum() for output in (*output_dict["outputs"], *output_dict["dropouts"])).backward()

        fixed = {
            name: [value.detach().requires_grad_() for value in values]
            for name, values in training.model(list(sequences)).items()
        }

        def loss(training=training, fixed=fixed, times=times) -> None:
            training.loss_fn(fixed, 0, times_list=list(times))["total_loss"].backward()

        figures = {"step": step, "network": network, "loss": loss}
        line = [f"T={number_of_frames} heads={heads}"]
        for name, function in figures.items():
            measured = milliseconds(function, options.seconds)
            tenths = statistics.quantiles(measured, n=10)
            median = statistics.median(measured)
            line.append(f"{name} {median:.1f} ({tenths[0]:.1f} to {tenths[-1]:.1f})")
            original = ORIGINAL_MS.get((number_of_frames, heads))
            if name == "step" and options.loss == "GTCC" and original:
                line.append(f"original / ours {original / median:.1f}")
        print(", ".join(line), flush=True)


if __name__ == "__main__":
    main()
