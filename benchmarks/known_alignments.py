"""What GTCC costs where the truth is known: an aligned pair of videos, and pairs that are not aligned.

    python -m benchmarks.known_alignments

Prints the loss over that of two collapsed videos, at an early and a late epoch; below 1 a setting prefers the pair to a
collapse. `docs/alignment.md` has the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from configs.generic_config import get_generic_config
from utils.command import format_table
from utils.loss_functions.gtcc import GTCC_loss

FRAMES, WIDTH = 200, 32
EPOCHS = (0, 49)
DRAWS = 10
PAPER = {
    "softmax_temp": 0.1, "anchors_per_video": 20, "delta": 0.2, "gamma": 0.95, "reciprocal": "frame",
    "normalization": "none", "alignment_variance": 0.0,
}  # fmt: skip
SETTINGS: dict[str, Mapping[str, Any]] = {
    "paper": PAPER,
    "paper, balance at chance": {**PAPER, "reciprocal": "chance"},
    "paper, window of 1": {**PAPER, "delta": 1.0},
    "paper, no frame dropped": {**PAPER, "gamma": 1.0},
    "default": {},
}


def embeddings(seed: int = 0) -> dict[str, list[Tensor]]:
    """Pairs of videos of which the truth is known, the collapsed ones last; the circles take a quarter of a video."""
    generator = torch.Generator().manual_seed(seed)
    walk, stranger = torch.randn(2, FRAMES, WIDTH, generator=generator).cumsum(1)
    noise = 0.5 * torch.randn(FRAMES, WIDTH, generator=generator)
    angle = 2 * math.pi * torch.arange(FRAMES) / (FRAMES / 4)
    circle, opposite = (4 * torch.stack([(angle + by).cos(), (angle + by).sin()], 1) for by in (0, math.pi))
    pieces = walk.view(5, FRAMES // 5, WIDTH)[[3, 0, 4, 2, 1]].flatten(0, 1)
    return {
        "aligned": [walk, walk + noise],
        "pieces in another order": [walk, pieces],
        "circles, out of phase": [circle, opposite],
        "unrelated": [walk, stranger],
        "collapsed": [torch.zeros(FRAMES, WIDTH)] * 2,
    }


def cost(videos: list[Tensor], settings: Mapping[str, Any], epoch: int) -> float:
    """The mean loss over several draws of anchors, windows and contexts of the drop network."""
    values = []
    for seed in range(DRAWS):
        generator = torch.Generator().manual_seed(seed)
        contexts = list(torch.randn(2, videos[0].shape[1] + 1, generator=generator))
        values.append(GTCC_loss(videos, dropouts=contexts, epoch=epoch, generator=generator, **settings))
    return float(torch.stack(values).mean())


def main() -> None:
    defaults = get_generic_config().GTCC_PARAMS.to_dict()
    pairs = embeddings()
    rows = []
    for name, settings in SETTINGS.items():
        own = {**defaults, **settings}
        for epoch in EPOCHS if own["gamma"] < 1 else EPOCHS[:1]:
            costs = [cost(videos, own, epoch) for videos in pairs.values()]
            rows.append([f"{name}, epoch {epoch}", *(f"{each / costs[-1]:.3f}" for each in costs)])
    print(format_table(["settings", *pairs], rows))


if __name__ == "__main__":
    main()
