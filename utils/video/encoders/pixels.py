"""Tiny grey pictures and their differences: what needs no network, and what any other encoder should beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from utils.video.encoders.protocol import full_name, resize_option, size_option

SIDE = 16
LUMA = (299, 587, 114)  # thousandths of red, green and blue (ITU-R BT.601)


class PixelsEncoder:
    """The grey values of a small picture, 0 to 1, row by row. Its features come with their differences."""

    options: ClassVar[tuple[str, ...]] = ("size", "resize")
    description = "pixels"
    with_motion = True

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        self.size, self.resize = size_option(options, SIDE), resize_option(options)
        self.shape = (self.size[0] * self.size[1],)
        self.name = full_name("pixels", self.size, self.resize)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 to (n, height * width) float32; see `ImageEncoder`."""
        grey = pixels.astype(np.int64) @ np.array(LUMA)  # whole numbers: the same on any machine
        return (grey.reshape(len(pixels), -1) / 255_000).astype(np.float32)
