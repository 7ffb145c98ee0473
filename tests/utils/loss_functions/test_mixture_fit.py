import itertools

import pytest
import torch

from tests.utils.loss_functions.oracles_cycle import reference_mixture_fit, symmetric_divergence
from utils.loss_functions.mixture_fit import fit_mixtures
from utils.loss_functions.mixture_steps import VARIANCE_FLOOR_IN_FRAMES, Mixtures
from utils.loss_functions.similarity import SIMILARITIES, similarity_logits


def targets_of(frames, scale, similarity, anchors, seed, walk=True):
    generator = torch.Generator().manual_seed(seed)
    own, other = (scale * torch.randn(frames, 128, generator=generator) for _ in range(2))
    if walk:
        own, other = own.cumsum(0), other.cumsum(0)
    chosen = torch.randperm(frames, generator=generator)[:anchors]
    return similarity_logits(own[chosen], other, 0.1, similarity).softmax(-1)


def fitted(targets, number_of_components=15, **settings):
    fit = fit_mixtures(targets, number_of_components, **settings)
    return (fit.weights().unsqueeze(-1) * fit.components(targets.shape[1])).sum(1)


@pytest.mark.parametrize("scale", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("frames", [100, 300, 1000])
def test_as_good_as_one_lbfgs_for_every_anchor(frames, scale):
    good = []
    for seed, similarity in enumerate(SIMILARITIES):
        targets = targets_of(frames, scale, similarity, 6, seed, walk=seed % 2 == 0)
        reached = symmetric_divergence(targets.double(), fitted(targets).double())
        reference = torch.tensor([reference_mixture_fit(target.double(), 15) for target in targets])
        # (Where the reference itself breaks down, only a finite fit is asked for.)
        good += torch.where(
            reference.isfinite(), reached <= 1.02 * reference + 1e-4, reached.isfinite()
        ).tolist()
    assert sum(good) / len(good) >= 0.98


def test_a_mixture_is_found_again():
    truth = Mixtures(
        torch.tensor([[40.0, 90.0, 200.0]], dtype=torch.float64),
        torch.tensor([[9.0, 400.0, 25.0]], dtype=torch.float64).log(),
        torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log(),
    )
    target = (truth.weights().unsqueeze(-1) * truth.components(250)).sum(1)
    assert symmetric_divergence(target, fitted(target, 3, iterations=30)).item() < 1e-3
    assert symmetric_divergence(target, fitted(target, 6, iterations=30)).item() < 1e-3


def test_more_steps_do_no_harm():
    targets = targets_of(120, 0.1, "euclidean", 20, 0)
    values = [symmetric_divergence(targets, fitted(targets, iterations=n)) for n in (0, 2, 8, 20)]
    for before, after in itertools.pairwise(values):
        assert (after <= before * (1 + 1e-4) + 1e-6).all()
    assert values[-1].mean() < values[0].mean()


@pytest.mark.parametrize("number_of_components", [1, 2, 15])
@pytest.mark.parametrize("frames", [1, 2, 3, 50, 400])
def test_weights_and_components_are_distributions(frames, number_of_components):
    targets = torch.cat(
        [
            torch.eye(frames)[[0, frames // 2, -1]],
            torch.full((1, frames), 1 / frames),
            torch.softmax(5 * torch.randn(4, frames, generator=torch.Generator().manual_seed(0)), -1),
        ]
    )
    fit = fit_mixtures(targets, number_of_components)
    assert torch.allclose(fit.weights().sum(-1), torch.ones(8))
    components = fit.components(frames)
    assert components.shape == (8, number_of_components, frames)
    assert (components >= 0).all()
    assert torch.allclose(components.sum(-1), torch.ones(8, number_of_components), atol=1e-5)
    assert (fit.log_variance.exp() >= VARIANCE_FLOOR_IN_FRAMES * (1 - 1e-6)).all()


def test_components_are_discretised_gaussians():
    fit = Mixtures(torch.tensor([[3.3, -20.0]]), torch.tensor([[4.0, 2.0]]).log(), torch.zeros(1, 2))
    frames = torch.arange(12.0)
    for k, (mean, variance) in enumerate([(3.3, 4.0), (-20.0, 2.0)]):
        expected = torch.softmax(-((frames - mean) ** 2) / (2 * variance), -1)
        assert torch.allclose(fit.components(12)[0, k], expected, atol=1e-6)


@pytest.mark.parametrize("lengths", [(60, 90), (40, 300)])
def test_padding_changes_nothing(lengths):
    longest = max(lengths)
    targets = [targets_of(length, 0.1, "squared_per_dimension", 4, 1) for length in lengths]
    padded = torch.cat([torch.nn.functional.pad(each, (0, longest - each.shape[1])) for each in targets])
    of_each = torch.tensor([length for length in lengths for _ in range(4)])
    together = fit_mixtures(padded, 5, lengths=of_each).split([4, 4])
    for target, fit in zip(targets, together, strict=True):
        mixture = (fit.weights().unsqueeze(-1) * fit.components(target.shape[1])).sum(1)
        alone = symmetric_divergence(target, fitted(target, 5))
        assert torch.allclose(symmetric_divergence(target, mixture), alone, rtol=0.2, atol=1e-4)


def test_targets_do_not_influence_each_other_and_order_is_kept():
    targets = targets_of(80, 0.1, "euclidean", 6, 2)
    together = fit_mixtures(targets, 5)
    reverse = fit_mixtures(targets.flip(0), 5)
    for one, other in zip(together, reverse, strict=True):
        assert torch.allclose(one, other.flip(0), rtol=1e-3, atol=1e-3)


def test_no_gradient_goes_through():
    targets = torch.full((2, 20), 1 / 20, requires_grad=True)
    assert not any(each.requires_grad for each in fit_mixtures(targets, 3))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"\(targets, frames\)"):
        fit_mixtures(torch.ones(4), 3)
    with pytest.raises(ValueError, match="1 component"):
        fit_mixtures(torch.ones(1, 4) / 4, 0)
    with pytest.raises(ValueError, match="iterations"):
        fit_mixtures(torch.ones(1, 4) / 4, 2, iterations=-1)
