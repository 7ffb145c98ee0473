"""What the encoders that PyTorch computes have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from utils.errors import ConfigError, DataError, MissingFileError, first_line, import_extra, place, shown
from utils.video.encoders.protocol import normalized, pooled

HUB, RANDOM = "hub", "random"


@contextmanager
def built_for_this_torch() -> Iterator[None]:
    """Importing torchvision, or timm, which imports it, fails where it was built for another PyTorch.

    Raises:
        ConfigError: that is so.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            f"torchvision is installed, but can't be imported ({first_line(error)[:200]}); expected the one that was "
            f"built for this PyTorch, {torch.__version__}"
        ) from error


def encode_one_by_one(
    network: nn.Module, pixels: np.ndarray, scale: tuple[tuple[float, ...], tuple[float, ...]], what: str
) -> np.ndarray:
    """Features of pictures, each for itself, so that they don't depend on the batch.

    Args:
        network: in evaluation mode: (1, 3, height, width) to (1, D), or (1, D, height, width) and (1, tokens, D),
            whose mean is taken.
        pixels: (n, height, width, 3) uint8.
        scale: mean and deviation of each channel.
        what: the network, for messages.

    Returns:
        (n, D), float32.

    Raises:
        DataError: the network can't take such a picture, or gives something else.
    """
    rows = []
    with torch.inference_mode():
        for picture in torch.from_numpy(normalized(pixels, *scale)).split(1):
            try:
                found = network(picture)
            except RuntimeError as error:
                shape = tuple(picture.shape)
                raise DataError(f"{what} can't encode a picture of {shape}: {first_line(error)}") from error
            if not isinstance(found, torch.Tensor) or found.ndim not in (2, 3, 4) or len(found) != 1:
                raise DataError(f"{what} gives {shown(getattr(found, 'shape', type(found)))}; expected (1, D)")
            rows.append(pooled(found.float()))
    return torch.cat(rows).numpy()


def load_weights(network: nn.Module, file: str) -> None:
    """Loads weights into a network from a file of them, of which nothing is executed.

    Args:
        network: the network.
        file: .safetensors, or .pth as `torch.save` writes it, of weights alone.

    Raises:
        MissingFileError: no such file.
        DataError: it can't be read, or its weights are those of another network.
    """
    path = Path(file)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file of weights; expected weights=FILE, or weights={HUB}")
    try:
        weights = _read(path)
        weights = weights.get("state_dict", weights)
        network.load_state_dict(weights)
    except Exception as error:  # whatever torch raises on a damaged or hostile file
        raise DataError(f"{place(path)}its weights can't be used: {first_line(error)[:300]}") from error


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        return import_extra("safetensors.torch", "encoders", f"{path}").load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
