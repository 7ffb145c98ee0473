"""Tiny image encoders as files, and the libraries of networks."""

import importlib

import numpy as np
import torch


class Channels(torch.nn.Module):
    """Linear in the mean of each channel: (n, 3, height, width) to (n, 2)."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2, bias=False)
        self.linear.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 0.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.mean(dim=(2, 3)))


def channels_of(pixels):
    """What `Channels` gives for pixels in 0 to 1."""
    means = pixels.reshape(len(pixels), -1, 3).mean(1) / 255
    return np.stack([means[:, 0] + 2 * means[:, 2], -means[:, 1]], 1)


def write_onnx(path, side=8, batch="n", uint8=False):
    """Means of the channels, (n, 3): of (n, 3, side, side) floats, or of (n, side, side, 3) bytes."""
    from onnx import TensorProto, helper

    shape = [batch, side, side, 3] if uint8 else [batch, 3, side, side]
    given = helper.make_tensor_value_info("x", TensorProto.UINT8 if uint8 else TensorProto.FLOAT, shape)
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("ReduceMean", ["f"], ["y"], axes=[1, 2] if uint8 else [2, 3], keepdims=0))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])
    graph = helper.make_graph(nodes, "means", [given], [out])
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )
    return path


def libraries_of_networks():
    """timm and torchvision.

    A torchvision that was built for GPUs lacks its operators beside a PyTorch without; an image encoder needs none of
    them, but they must be declared.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        libraries_of_networks.kept = library  # what it declares goes with it
    return importlib.import_module("timm"), importlib.import_module("torchvision")
