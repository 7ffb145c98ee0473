import math

import numpy as np
import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from utils.loss_functions.alignment_priors import mixed_prior, uniform_mass
from utils.loss_functions.optimal_transport import (
    scale_logarithmic,
    scale_plain,
    sinkhorn,
)


def random_problem(n, m, seed=0):
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(n, m, generator=generator, dtype=torch.float64)
    a, b = (torch.rand(size, generator=generator, dtype=torch.float64) + 0.1 for size in (n, m))
    return costs, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("regularization", [0.05, 0.2, 1.0])
def test_plan_and_gradient_are_those_of_pot(regularization):
    bregman = pytest.importorskip("ot.bregman")
    costs, a, b = random_problem(7, 9)
    upstream = torch.randn(7, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own, theirs = costs.clone().requires_grad_(), costs.clone().requires_grad_()
    plan = sinkhorn(own, regularization, a, b, iterations=1000)
    expected = bregman.sinkhorn(
        a, b, theirs, regularization, method="sinkhorn_log", numItermax=1000, stopThr=0, warn=False
    )
    torch.testing.assert_close(plan, expected, atol=1e-10, rtol=1e-7)
    for loss in (lambda each, where: (each * upstream).sum(), lambda each, where: (each * where).sum()):
        (gradient,) = torch.autograd.grad(loss(plan, own), own, retain_graph=True)
        (reference,) = torch.autograd.grad(loss(expected, theirs), theirs, retain_graph=True)
        torch.testing.assert_close(gradient, reference, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("unmatched_cost", [None, 0.0, 0.3, 2.0])
def test_marginals(unmatched_cost):
    costs, a, b = random_problem(8, 5, seed=2)
    plan = sinkhorn(costs, 0.1, a, b, unmatched_cost, iterations=500)
    assert plan.min() >= 0
    if unmatched_cost is None:
        torch.testing.assert_close(plan.sum(1), a)
        torch.testing.assert_close(plan.sum(0), b)
    else:
        assert (plan.sum(1) <= a).all()
        assert (plan.sum(0) <= b).all()
        # Whatever is left out of one side is left out of the other, frame by frame a multiple of u and v.
        kernel = (-costs / 0.1).exp()
        left_out = a - plan.sum(1), b - plan.sum(0)
        k = math.exp(-unmatched_cost / 0.1)
        expected = left_out[0][:, None] * kernel * left_out[1] / k**2
        torch.testing.assert_close(plan, expected, rtol=1e-5, atol=0)


def test_a_virtual_bin_takes_what_is_dearer_than_two_frames_left_out():
    costs = torch.full((3, 3), 5.0, dtype=torch.float64).fill_diagonal_(0.0)
    costs[2, 2] = 1.1
    for zeta, kept in ((0.5, 0.0), (0.6, 1 / 3)):
        plan = sinkhorn(costs, 0.005, unmatched_cost=zeta, iterations=300)
        expected = torch.tensor([1 / 3, 1 / 3, kept], dtype=torch.float64).diag()
        torch.testing.assert_close(plan, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("unmatched_cost", [None, 0.3])
def test_gradient_by_finite_differences_in_a_padded_batch(unmatched_cost):
    generator = torch.Generator().manual_seed(3)
    costs = torch.rand(2, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    a, b = uniform_mass([4, 2], 4, costs.detach()), uniform_mass([5, 3], 5, costs.detach())

    def plan(each):
        return sinkhorn(each, 0.2, a, b, unmatched_cost, iterations=300)

    assert torch.autograd.gradcheck(plan, costs)
    alone = sinkhorn(costs[1, :2, :3], 0.2, unmatched_cost=unmatched_cost, iterations=300)
    torch.testing.assert_close(plan(costs)[1, :2, :3], alone)
    assert plan(costs)[1, 2:].abs().sum() == 0
    assert plan(costs)[1, :, 3:].abs().sum() == 0


@pytest.mark.parametrize("zeta", [0.1, 0.5])
def test_plan_with_a_bin_is_that_of_plain_loops(zeta):
    costs, _, _ = random_problem(4, 6, seed=4)
    cells, _, _ = random_problem(4, 6, seed=5)
    expected, rows_out, columns_out, _ = oracle.transport(costs.tolist(), cells.tolist(), zeta, 0.2, 2000)
    plan = sinkhorn(costs, 0.2, unmatched_cost=zeta, log_prior=cells.log(), iterations=200)
    torch.testing.assert_close(plan, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(0.25 - plan.sum(1), torch.tensor(rows_out, dtype=torch.float64))
    torch.testing.assert_close(1 / 6 - plan.sum(0), torch.tensor(columns_out, dtype=torch.float64))


def test_no_plan_is_better():
    # The objective of the loops, at their plan, against the same objective at random plans near it.
    costs, _, _ = random_problem(4, 5, seed=6)
    cells = torch.ones(4, 5, dtype=torch.float64)
    plan, _, _, best = oracle.transport(costs.tolist(), cells.tolist(), 0.3, 0.1)
    plan = torch.tensor(plan, dtype=torch.float64)

    def objective(each):
        def divergence(value, reference):
            return (value * (value / reference).log() - value + reference).sum()

        rows_out, columns_out = 0.25 - each.sum(1), 0.2 - each.sum(0)
        information = divergence(each, cells / 20) + divergence(rows_out, 0.25) + divergence(columns_out, 0.2)
        return (each * costs).sum() + 0.3 * (rows_out.sum() + columns_out.sum()) + 0.1 * information

    assert objective(plan).item() == pytest.approx(best, rel=1e-9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        other = plan * (0.1 * torch.randn(4, 5, generator=generator, dtype=torch.float64)).exp()
        other = other * torch.minimum(0.249 / other.sum(1), torch.ones(4)).unsqueeze(1)
        other = other * torch.minimum(0.199 / other.sum(0), torch.ones(5))
        assert objective(other) >= best


def test_plain_and_logarithmic_iterations_agree_and_the_balance_speeds_them_up():
    costs, a, b = random_problem(30, 40, seed=7)
    for zeta in (0.05, 0.5, 2.0):
        log_slack = -zeta / 0.1
        plain = scale_plain((-costs / 0.1).exp(), a, b, math.exp(log_slack), 20)
        logarithmic = scale_logarithmic(-costs / 0.1, a, b, log_slack, 20)
        for one, other in zip(plain, logarithmic, strict=True):
            torch.testing.assert_close(one, other)
        # Without the balance thousands of iterations are needed where nearly everything is matched.
        converged = scale_plain((-costs / 0.1).exp(), a, b, math.exp(log_slack), 500)
        torch.testing.assert_close(plain.rows, converged.rows, atol=1e-3, rtol=0)


@pytest.mark.parametrize("regularization", [1e-4, 1e-2, 1.0, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("unmatched_cost", [None, 0.5])
def test_finite_at_any_regularization(regularization, scale, unmatched_cost):
    for dtype in (torch.float32, torch.float64):
        costs = (scale * random_problem(12, 9, seed=8)[0]).to(dtype).requires_grad_()
        plan = sinkhorn(costs, regularization, unmatched_cost=unmatched_cost, iterations=50)
        (gradient,) = torch.autograd.grad((plan * costs).sum(), costs)
        assert plan.isfinite().all()
        assert gradient.isfinite().all()
        assert plan.sum() <= 1 + 1e-4


@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
def test_prior_is_that_of_plain_loops(share):
    costs = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    lengths = [(6, 5), (3, 4)]
    masses = uniform_mass([6, 3], 6, costs), uniform_mass([5, 4], 5, costs)
    result = mixed_prior(costs, lengths, masses, share, 0.2)
    for index, (n, m) in enumerate(lengths):
        expected = oracle.prior(costs[index, :n, :m].tolist(), share, 0.2)
        np.testing.assert_allclose(result[index, :n, :m].numpy(), np.array(expected), rtol=1e-9)
        assert result[index, :n, :m].mean().item() == pytest.approx(1.0)


def test_bad_arguments_are_refused():
    costs = torch.zeros(3, 4)
    for arguments, complaint in (
        ({"regularization": 0.0}, "regularization"),
        ({"regularization": float("inf")}, "regularization"),
        ({"regularization": 0.1, "unmatched_cost": -1.0}, "unmatched"),
        ({"regularization": 0.1, "iterations": 0}, "iteration"),
    ):
        with pytest.raises(ValueError, match=complaint):
            sinkhorn(costs, **arguments)
    with pytest.raises(ValueError, match="costs must be"):
        sinkhorn(torch.zeros(3), 0.1)
