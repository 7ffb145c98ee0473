import numpy as np
import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from utils.loss_functions.alignment_priors import uniform_mass
from utils.loss_functions.fused_transport import STEP, FusedTransport, fused_plan, neighbour_sums, reach_of


def random_costs(n, m, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, n, m, generator=generator, dtype=torch.float64)


def masses_of(costs, lengths):
    return tuple(uniform_mass([pair[side] for pair in lengths], costs.shape[1 + side], costs) for side in (0, 1))


def solved(costs, problem, sinkhorn_iterations=200, step=STEP):
    lengths = [tuple(costs.shape[1:])]
    return fused_plan(costs, lengths, masses_of(costs, lengths), problem, sinkhorn_iterations, step)[0]


def band(length, reach):
    offsets = np.abs(np.arange(length)[:, None] - np.arange(length))
    return ((offsets >= 1) & (offsets <= reach)).astype(float)


def objective(plan, costs, problem):
    """The problem's objective without the bin, by matrices."""
    n, m = plan.shape
    w_n, w_m = reach_of(n, problem.radius), reach_of(m, problem.radius)
    alpha, kappa = problem.structure_weight, (n / w_n + m / w_m) / 2
    reward = (plan * (band(n, w_n) @ plan @ band(m, w_m))).sum()
    entropy = (plan * (np.log(plan * n * m + 1e-300) - 1)).sum()
    return (1 - alpha) * (plan * costs).sum() - alpha * kappa / 2 * reward + problem.regularization * entropy


def of_pot(costs, alpha, eps, radius, steps):
    """The plan of POT, whose structural cost is the squared difference of the entries: of it, -2 products matter."""
    gromov = pytest.importorskip("ot.gromov")
    n, m = costs.shape[1:]
    w_n, w_m = reach_of(n, radius), reach_of(m, radius)
    structure = (n / w_n + m / w_m) / 8 * band(n, w_n), band(m, w_m)
    return gromov.entropic_fused_gromov_wasserstein(
        costs[0].numpy(), *structure, np.full(n, 1 / n), np.full(m, 1 / m), "square_loss", eps, True, alpha,
        max_iter=steps, tol=0, solver="PGD", stopThr=1e-14, numItermax=1000,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize(("alpha", "eps", "radius"), [(0.3, 0.07, 0.2), (0.7, 0.2, 0.1), (0.0, 0.1, 0.2)])
def test_whole_steps_are_those_of_pot_where_all_frames_are_matched(steps, alpha, eps, radius):
    costs = random_costs(13, 17)
    plan = solved(costs, FusedTransport(alpha, radius, 100.0, eps, steps), 500, step=1.0)
    np.testing.assert_allclose(plan.numpy(), of_pot(costs, alpha, eps, radius, steps), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("alpha", "eps", "radius"), [(0.3, 0.1, 0.2), (0.2, 0.07, 0.3)])
def test_the_end_is_that_of_pot(alpha, eps, radius):
    costs = random_costs(13, 17)
    plan = solved(costs, FusedTransport(alpha, radius, 100.0, eps, 300), 20)
    np.testing.assert_allclose(plan.numpy(), of_pot(costs, alpha, eps, radius, 300), rtol=1e-6, atol=1e-9)


def test_the_published_structural_cost_has_the_same_plans_where_all_frames_are_matched():
    # Where both videos have the same radius in frames over frames, as in the paper, kappa is 1 / radius.
    n, m, alpha, radius, eps = 10, 15, 0.4, 0.2, 0.1
    costs = random_costs(n, m)
    near_rows, far_columns = band(n, 2) / radius, 1 - band(m, 3)
    plan = np.full((n, m), 1 / (n * m))
    for _ in range(5):
        linear = (1 - alpha) * costs[0].numpy() + alpha * near_rows @ plan @ far_columns
        plan = np.array(oracle.transport(linear.tolist(), np.ones((n, m)).tolist(), 50.0, eps, 300)[0])
    ours = solved(costs, FusedTransport(alpha, radius, 50.0, eps, 5), 300, step=1.0)
    np.testing.assert_allclose(ours.numpy(), plan, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("zeta", [0.05, 0.3, 4.0])
def test_plan_with_a_bin_is_that_of_the_formula(zeta):
    costs = random_costs(6, 8, seed=1)
    plan = solved(costs, FusedTransport(0.4, 0.3, zeta, 0.1, 4))
    expected = oracle.fused_plan(costs[0].tolist(), 0.4, 0.3, zeta, 0.1, 4)
    torch.testing.assert_close(plan, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-12)


def test_the_objective_falls_with_every_step_and_no_nearby_plan_is_better():
    costs = random_costs(14, 11, seed=2)
    values = []
    for steps in (1, 2, 3, 5, 10, 300):
        problem = FusedTransport(0.5, 0.15, 100.0, 0.1, steps)
        plan = solved(costs, problem, 50).numpy()
        values.append(objective(plan, costs[0].numpy(), problem))
    assert values == sorted(values, reverse=True)
    generator = np.random.default_rng(0)
    for _ in range(50):
        # A change that keeps all sums of rows and columns.
        i, k = generator.choice(14, 2, replace=False)
        j, other = generator.choice(11, 2, replace=False)
        moved = plan.copy()
        size = 0.1 * min(moved[i, j], moved[k, other])
        moved[[i, k], [j, other]] -= size
        moved[[i, k], [other, j]] += size
        assert objective(moved, costs[0].numpy(), problem) >= values[-1] - 1e-12


def test_few_iterations_of_each_transport_end_at_the_same_plan():
    for zeta in (0.3, 100.0):
        problem = FusedTransport(0.3, 0.1, zeta, 0.1, 300)
        costs = random_costs(20, 25, seed=3)
        torch.testing.assert_close(solved(costs, problem, 2), solved(costs, problem, 40), rtol=1e-4, atol=1e-8)


def test_plain_and_logarithmic_iterations_agree():
    costs = random_costs(20, 25, seed=4)
    # 30 regularizations of zeta and twice the weight of the structure: there the iterations change.
    below, above = (solved(costs, FusedTransport(0.3, 0.1, zeta, 0.1, 5)) for zeta in (2.4 - 1e-8, 2.4 + 1e-8))
    torch.testing.assert_close(below, above, rtol=1e-5, atol=1e-10)


def test_frames_dearer_than_two_costs_of_the_bin_stay_unmatched():
    costs = torch.full((1, 4, 4), 5.0, dtype=torch.float64)
    costs[0].fill_diagonal_(0.0)
    costs[0, 3, 3] = 5.0
    plan = solved(costs, FusedTransport(0.1, 0.3, 0.5, 0.02, 20))
    assert plan.diagonal()[:3].min() > 0.24
    assert plan[3].sum() < 1e-3


def test_structure_matches_neighbours_with_neighbours():
    # All cells cost the same but two far from the diagonal, which are a little cheaper.
    costs = torch.full((1, 20, 20), 0.5, dtype=torch.float64)
    costs[0].fill_diagonal_(0.4)
    costs[0, 3, 15] = costs[0, 15, 3] = 0.35
    alone, together = (solved(costs, FusedTransport(alpha, 0.1, 9.0, 0.01, 30)) for alpha in (0.0, 0.3))
    assert alone[3, 15] > alone[3, 3]
    assert together[3, 15] < together[3, 3]


def test_padding_changes_nothing_and_holds_nothing():
    sizes = [(9, 12), (14, 7)]
    problem = FusedTransport(0.4, 0.2, 0.4, 0.1, 5)
    padded = torch.full((2, 14, 12), 1e6, dtype=torch.float64)
    for index, (n, m) in enumerate(sizes):
        padded[index, :n, :m] = random_costs(n, m, seed=5 + index)[0]
    for zeta in (0.4, 9.0):
        problem = problem._replace(zeta=zeta)
        plans = fused_plan(padded, sizes, masses_of(padded, sizes), problem, 3)
        for plan, (n, m), index in zip(plans, sizes, range(2), strict=True):
            alone = solved(random_costs(n, m, seed=5 + index), problem, 3)
            torch.testing.assert_close(plan[:n, :m], alone)
            assert plan[n:].abs().sum() + plan[:, m:].abs().sum() == 0


@pytest.mark.parametrize("length", [1, 2, 5, 12])
@pytest.mark.parametrize("reach", [1, 2, 4, 30])
@pytest.mark.parametrize("dim", [0, 1])
def test_sums_over_neighbours(length, reach, dim):
    shape = (length, 3) if dim == 0 else (3, length)
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = torch.from_numpy(band(length, reach))
    expected = matrix @ values if dim == 0 else values @ matrix
    found = neighbour_sums(values, reach, dim, torch.empty_like(values), torch.empty_like(values))
    torch.testing.assert_close(found, expected)
