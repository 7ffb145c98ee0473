"""The skip projection: an embedding begins as good as its features."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from configs.generic_config import get_generic_config
from models.build_model import build_model
from models.layers import SkipProjection, mean_of_last
from tests.contracts.encoders import check_encoder

FEATURES, WIDTH = 6, 8


def make_model(
    width=WIDTH, architecture="temporal_stacking", crosstask=False, causal=True, features=FEATURES, means=(4, 16, 64)
):
    config = get_generic_config()
    config.OUTPUT_DIMENSIONALITY, config.CAUSAL, config.BASEARCH.ARCHITECTURE = width, causal, architecture
    config.BASEARCH.TEMPORAL_STACKING_ARCH = {"conv_num_channels": 16, "num_layers": 4}
    config.BASEARCH.Resnet50_ARCH = {"conv_num_channels": 6, "fc_layers": (8,)}
    config.BASEARCH.NAIVE_ARCH.layers = (16, 8)
    config.ARCHITECTURE = {
        "MCN": crosstask, "num_heads": 2, "head_layers": (8,), "attn_layers": (8,), "dropping": False,
        "skip_means": means,
    }  # fmt: skip
    return build_model(config.to_dict(), features, number_of_tasks=2)


class Embeds(nn.Module):
    """A model as its encoder is tested."""

    feature_width = FEATURES

    def __init__(self, **settings):
        super().__init__()
        self.model = make_model(**settings)
        for weight in self.model.skip.mean_weights:  # they begin at zero
            nn.init.normal_(weight)
        self.frames_ahead, self.frames_behind = self.model.frames_ahead, self.model.frames_behind

    def forward(self, videos):
        return self.model(videos)["outputs"]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("crosstask", [True, False])
@pytest.mark.parametrize("width", [WIDTH, 4])
def test_a_model_with_it_keeps_the_contracts_of_an_encoder(width, crosstask, causal):
    check_encoder(
        lambda: Embeds(width=width, crosstask=crosstask, causal=causal, means=(2, 12)), (FEATURES,), causal=causal
    )


@pytest.mark.parametrize("crosstask", [True, False])
@pytest.mark.parametrize("architecture", ["temporal_stacking", "naive"])
def test_an_untrained_network_has_the_nearest_neighbours_of_its_features(architecture, crosstask):
    torch.manual_seed(0)
    model = make_model(architecture=architecture, crosstask=crosstask).eval()
    videos = [torch.randn(60, FEATURES), torch.randn(70, FEATURES)]
    with torch.no_grad():
        embedded = model(videos)["outputs"]
    for (one, other), (own, others) in ((videos, embedded), (videos[::-1], embedded[::-1])):
        distances = torch.cdist(one, other)
        found = distances.gather(1, torch.cdist(own, others).argmin(1, keepdim=True))[:, 0]
        # Nearly always the same frame, and hardly further away where it is another one.
        assert float((found == distances.amin(1)).float().mean()) > 0.7
        assert float(found.mean()) < 1.05 * float(distances.amin(1).mean())


def test_of_a_map_it_takes_the_mean_over_places():
    model = make_model(architecture="resnet50").eval()
    maps = torch.randn(5, FEATURES, 3, 4)
    with torch.no_grad():
        difference = model([maps])["outputs"][0] - SkipProjection.LEARNED_SHARE * model.encoder([maps])[0]
    expected = functional.pad(maps.mean(dim=(2, 3)), (0, WIDTH - FEATURES))
    torch.testing.assert_close(difference, expected, rtol=1e-4, atol=1e-5)


def test_what_the_network_adds_has_its_share():
    skip = SkipProjection(3, 5)
    features, learned = torch.randn(7, 3), torch.randn(7, 5)
    (embedding,) = skip([features], [learned])
    torch.testing.assert_close(embedding, functional.pad(features, (0, 2)) + SkipProjection.LEARNED_SHARE * learned)


def test_wide_features_are_projected_on_orthogonal_directions():
    skip = SkipProjection(200, 50)
    torch.testing.assert_close(skip.weight.mT @ skip.weight, torch.eye(50), rtol=0, atol=1e-5)
    # Distances are kept up to one factor, to about sqrt(2 / 50).
    frames = torch.randn(30, 200)
    (embedding,) = skip([frames], [torch.zeros(30, 50)])
    ratio = functional.pdist(embedding) / functional.pdist(frames)
    assert float((ratio.std() / ratio.mean()).detach()) < 0.2


@pytest.mark.parametrize(("length", "frames"), [(1, 4), (3, 4), (10, 1), (10, 2), (20, 7), (90, 64), (5, 64)])
def test_the_mean_of_the_last_frames(length, frames):
    video = torch.randn(length, 3, dtype=torch.float64)
    expected = torch.stack([video[max(0, t + 1 - frames) : t + 1].mean(0) for t in range(length)])
    torch.testing.assert_close(mean_of_last(video, frames), expected)


def test_a_mean_is_the_same_to_the_last_bit_where_the_video_begins_earlier():
    video = torch.randn(300, 5)
    assert torch.equal(mean_of_last(video[100:], 64)[63:], mean_of_last(video, 64)[163:])


def test_what_is_learned_of_the_means_is_added():
    skip = SkipProjection(3, 5, means=(2, 4))
    features, learned, weights = torch.randn(7, 3), torch.zeros(7, 5), torch.randn(2, 3, 5)
    assert torch.equal(skip([features], [learned])[0], SkipProjection(3, 5)([features], [learned])[0])
    skip([features], [learned])[0].square().sum().backward()
    assert all(float(weight.grad[:, :3].abs().min()) > 0 for weight in skip.mean_weights)
    with torch.no_grad():
        for weight, value in zip(skip.mean_weights, weights, strict=True):
            weight.copy_(value)
    expected = functional.pad(features, (0, 2))
    expected = expected + mean_of_last(features, 2) @ weights[0] + mean_of_last(features, 4) @ weights[1]
    torch.testing.assert_close(skip([features], [learned])[0], expected)


@pytest.mark.parametrize("crosstask", [True, False])
def test_a_model_reads_as_far_back_as_the_longest_mean(crosstask):
    assert make_model(crosstask=crosstask).frames_behind == 63
    assert make_model(crosstask=crosstask, means=(2,)).frames_behind == 7  # that of four convolutions
    assert make_model(architecture="naive", crosstask=crosstask, means=(5, 3)).frames_behind == 4
    assert make_model(architecture="naive", crosstask=crosstask, means=()).frames_behind == 0
