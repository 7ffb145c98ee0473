"""LAV, VAVA and what they are made of, in plain Python loops over floats, straight from the formulas."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import torch

Frames = Sequence[Sequence[float]]
Matrix = list[list[float]]


def distance(u: Sequence[float], v: Sequence[float], similarity: str) -> float:
    squared = sum((a - b) ** 2 for a, b in zip(u, v, strict=True))
    return {
        "squared": squared,
        "squared_per_dimension": squared / len(u),
        "euclidean": math.sqrt(squared),
    }[similarity]


def distances(rows: Frames, columns: Frames, similarity: str) -> Matrix:
    return [[distance(u, v, similarity) for v in columns] for u in rows]


def soft_dtw(
    costs: Matrix, smoothing: float, allowed: Callable[[int, int], bool] = lambda i, j: True
) -> float:
    rows, columns = len(costs), len(costs[0])
    total = {(-1, -1): 0.0}
    for i in range(rows):
        for j in range(columns):
            before = [total[p] for p in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if p in total]
            if not before or not allowed(i, j):
                continue
            least = min(before)
            soft = least - smoothing * math.log(sum(math.exp((least - b) / smoothing) for b in before))
            total[i, j] = costs[i][j] + soft
    return total.get((rows - 1, columns - 1), math.inf)


def expected_visits(costs: Matrix, smoothing: float, step: float = 1e-5) -> Matrix:
    """How often the path of soft-DTW visits each cell: the derivative of its value."""
    visits = []
    for i, row in enumerate(costs):
        visits.append([])
        for j in range(len(row)):
            moved = []
            for sign in (1, -1):
                changed = [list(each) for each in costs]
                changed[i][j] += sign * step
                moved.append(soft_dtw(changed, smoothing))
            visits[i].append((moved[0] - moved[1]) / (2 * step))
    return visits


def trusted_cells(costs: Matrix, smoothing: float, trust: float) -> Matrix:
    """The expected visits of each cell, the less the further its frames are from being each other's neighbours."""
    visits = expected_visits(costs, smoothing)
    for i, row in enumerate(costs):
        for j, cost in enumerate(row):
            beyond = cost - min(row) + cost - min(other[j] for other in costs)
            visits[i][j] *= math.exp(-beyond / trust)
    return visits


def unit_frames(videos: Sequence[Frames]) -> list[Frames]:
    """Less the mean of all frames, and of root mean square 1."""
    frames = [frame for video in videos for frame in video]
    mean = [sum(column) / len(frames) for column in zip(*frames, strict=True)]
    result = []
    for video in videos:
        result.append([])
        for frame in video:
            moved = [x - m for x, m in zip(frame, mean, strict=True)]
            size = math.sqrt(sum(x * x for x in moved) / len(moved) + 1e-6)
            result[-1].append([x / size for x in moved])
    return result


def regulariser(frames: Frames, window: float, margin: float, similarity: str) -> float:
    length = len(frames)
    near = far = near_weights = far_weights = 0.0
    for i in range(length):
        for j in range(length):
            if i == j:
                continue
            weight = (40.0 * (i - j) / (length - 1)) ** 2 + 1.0
            apart = distance(frames[i], frames[j], similarity)
            if abs(i - j) <= max(1.0, window * (length - 1)):
                near += apart / weight
                near_weights += 1.0 / weight
            else:
                far += weight * max(0.0, margin - apart)
                far_weights += weight
    return (near / near_weights if near_weights else 0.0) + (far / far_weights if far_weights else 0.0)


def lav(
    videos: Sequence[Frames],
    min_temp,
    alpha,
    margin,
    window,
    similarity,
    trust=0.0,
    targets: list[Matrix] | None = None,
) -> float:
    """`targets`: the trusted cells, in the order of the pairs; filled where it is empty."""
    targets = [] if targets is None else targets
    recorded = bool(targets)
    terms = []
    for index, (u, v) in enumerate(combinations(videos, 2)):
        costs = distances(u, v, similarity)
        if trust > 0:
            if not recorded:
                targets.append(trusted_cells(costs, min_temp, trust))
            pairs = zip(targets[index], costs, strict=True)
            aligned = sum(w * cost for row, own in pairs for w, cost in zip(row, own, strict=True))
        else:
            aligned = soft_dtw(costs, min_temp)
        aligned /= len(u) + len(v)
        inside = regulariser(u, window, margin, similarity) + regulariser(v, window, margin, similarity)
        terms.append(aligned + alpha * inside)
    return sum(terms) / len(terms)


def prior(costs: Matrix, share: float, width: float) -> Matrix:
    """share * consistency + (1 - share) * optimality, each with mean 1."""
    n, m = len(costs), len(costs[0])
    x = [i / max(n - 1, 1) for i in range(n)]
    y = [j / max(m - 1, 1) for j in range(m)]
    best_column = [min(range(m), key=lambda j: costs[i][j]) for i in range(n)]
    best_row = [min(range(n), key=lambda i: costs[i][j]) for j in range(m)]
    result = [[0.0] * m for _ in range(n)]
    for kind, part in (("consistency", share), ("optimality", 1.0 - share)):
        values = [[0.0] * m for _ in range(n)]
        for i in range(n):
            for j in range(m):
                if kind == "consistency":
                    away = abs(x[i] - y[j]) / math.sqrt(2)
                else:
                    away = (abs(x[i] - x[best_row[j]]) + abs(y[j] - y[best_column[i]])) / 2
                values[i][j] = math.exp(-(away**2) / (2 * width**2))
        mean = sum(map(sum, values)) / (n * m)
        for i in range(n):
            for j in range(m):
                result[i][j] += part * values[i][j] / mean
    return result


def transport(costs: Matrix, cells: Matrix, zeta: float, eps: float, iterations: int = 3000):
    """Plan, masses left out of rows and of columns, and the objective, of the problem with a virtual bin.

    Uniform masses; `cells` is the prior. Alternating exact solution of the constraints, without any
    acceleration.
    """
    n, m = len(costs), len(costs[0])
    slack = math.exp(-zeta / eps)
    kernel = [[cells[i][j] * math.exp(-costs[i][j] / eps) for j in range(m)] for i in range(n)]
    u, v = [1.0] * n, [1.0] * m
    for _ in range(iterations):
        u = [1.0 / (sum(kernel[i][j] * v[j] for j in range(m)) / m + slack) for i in range(n)]
        v = [1.0 / (sum(kernel[i][j] * u[i] for i in range(n)) / n + slack) for j in range(m)]
    plan = [[u[i] * kernel[i][j] * v[j] / (n * m) for j in range(m)] for i in range(n)]
    rows_out, columns_out = [slack * x / n for x in u], [slack * x / m for x in v]

    def divergence(value: float, reference: float) -> float:
        return (value * math.log(value / reference) if value > 0 else 0.0) - value + reference

    objective = zeta * (sum(rows_out) + sum(columns_out))
    for i in range(n):
        for j in range(m):
            objective += plan[i][j] * costs[i][j] + eps * divergence(plan[i][j], cells[i][j] / (n * m))
    objective += eps * sum(divergence(s, 1.0 / n) for s in rows_out)
    objective += eps * sum(divergence(r, 1.0 / m) for r in columns_out)
    return plan, rows_out, columns_out, objective


def inter(costs: Matrix, plan: Matrix, margin: float) -> float:
    """Mean of both directions of sum_i m_i max(0, margin + d+_i - d-_i)."""
    total = 0.0
    for transposed in (False, True):
        here = [list(column) for column in zip(*costs, strict=True)] if transposed else costs
        target = [list(column) for column in zip(*plan, strict=True)] if transposed else plan
        for own, share in zip(here, target, strict=True):
            mass, others = sum(share), len(own) - 1
            if others == 0 or mass == 0:
                continue
            matched = sum(d * t / mass for d, t in zip(own, share, strict=True))
            unmatched = sum(d * (1.0 - t / mass) for d, t in zip(own, share, strict=True)) / others
            total += 0.5 * mass * max(0.0, margin + matched - unmatched)
    return total


def vava(
    videos: Sequence[Frames],
    zeta,
    regularization,
    prior_width,
    consistency,
    intra_weight,
    inter_weight,
    margin,
    window,
    inter_margin,
    similarity,
    plans: list[Matrix] | None = None,
) -> float:
    """`plans`: the targets of the inter-video term, in the order of the pairs; filled where it is empty."""
    plans = [] if plans is None else plans
    recorded = bool(plans)
    terms = []
    for index, (u, v) in enumerate(combinations(videos, 2)):
        costs = distances(u, v, similarity)
        mean = sum(map(sum, costs)) / (len(u) * len(v))
        costs = [[each / mean for each in row] for row in costs]
        cells = prior(costs, consistency, prior_width)
        plan, _, _, value = transport(costs, cells, zeta, regularization, 400)
        if not recorded:
            plans.append(plan)
        inside = regulariser(u, window, margin, similarity) + regulariser(v, window, margin, similarity)
        terms.append(value + intra_weight * inside + inter_weight * inter(costs, plans[index], inter_margin))
    return sum(terms) / len(terms)


def fused_plan(costs: Matrix, alpha: float, radius: float, zeta: float, eps: float, steps: int) -> Matrix:
    """Fused Gromov-Wasserstein transport by conditional gradient with steps of a half; every transport to its end."""
    n, m = len(costs), len(costs[0])
    w_n, w_m = max(1, int(radius * n)), max(1, int(radius * m))
    kappa = (n / w_n + m / w_m) / 2
    plan = current = [[1.0 / (n * m)] * m for _ in range(n)]
    ones = [[1.0] * m for _ in range(n)]
    for step in range(steps):
        if step > 0:
            current = [[(x + y) / 2 for x, y in zip(*rows, strict=True)] for rows in zip(current, plan, strict=True)]
        linear = [[0.0] * m for _ in range(n)]
        for i in range(n):
            for j in range(m):
                near = sum(
                    current[k][other]
                    for k in range(n)
                    for other in range(m)
                    if 1 <= abs(i - k) <= w_n and 1 <= abs(j - other) <= w_m
                )
                linear[i][j] = (1 - alpha) * costs[i][j] - alpha * kappa * near
        plan = transport(linear, ones, zeta, eps, 1000)[0]
    return plan


def vaot(
    videos: Sequence[Frames],
    softmax_temp,
    structure_weight,
    radius,
    order_weight,
    zeta,
    regularization,
    iterations,
    intra_weight,
    margin,
    window,
    similarity,
    plans: list[Matrix] | None = None,
) -> float:
    """`plans`: the targets, in the order of the pairs; filled where it is empty."""
    plans = [] if plans is None else plans
    recorded = bool(plans)
    terms = []
    for index, (u, v) in enumerate(combinations(videos, 2)):
        n, m = len(u), len(v)
        costs = [[each / 2 for each in row] for row in distances(u, v, similarity)]
        if not recorded:
            away = [[abs(i / max(n - 1, 1) - j / max(m - 1, 1)) for j in range(m)] for i in range(n)]
            prior_costs = [[costs[i][j] + order_weight * away[i][j] for j in range(m)] for i in range(n)]
            plans.append(fused_plan(prior_costs, structure_weight, radius, zeta, regularization, iterations))
        similar = [[math.exp(-each / softmax_temp) for each in row] for row in costs]
        entropy = 0.0
        for i in range(n):
            for j in range(m):
                by_row = similar[i][j] / sum(similar[i])
                by_column = similar[i][j] / sum(similar[k][j] for k in range(n))
                entropy -= plans[index][i][j] * (math.log(by_row) + math.log(by_column)) / 2
        inside = regulariser(u, window, margin, similarity) + regulariser(v, window, margin, similarity)
        terms.append(entropy + intra_weight * inside)
    return sum(terms) / len(terms)


def slopes(
    function: Callable[[list[Frames]], float], videos: list[Frames], step: float = 1e-5
) -> list[torch.Tensor]:
    """The gradient of a function of videos by central differences."""
    result = []
    for index, video in enumerate(videos):
        gradient = torch.zeros(len(video), len(video[0]), dtype=torch.float64)
        for i in range(len(video)):
            for k in range(len(video[0])):
                moved = []
                for sign in (1, -1):
                    changed = [[list(frame) for frame in each] for each in videos]
                    changed[index][i][k] += sign * step
                    moved.append(function(changed))
                gradient[i, k] = (moved[0] - moved[1]) / (2 * step)
        result.append(gradient)
    return result
