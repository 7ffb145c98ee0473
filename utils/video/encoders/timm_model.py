"""Any network of timm, before its classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from utils.errors import ConfigError, first_line, import_extra
from utils.video.encoders.protocol import digest_of_weights, full_name, resize_option, size_option
from utils.video.encoders.torch_network import HUB, RANDOM, built_for_this_torch, encode_one_by_one, load_weights


class TimmEncoder:
    """timm's pooled features, with the size and normalisation that timm names for the network.

    Weights come from the hub, or from a file of those of the network without classifier (weights=FILE); 'random' is for
    tests.
    """

    options: ClassVar[tuple[str, ...]] = ("size", "resize", "weights")
    description = "timm"
    with_motion = False

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        with built_for_this_torch():
            timm = import_extra("timm", "encoders", "an encoder of timm")
        weights = options.get("weights", HUB)
        try:
            self._network = timm.create_model(argument, pretrained=weights == HUB, num_classes=0).eval()
        except (RuntimeError, OSError, ValueError) as error:
            raise ConfigError(f"timm can't make {argument!r} with weights={weights}: {first_line(error)}") from error
        if weights not in (HUB, RANDOM):
            load_weights(self._network, weights)
        config = timm.data.resolve_model_data_config(self._network)
        self.size, self.resize = size_option(options, config["input_size"][-1]), resize_option(options)
        self._scale = tuple(config["mean"]), tuple(config["std"])
        self.shape = self.encode(np.zeros((1, self.size[1], self.size[0], 3), np.uint8)).shape[1:]
        scale = "/".join(f"{value:g}" for values in self._scale for value in values)
        digest = digest_of_weights(self._network.state_dict())
        self.name = full_name(f"timm:{argument}", self.size, self.resize, scale, digest)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 to (n, D) float32; see `ImageEncoder`."""
        return encode_one_by_one(self._network, pixels, self._scale, "the network of timm")
