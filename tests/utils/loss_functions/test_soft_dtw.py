import numpy as np
import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from utils.loss_functions import compiled
from utils.loss_functions.soft_dtw import band_limit, soft_dtw, soft_dtw_and_gradient

SIZES = [(1, 1), (1, 5), (4, 1), (2, 2), (3, 7), (9, 6)]


@pytest.fixture(params=["scan", "diagonals"])
def path(request, monkeypatch):
    """Run a test on both implementations."""
    if request.param == "scan":
        pytest.importorskip("numba")
    monkeypatch.setattr(compiled, "numba_is_installed", lambda: request.param == "scan")
    return request.param


def random_costs(*shape, seed=0, dtype=torch.float64):
    return 3.0 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("band", [None, 0, 1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_value_is_that_of_the_recursion(path, size, band):
    n, m = size
    limit = band_limit(n, m, band)

    def allowed(i, j):
        return limit < 0 or abs(i * (m - 1) - j * (n - 1)) <= limit

    costs = random_costs(n, m)
    for smoothing in (1e-3, 0.1, 10.0):
        expected = oracle.soft_dtw(costs.tolist(), smoothing, allowed)
        assert soft_dtw(costs, smoothing, band=band).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("band", [None, 1])
def test_gradient_by_finite_differences(path, band):
    costs = random_costs(2, 5, 7).requires_grad_()
    lengths = [(5, 7), (3, 4)]
    assert torch.autograd.gradcheck(lambda each: soft_dtw(each, 0.3, lengths, band), costs)


def test_gradient_is_that_of_autograd_through_the_recursion(path):
    costs = random_costs(6, 9).requires_grad_()
    total = {(-1, -1): costs.new_zeros(())}
    for i in range(6):
        for j in range(9):
            before = [total[p] for p in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if p in total]
            total[i, j] = costs[i, j] - 0.2 * torch.logsumexp(-torch.stack(before) / 0.2, 0)
    (expected,) = torch.autograd.grad(total[5, 8], costs)
    (gradient,) = torch.autograd.grad(soft_dtw(costs, 0.2), costs)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("size", [(64, 64), (65, 63), (130, 70), (1, 200), (200, 1), (300, 280)])
@pytest.mark.parametrize("band", [None, 5])
def test_both_paths_agree_across_strips_and_chunks(size, band, monkeypatch):
    pytest.importorskip("numba")
    costs = random_costs(2, *size)
    lengths = [size, (max(1, size[0] - 7), max(1, size[1] - 2))]
    results = []
    for installed in (True, False):
        monkeypatch.setattr(compiled, "numba_is_installed", lambda installed=installed: installed)
        results.append(soft_dtw_and_gradient(costs, lengths, 0.1, band, True))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-7, atol=1e-9)


def test_value_and_gradient_are_those_of_tslearn(path):
    tslearn = pytest.importorskip("tslearn.metrics")
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(23, 4)), generator.normal(size=(31, 4))
    costs = torch.from_numpy(((first[:, None] - second[None]) ** 2).sum(-1)).requires_grad_()
    for gamma in (0.05, 1.0):
        value = soft_dtw(costs, gamma)
        (gradient,) = torch.autograd.grad(value, costs)
        reference = tslearn.SoftDTW(costs.detach().numpy(), gamma=gamma)
        assert value.item() == pytest.approx(reference.compute(), rel=1e-9)
        np.testing.assert_allclose(gradient.numpy(), reference.grad(), rtol=1e-7, atol=1e-9)


def test_a_batch_of_unequal_lengths_is_the_same_as_one_by_one(path):
    costs = random_costs(3, 8, 6).requires_grad_()
    lengths = [(8, 6), (5, 6), (2, 3)]
    values = soft_dtw(costs, 0.1, lengths, band=1)
    (gradient,) = torch.autograd.grad(values.sum(), costs)
    for index, (n, m) in enumerate(lengths):
        alone = costs[index, :n, :m].detach().requires_grad_()
        value = soft_dtw(alone, 0.1, band=1)
        torch.testing.assert_close(values[index], value)
        (expected,) = torch.autograd.grad(value, alone)
        torch.testing.assert_close(gradient[index, :n, :m], expected)
        assert gradient[index, n:].abs().sum() == 0
        assert gradient[index, :, m:].abs().sum() == 0


def test_gradient_counts_visits_of_a_path_from_corner_to_corner(path):
    costs = random_costs(12, 9).requires_grad_()
    (visits,) = torch.autograd.grad(soft_dtw(costs, 0.1), costs)
    torch.testing.assert_close(visits[[0, -1], [0, -1]], torch.ones(2, dtype=torch.float64))
    assert visits.min() >= 0
    assert visits.max() <= 1 + 1e-12
    assert visits.sum(0).min() >= 1 - 1e-12
    assert visits.sum(1).min() >= 1 - 1e-12


def test_transposing_changes_nothing(path):
    costs = random_costs(12, 7)
    for band in (None, 0, 2):
        torch.testing.assert_close(soft_dtw(costs, 0.1, band=band), soft_dtw(costs.T, 0.1, band=band))


def test_a_narrow_band_never_gives_infinity_and_a_wide_one_changes_nothing(path):
    for n in range(1, 9):
        for m in range(1, 9):
            costs = torch.ones(n, m, dtype=torch.float64)
            narrow, free = soft_dtw(costs, 0.01, band=0), soft_dtw(costs, 0.01)
            # A path of at most n + m - 1 cells of cost 1.
            assert free.item() - 1e-9 <= narrow.item() <= n + m - 1
            torch.testing.assert_close(soft_dtw(costs, 0.01, band=n + m), free)


def test_the_band_of_equal_lengths_is_the_diagonal(path):
    costs = random_costs(6, 6).requires_grad_()
    value = soft_dtw(costs, 0.1, band=0)
    torch.testing.assert_close(value, costs.diagonal().sum())
    (visits,) = torch.autograd.grad(value, costs)
    torch.testing.assert_close(visits, torch.eye(6, dtype=torch.float64))


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e8, 1e20])
def test_finite_at_any_scale(path, scale):
    for dtype in (torch.float32, torch.float64):
        costs = (scale * random_costs(70, 65, dtype=dtype)).requires_grad_()
        value = soft_dtw(costs, 0.1)
        (gradient,) = torch.autograd.grad(value, costs)
        assert value.isfinite()
        assert gradient.isfinite().all()
        assert value.dtype == dtype
        assert gradient.dtype == dtype


def test_float32_stays_accurate_over_a_long_path(path):
    costs = 100.0 * random_costs(400, 400).float().double()
    values, visits = soft_dtw_and_gradient(costs[None], [(400, 400)], 0.1, None, True)
    single, single_visits = soft_dtw_and_gradient(costs[None].float(), [(400, 400)], 0.1, None, True)
    assert single.item() == pytest.approx(values.item(), rel=1e-6)
    torch.testing.assert_close(single_visits.double(), visits, atol=1e-3, rtol=1e-3)


def test_nothing_is_read_back_to_the_host():
    # A tensor on the meta device has no numbers: reading one raises.
    costs = torch.zeros(2, 6, 5, device="meta", requires_grad=True)
    value = soft_dtw(costs, 0.1, [(6, 5), (4, 4)], band=1)
    value.sum().backward()
    assert value.shape == (2,)
    assert costs.grad.shape == costs.shape


@pytest.mark.parametrize(
    ("shape", "arguments", "complaint"),
    [
        ((3,), {}, "costs must be"),
        ((0, 3), {}, "costs must be"),
        ((2, 3), {"smoothing": 0.0}, "smoothing"),
        ((2, 3), {"smoothing": float("nan")}, "smoothing"),
        ((2, 3), {"band": -1}, "band"),
        ((1, 2, 3), {"lengths": [(2, 4)]}, "lengths"),
        ((1, 2, 3), {"lengths": [(0, 3)]}, "lengths"),
        ((1, 2, 3), {"lengths": [(2, 3), (2, 3)]}, "lengths"),
    ],
)
def test_bad_arguments_are_refused(shape, arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        soft_dtw(torch.zeros(shape), **arguments)


def test_not_a_number_is_not_hidden(path):
    costs = random_costs(5, 6)
    costs[2, 2] = float("nan")
    values, visits = soft_dtw_and_gradient(costs[None], [(5, 6)], 0.1, None, True)
    assert values.isnan().all()
    assert visits.isnan().any()
