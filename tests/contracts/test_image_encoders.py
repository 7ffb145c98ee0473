"""Every encoder of pictures keeps its contracts, and what breaks one is found."""

import numpy as np
import pytest
import torch

from tests.contracts.image_encoders import check_batch, check_features, check_image_encoder, check_pictures_unchanged
from tests.utils.video.encoders.exported import Channels, libraries_of_networks, write_onnx
from utils.registry import IMAGE_ENCODERS


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory):
    """A description of each encoder of the registry, with fixed weights."""
    folder = tmp_path_factory.mktemp("encoders")
    timm, torchvision = libraries_of_networks()
    torch.jit.save(torch.jit.script(Channels()), folder / "channels.pt")
    torch.save(timm.create_model("resnet10t", num_classes=0).state_dict(), folder / "timm.pth")
    torch.save(torchvision.models.resnet18().state_dict(), folder / "resnet18.pth")
    torch.save(torchvision.models.resnet50().state_dict(), folder / "resnet50.pth")
    return {
        "lite0": "lite0", "pixels": "pixels",
        "onnx": f"onnx:{write_onnx(folder / 'means.onnx')}",
        "torchscript": f"torchscript:{folder / 'channels.pt'},size=8",
        "timm": f"timm:resnet10t,size=32,weights={folder / 'timm.pth'}",
        "torchvision": f"torchvision:resnet18,size=32,weights={folder / 'resnet18.pth'}",
        "conv4c": f"conv4c,size=32,weights={folder / 'resnet50.pth'}",
    }  # fmt: skip


@pytest.mark.parametrize("name", IMAGE_ENCODERS)
def test_every_encoder_keeps_its_contracts(descriptions, name):
    check_image_encoder(descriptions[name])


class Stub:
    """Sums over the columns of each picture."""

    size, resize, shape = (2, 3), "stretch", (3,)

    def encode(self, pixels):
        return pixels.sum((2, 3)).astype(np.float32)


class OfTheBatch(Stub):
    def encode(self, pixels):
        return super().encode(pixels) - super().encode(pixels).mean()


class Changes(Stub):
    def encode(self, pixels):
        pixels[:] = pixels // 2
        return super().encode(pixels)


class Blind(Stub):
    def encode(self, pixels):
        return np.ones((len(pixels), 3), np.float32)


class Doubles(Stub):
    def encode(self, pixels):
        return super().encode(pixels).astype(np.float64)


@pytest.mark.parametrize(
    ("check", "broken", "words"),
    [
        (check_batch, OfTheBatch, "depend on the pictures beside it"),
        (check_pictures_unchanged, Changes, "changes the pictures"),
        (check_features, Blind, "two pictures have the same features"),
        (check_features, Doubles, "expected float32"),
    ],
)
def test_a_broken_encoder_is_found(check, broken, words):
    check(Stub())
    with pytest.raises(AssertionError, match=words):
        check(broken())
