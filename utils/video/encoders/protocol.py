"""What every encoder of pictures offers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from utils.errors import ConfigError, shown
from utils.video.decoding import RESIZES


class ImageEncoder(Protocol):
    """Pictures to features, each picture for itself: a picture's features are the same bytes in any batch.

    It is made as `EncoderClass(argument, options, threads)`, see `utils.video.encoders.make_encoder`.

    Attributes:
        options: the options it knows.
        description: what it was made from, such as 'onnx:model.onnx'; `make_encoder` sets it.
        name: everything that decides its values, its weights by a digest. Features of different names don't go
            together.
        size: (width, height) of the pictures that it takes.
        resize: how others are brought to this size, one of `utils.video.decoding.RESIZES`.
        shape: of a picture's features, (D,), or (channels, height, width) for maps.
        with_motion: its features always come with their differences, see `utils.video.features`.
    """

    options: ClassVar[tuple[str, ...]]
    description: str
    name: str
    size: tuple[int, int]
    resize: str
    shape: tuple[int, ...]
    with_motion: bool

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1): ...

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Features of pictures.

        Args:
            pixels: (n, height, width, 3) uint8, RGB, of `size`; n is at least 1.

        Returns:
            (n, *shape), float32.
        """
        ...


# Mean and deviation of each channel that a value in [0, 1] is normalised by.
NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # -1 to 1
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # 0 to 1
    "none": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),  # 0 to 255
}


def normalized(pixels: np.ndarray, mean: tuple[float, ...], deviation: tuple[float, ...]) -> np.ndarray:
    """(n, height, width, 3) uint8 as (n, 3, height, width) float32, each channel less its mean, by its deviation."""
    scale = (1 / (255 * np.asarray(deviation))).astype(np.float32)[:, None, None]
    shift = (np.asarray(mean) / np.asarray(deviation)).astype(np.float32)[:, None, None]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) * scale - shift


def pooled(row: Any) -> Any:
    """Features of one picture, an array or a tensor, as (1, D): the mean of (1, D, height, width) over places, or of
    (1, tokens, D) over tokens."""
    return row.mean((2, 3)) if row.ndim == 4 else row.mean(1) if row.ndim == 3 else row


def size_option(options: Mapping[str, str], default: int) -> tuple[int, int]:
    """The option `size`: pixels of a side, or WIDTHxHEIGHT."""
    text = options.get("size", str(default))
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 1 <= int(side) <= 4096 for side in sides):
        raise ConfigError(f"size is {shown(text)}; expected pixels of a side, or WIDTHxHEIGHT, each at most 4096")
    return int(sides[0]), int(sides[-1])


def resize_option(options: Mapping[str, str]) -> str:
    """The option `resize`."""
    return one_of(options, "resize", RESIZES, RESIZES[0])


def normalization_option(options: Mapping[str, str]) -> str:
    """The option `normalization`."""
    return one_of(options, "normalization", tuple(NORMALIZATIONS), "imagenet")


def one_of(options: Mapping[str, str], key: str, choices: tuple[str, ...], default: str) -> str:
    """An option that is one of several words."""
    value = options.get(key, default)
    if value not in choices:
        raise ConfigError(f"{key} is {shown(value)}; expected one of {', '.join(choices)}")
    return value


def digest_of_weights(weights: Mapping[str, Any]) -> str:
    """A digest of tensors by name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().numpy()
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def full_name(kind: str, size: tuple[int, int], resize: str, *rest: str) -> str:
    """The name of an encoder: what it is, what it takes, and what else decides its values."""
    return " ".join([kind, f"{size[0]}x{size[1]}", resize, *rest])
