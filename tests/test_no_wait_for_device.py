"""A training step never waits for the device. Tensors on 'meta' hold nothing: reading a value back from one, or
branching on it, is an error."""

import pytest
import torch

from configs.generic_config import get_generic_config
from models.build_model import build_model
from utils.loss_entry import get_loss_function, gradient_sizes
from utils.training.log import all_finite

LENGTHS = (40, 31)
TIMES = [
    {
        "step": ["cut", "SIL", "stir"],
        "start_frame": [0, 10, 15],
        "end_frame": [9, 14, length - 1],
        "name": f"video{length}",
    }
    for length in LENGTHS
]


def test_reading_from_meta_is_an_error():
    with pytest.raises(RuntimeError):
        torch.ones((), device="meta").item()
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(torch.ones((), device="meta") > 0)


@pytest.mark.parametrize("loss", ["GTCC", "GTCC by responsibilities", "tcc", "LAV", "VAVA", "VAOT"])
@pytest.mark.parametrize(
    ("level", "frames", "normalizer"),
    [("video", "all", "own"), ("action", "all", "own"), ("video", "single", "own"), ("video", "all", "training"),
     ("action", "single", "training")],
)  # fmt: skip
def test_forward_losses_backward_and_clipping_read_nothing_back(loss, level, frames, normalizer):
    config = get_generic_config()
    config.LOSS_TYPE = {name: name == loss.split()[0] for name in config.LOSS_TYPE}
    config.PROGRESS_LOSS = {"enabled": True, "level": level, "frames": frames, "normalizer": normalizer}
    config.BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels = 16
    config.GTCC_PARAMS.gamma = 0.95
    config.GTCC_PARAMS.soft_neighbours = "responsibilities" if "responsibilities" in loss else "components"
    model = build_model(config.to_dict(), 24, 3).to("meta")
    output_dict = model([torch.randn(length, 24, device="meta") for length in LENGTHS])
    totals = {time_dict["name"]: 9.0 if level == "video" else {"cut": 3.0, "stir": 4.0} for time_dict in TIMES}
    losses = get_loss_function(config)(output_dict, 3, times_list=TIMES, generator=torch.Generator(), totals=totals)
    sizes = gradient_sizes(output_dict["outputs"], losses, 0.1)
    losses["total_loss"].backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    step = {**losses, **sizes, "gradient_norm": norm}
    assert {value.device.type for value in step.values()} == {"meta"}
    assert all_finite(*step.values()).device.type == "meta"
    assert all(each.grad is not None for each in model.encoder.parameters())
