"""Counts values and gradients of TCC and GTCC that are not finite, over scales, lengths and seeds.

python -m benchmarks.finite_cycle_losses --seeds 200
"""

import argparse
import sys

import torch
from torch import Tensor

from utils.loss_functions.gtcc import GTCC_loss
from utils.loss_functions.similarity import SIMILARITIES
from utils.loss_functions.tcc import TCC_loss

SCALES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
LENGTHS = ((2, 2), (2, 9), (3, 40, 17), (100, 100), (60, 300))
WIDTH = 32


def videos_of(lengths: tuple[int, ...], scale: float, seed: int) -> dict[str, list[Tensor]]:
    """Random walks, unrelated frames, and constant and identical videos, by name."""
    generator = torch.Generator().manual_seed(seed)
    frames = [scale * torch.randn(length, WIDTH, generator=generator) for length in lengths]
    return {
        "random walks": [each.cumsum(0) for each in frames],
        "unrelated frames": frames,
        "constant": [each[:1].repeat(len(each), 1) for each in frames],
        "identical": [frames[0].cumsum(0) for _ in frames],
    }


def is_finite(loss: Tensor, inputs: list[Tensor]) -> bool:
    """Whether the value is finite, and the gradient of every input that has one."""
    loss.backward()
    gradients = [each.grad for each in inputs if each.grad is not None]
    return bool(loss.isfinite()) and all(bool(each.isfinite().all()) for each in gradients)


def count(seeds: int) -> dict[tuple[str, float], tuple[int, int]]:
    """(loss, scale) -> (not finite, tried)."""
    results = {}
    for scale in SCALES:
        failed, tried = dict.fromkeys(("TCC", "GTCC"), 0), 0
        for seed in range(seeds):
            lengths = LENGTHS[seed % len(LENGTHS)]
            similarity = SIMILARITIES[seed // len(LENGTHS) % len(SIMILARITIES)]
            variance = (0.0, 0.001)[seed % 2]
            for frames in videos_of(lengths, scale, seed).values():
                generator = torch.Generator().manual_seed(seed)
                videos = [each.clone().requires_grad_() for each in frames]
                dropouts = [torch.randn(WIDTH + 1, generator=generator).requires_grad_() for _ in videos]
                tried += 1
                loss = TCC_loss(videos, variance, similarity=similarity)
                failed["TCC"] += not is_finite(loss, videos)
                settings = {"alignment_variance": variance, "epoch": seed, "similarity": similarity}
                loss = GTCC_loss(videos, 15, dropouts=dropouts, generator=generator, **settings)
                failed["GTCC"] += not is_finite(loss, videos + dropouts)
        results |= {(name, scale): (number, tried) for name, number in failed.items()}
    return results


def main() -> int:
    """Print the table; exit status 1 where anything is not finite."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    results = count(parser.parse_args().seeds)
    print("loss  scale   not finite / tried")
    for (name, scale), (failed, tried) in results.items():
        print(f"{name:<5} {scale:<7g} {failed} / {tried}")
    return int(any(failed for failed, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
