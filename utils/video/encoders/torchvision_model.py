"""Any classifier of torchvision, before its last layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from torch import nn

from utils.errors import ConfigError, first_line, import_extra
from utils.video.encoders.protocol import NORMALIZATIONS, digest_of_weights, full_name, resize_option, size_option
from utils.video.encoders.torch_network import HUB, RANDOM, built_for_this_torch, encode_one_by_one, load_weights

SIDE = 224


class TorchvisionEncoder:
    """What the last linear layer of a classifier reads; pictures normalised as on ImageNet.

    Weights come from the hub, or from a file of those of the whole classifier (weights=FILE); 'random' is for tests.
    """

    options: ClassVar[tuple[str, ...]] = ("size", "resize", "weights")
    description = "torchvision"
    with_motion = False

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        self._network = make_classifier(argument, options.get("weights", HUB)).eval()
        layers = [name for name, layer in self._network.named_modules() if isinstance(layer, nn.Linear)]
        if not layers:
            raise ConfigError(f"{argument!r} of torchvision has no linear layer; expected a classifier with one")
        parent, _, last = layers[-1].rpartition(".")
        setattr(self._network.get_submodule(parent), last, nn.Identity())
        self.size, self.resize = size_option(options, SIDE), resize_option(options)
        self.shape = self.encode(np.zeros((1, self.size[1], self.size[0], 3), np.uint8)).shape[1:]
        digest = digest_of_weights(self._network.state_dict())
        self.name = full_name(f"torchvision:{argument}", self.size, self.resize, "imagenet", digest)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 to (n, D) float32; see `ImageEncoder`."""
        return encode_one_by_one(self._network, pixels, NORMALIZATIONS["imagenet"], "the network of torchvision")


def make_classifier(name: str, weights: str) -> nn.Module:
    """A classifier of torchvision.

    Args:
        name: as torchvision names it, such as 'resnet18'.
        weights: 'hub', 'random', or a file of weights.

    Raises:
        ConfigError: there is no such network, or its weights can't be had.
        MissingFileError, DataError: see `load_weights`.
    """
    with built_for_this_torch():
        models = import_extra("torchvision", "encoders", "an encoder of torchvision").models
    try:
        network = models.get_model(name, weights="DEFAULT" if weights == HUB else None)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise ConfigError(f"torchvision can't make {name!r} with weights={weights}: {first_line(error)}") from error
    if weights not in (HUB, RANDOM):
        load_weights(network, weights)
    return network
