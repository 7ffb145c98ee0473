"""The network on a batch, in the precision asked for."""

import pytest
import torch

from configs.generic_config import get_generic_config
from models.batch_loading import run_network
from models.build_model import build_model

CPU = torch.device("cpu")


def make_model(crosstask, architecture):
    config = get_generic_config()
    config.BASEARCH.ARCHITECTURE = architecture
    config.BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels = 32
    config.BASEARCH.Resnet50_ARCH = {"conv_num_channels": 8, "fc_layers": (16,)}
    config.ARCHITECTURE.MCN = crosstask
    torch.manual_seed(0)
    return build_model(config.to_dict(), 16, 2)


def make_videos(architecture):
    generator = torch.Generator().manual_seed(1)
    shape = (16, 6, 6) if architecture == "resnet50" else (16,)
    return [torch.randn(length, *shape, generator=generator) for length in (12, 20)]


@pytest.mark.parametrize("crosstask", [True, False])
@pytest.mark.parametrize("architecture", ["temporal_stacking", "naive", "resnet50"])
def test_bfloat16_rounds_the_products_and_gives_float32_back(crosstask, architecture):
    model, videos = make_model(crosstask, architecture), make_videos(architecture)
    exact = run_network(model, videos, CPU)
    rounded = run_network(model, videos, CPU, "bfloat16")
    assert exact.keys() == rounded.keys()
    for name, values in exact.items():
        for expected, found in zip(values, rounded[name], strict=True):
            assert found.dtype == torch.float32
            # Eight bits of mantissa over a few layers, relative to the largest entry.
            assert (expected - found).abs().max() <= 0.05 * expected.abs().max()
    assert not torch.equal(exact["outputs"][0], rounded["outputs"][0])


def test_gradients_reach_float32_weights():
    model, videos = make_model(True, "temporal_stacking"), make_videos("temporal_stacking")
    gradients = []
    for precision in ("float32", "bfloat16"):
        model.zero_grad(set_to_none=True)
        sum(output.square().mean() for output in run_network(model, videos, CPU, precision)["outputs"]).backward()
        parts = [each.grad for each in model.parameters() if each.grad is not None]
        assert all(part.dtype == torch.float32 for part in parts)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99
