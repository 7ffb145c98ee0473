"""Maps of ResNet-50's block conv4c, as TCC's authors used them: for BASEARCH.ARCHITECTURE 'resnet50'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from utils.video.encoders.protocol import (
    NORMALIZATIONS,
    digest_of_weights,
    full_name,
    normalized,
    resize_option,
    size_option,
)
from utils.video.encoders.torch_network import HUB
from utils.video.encoders.torchvision_model import make_classifier

SIDE, CHANNELS, STRIDE = 224, 1024, 16
BLOCKS = 3  # of the fourth group: conv4a, conv4b, conv4c


class Conv4cEncoder:
    """The output of the third block of ResNet-50's fourth group, (1024, height / 16, width / 16), of torchvision."""

    options: ClassVar[tuple[str, ...]] = ("size", "resize", "weights")
    description = "conv4c"
    with_motion = False

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        whole = make_classifier("resnet50", options.get("weights", HUB))
        begin = [whole.conv1, whole.bn1, whole.relu, whole.maxpool, whole.layer1, whole.layer2]
        self._network = nn.Sequential(*begin, whole.layer3[:BLOCKS]).eval()
        self.size, self.resize = size_option(options, SIDE), resize_option(options)
        self.shape = (CHANNELS, -(-self.size[1] // STRIDE), -(-self.size[0] // STRIDE))
        self.name = full_name(
            "conv4c", self.size, self.resize, "imagenet", digest_of_weights(self._network.state_dict())
        )

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 to (n, 1024, height / 16, width / 16) float32; see `ImageEncoder`."""
        given = torch.from_numpy(normalized(pixels, *NORMALIZATIONS["imagenet"]))
        maps = np.empty((len(pixels), *self.shape), np.float32)
        with torch.inference_mode():
            for number, picture in enumerate(given):
                maps[number] = self._network(picture[None]).numpy()[0]
        return maps
