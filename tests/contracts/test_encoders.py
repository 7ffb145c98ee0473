"""Every encoder of the registry keeps the contracts, and each contract refuses one that breaks it."""

import pytest
import torch
from torch import nn

from configs.generic_config import get_generic_config
from models.build_model import build_model
from tests.contracts.encoders import check_encoder
from utils.registry import ENCODERS

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
WIDTH, OUTPUT = 6, 5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_keeps_the_contracts(name, causal, device):
    def make():
        config = get_generic_config()
        config.OUTPUT_DIMENSIONALITY, config.CAUSAL, config.BASEARCH.ARCHITECTURE = OUTPUT, causal, name
        config.BASEARCH.TEMPORAL_STACKING_ARCH = {"conv_num_channels": 16, "num_layers": 4}
        config.BASEARCH.Resnet50_ARCH = {"conv_num_channels": 6, "fc_layers": (8,), "frames_per_chunk": 5}
        config.BASEARCH.NAIVE_ARCH.layers = (16, 8)
        return build_model(config.to_dict(), WIDTH, number_of_tasks=1).encoder

    frame_shape = (WIDTH, 3, 4) if ENCODERS[name].reads_maps else (WIDTH,)
    check_encoder(make, frame_shape, causal=causal, device=device)


class Averaging(nn.Module):
    """A causal encoder that keeps every contract: a linear layer on a frame and the one before."""

    frames_behind, frames_ahead = 1, 0
    feature_width = WIDTH

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(WIDTH, OUTPUT)

    def embed(self, video):
        return self.layer(video + torch.cat([video[:1], video[:-1]]))

    def forward(self, videos):
        return [self.embed(video) for video in videos]


class OtherWidth(Averaging):
    feature_width = WIDTH + 1


class LosesAVideo(Averaging):
    def forward(self, videos):
        return super().forward(videos[:-1])


class LosesAFrame(Averaging):
    def embed(self, video):
        return super().embed(video)[: max(1, len(video) - 1)]


class DividesByTheSpread(Averaging):
    def embed(self, video):
        return super().embed(video) / (video - video[:1]).abs().sum(dim=1, keepdim=True)


class SeesTheFuture(Averaging):
    def embed(self, video):
        return super().embed(video) + super().embed(video).mean(dim=0)


class SaysTooLittle(Averaging):
    frames_behind = 0


class SaysTooMuch(Averaging):
    frames_behind = 2


class NormalisesOverTheBatch(Averaging):
    def forward(self, videos):
        return [output + len(videos) for output in super().forward(videos)]


class Remembers(Averaging):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def embed(self, video):
        self.calls += len(video) == 30
        return super().embed(video) + self.calls


class Dithers(Averaging):
    def embed(self, video):
        return super().embed(video + (torch.randn_like(video) if len(video) == 12 else 0))


class CentresInPlace(Averaging):
    def embed(self, video):
        if not video.requires_grad and len(video) == 12 and torch.is_grad_enabled():
            video -= 1
        return super().embed(video)


class Detaches(Averaging):
    def embed(self, video):
        return super().embed(video.detach())


class HasAnIdleLayer(Averaging):
    def __init__(self):
        super().__init__()
        self.idle = nn.Linear(2, 2)


class CountsItself(Averaging):
    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1
        nn.init.constant_(self.layer.bias, type(self).made)


class AlwaysTheSame(Averaging):
    def __init__(self):
        super().__init__()
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.5)


class HidesANumber(Averaging):
    def __init__(self):
        super().__init__()
        self.scale = torch.rand(())

    def embed(self, video):
        scale = self.scale if self.scale.device == video.device else 2.0
        return super().embed(video) * scale


BROKEN = {
    "feature_width is 7": OtherWidth,
    "gives 2 embeddings for 3 videos": LosesAVideo,
    r"of shape \(1, 5\) for 2 frames": LosesAFrame,
    "isn't finite": DividesByTheSpread,
    "depends on a later one": SeesTheFuture,
    "frames_behind is 0, but the embedding depends on 1": SaysTooLittle,
    "frames_behind is 2, but the embedding depends on 1": SaysTooMuch,
    "otherwise than alone": NormalisesOverTheBatch,
    "in two ways": (Remembers, Dithers),
    "changes the features": CentresInPlace,
    "no gradient reaches video 0": Detaches,
    "no gradient reaches the parameter idle.weight": HasAnIdleLayer,
    "one seed gives two encoders": CountsItself,
    "two seeds give one encoder": AlwaysTheSame,
    "isn't in the state dict": HidesANumber,
}
CASES = [(match, each) for match, made in BROKEN.items() for each in (made if isinstance(made, tuple) else (made,))]


@pytest.mark.parametrize(("refusal", "encoder"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_encoder_that_breaks_a_contract_is_refused(refusal, encoder):
    with pytest.raises(AssertionError, match=refusal):
        check_encoder(encoder, (WIDTH,), causal=True)


def test_an_encoder_that_is_not_causal_may_not_say_that_it_is():
    class Ahead(Averaging):
        frames_behind, frames_ahead = 0, 1

        def embed(self, video):
            return self.layer(video + torch.cat([video[1:], video[-1:]]))

    check_encoder(Ahead, (WIDTH,), causal=False)
    with pytest.raises(AssertionError, match="frames_ahead is 1; expected 0"):
        check_encoder(Ahead, (WIDTH,), causal=True)


def test_an_encoder_that_keeps_them_all_passes():
    check_encoder(Averaging, (WIDTH,), causal=True)
