"""Every loss of the registry keeps the contracts, and each contract refuses a loss that breaks it."""

import pytest
import torch

from configs.generic_config import get_generic_config
from tests.contracts.losses import check_loss
from utils.loss_functions.alignment_terms import alignment_terms
from utils.registry import LOSSES

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps_the_contracts(name, device):
    config = get_generic_config()
    config.LOSS_TYPE = {other: other == name for other in LOSSES}
    (term,) = alignment_terms(config).values()
    check_loss(term.function, term.parameters, same_under_autocast=True, device=device)


def test_gtcc_with_frames_dropped_too():
    config = get_generic_config()
    config.GTCC_PARAMS = {"gamma": 0.95, "delta": 0.2, "normalization": "none"}
    (term,) = alignment_terms(config).values()
    check_loss(term.function, term.parameters, same_under_autocast=True)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("similarity", ["squared", "euclidean"])
def test_the_other_distances_too(name, similarity):
    config = get_generic_config()
    parameters = {**config[LOSSES[name].settings].to_dict(), "similarity": similarity}
    config[LOSSES[name].settings] = {"similarity": similarity}
    config.LOSS_TYPE = {other: other == name for other in LOSSES}
    check_loss(alignment_terms(config)[name].function, parameters)


def distance_of_means(embeddings):
    """A loss that keeps every contract."""
    middles = torch.stack([video.mean(dim=0) for video in embeddings])
    return (middles - middles.mean(dim=0)).square().sum()


def draws_as_it_likes(embeddings):
    return distance_of_means(embeddings) * (1 + torch.rand(()).to(embeddings[0]))


def takes_a_draw_away(embeddings):
    torch.rand(())
    return distance_of_means(embeddings)


def centres_in_place(embeddings):
    with torch.no_grad():
        embeddings[0] -= embeddings[0].mean(dim=0)
    return distance_of_means(embeddings)


def empties_the_list(embeddings):
    value = distance_of_means(embeddings)
    embeddings.pop()
    return value


def moves_the_segments(embeddings, times):
    times[0]["end_frame"][-1] += 1
    return distance_of_means(embeddings)


def scales_the_contexts(embeddings, dropouts):
    dropouts[0].mul_(2)
    return distance_of_means(embeddings)


def path_of(video):
    return video.diff(dim=0).norm(dim=1).sum()


BROKEN = {
    "expected a tensor": lambda embeddings: 3.0,
    "expected a scalar": lambda embeddings: embeddings[0].sum(dim=0),
    "for embeddings of": lambda embeddings: distance_of_means(embeddings).double(),
    "expected a finite value": lambda embeddings: distance_of_means(embeddings) * torch.inf,
    "without a gradient": lambda embeddings: distance_of_means(embeddings).detach(),
    "no gradient reaches video 2": lambda embeddings: distance_of_means(embeddings[:2]),
    "the gradient of video 0 isn't finite": lambda embeddings: (embeddings[0][:1] * 0).norm() + path_of(embeddings[1])
    + (embeddings[0].sum() * 0).sqrt() + distance_of_means(embeddings),
    "changes the embedding of video 0": centres_in_place,
    "changes the list of embeddings": empties_the_list,
    "changes the time_dicts": moves_the_segments,
    "changes the dropouts": scales_the_contexts,
    "for the same batch and generator": draws_as_it_likes,
    "global generator": takes_a_draw_away,
    "for videos of 1 and 1 frames": lambda embeddings: sum(path_of(video) / (len(video) - 1) for video in embeddings)
    + distance_of_means(embeddings),
    "videos whose frames are all the same": lambda embeddings: distance_of_means(embeddings)
    / (embeddings[0] - embeddings[0][0]).square().sum().clamp(min=0 if len(embeddings[0]) == 20 else 1),
    "float32 gives": lambda embeddings: distance_of_means([video + 1e6 for video in embeddings]),
    "in another order": lambda embeddings: distance_of_means(embeddings) + embeddings[0].square().mean(),
}


@pytest.mark.parametrize("refusal", BROKEN)
def test_a_loss_that_breaks_a_contract_is_refused(refusal):
    with pytest.raises(AssertionError, match=refusal):
        check_loss(BROKEN[refusal])


def test_what_autocast_rounds_is_refused():
    def product(embeddings):
        return distance_of_means(embeddings) + sum((video.T @ video).square().mean() for video in embeddings)

    check_loss(product)
    with pytest.raises(AssertionError, match="under autocast"):
        check_loss(product, same_under_autocast=True)


def test_a_loss_that_keeps_them_all_passes_with_its_settings():
    check_loss(distance_of_means)
    check_loss(lambda embeddings, scale: scale * distance_of_means(embeddings), {"scale": 2.0})
