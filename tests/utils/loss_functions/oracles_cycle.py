"""TCC and GTCC as naive loops straight from the formulas, and the mixture fit one target at a time: what the
tests (and the benchmark of the fit) compare with."""

import math

import torch

VARIANCE_FLOOR = 1e-3
PROBABILITY_FLOOR = 1e-30


def naive_distance(x, y, similarity):
    squared = ((x - y) ** 2).sum()
    if similarity == "squared":
        return squared
    if similarity == "squared_per_dimension":
        return squared / x.shape[0]
    return squared.sqrt() if squared > 0 else squared * 0.0


def naive_softmax_row(x, rows, temperature, similarity):
    """softmax over the rows of -distance / temperature."""
    logits = torch.stack([-naive_distance(x, row, similarity) / temperature for row in rows])
    weights = (logits - logits.max()).exp()
    return weights / weights.sum()


def naive_cycle_back(beta, frames, i, number_of_frames, alignment_variance):
    """L_cbr of frame i, with weights beta on `frames`."""
    last = max(number_of_frames - 1, 1)
    mean = sum(beta[index] * frame / last for index, frame in enumerate(frames))
    error = (i / last - mean) ** 2
    if alignment_variance == 0:
        return error
    variance = sum(beta[index] * (frame / last - mean) ** 2 for index, frame in enumerate(frames))
    variance = variance + VARIANCE_FLOOR
    return error / variance + alignment_variance * variance.sqrt().log()


def naive_tcc(sequences, alignment_variance, temperature, similarity):
    pair_values = []
    for first, own in enumerate(sequences):
        for second, other in enumerate(sequences):
            if first == second:
                continue
            values = []
            for i in range(len(own)):
                alpha = naive_softmax_row(own[i], other, temperature, similarity)
                neighbour = sum(alpha[j] * other[j] for j in range(len(other)))
                beta = naive_softmax_row(neighbour, own, temperature, similarity)
                values.append(naive_cycle_back(beta, range(len(own)), i, len(own), alignment_variance))
            pair_values.append(sum(values) / len(values))
    return sum(pair_values) / len(pair_values)


def naive_shares(alpha, weights, components):
    """alpha (M,) shared out among the components of a mixture: psi (K,) and distributions (K, M)."""
    mixture = [sum(w * p[j] for w, p in zip(weights, components, strict=True)) for j in range(len(alpha))]
    masses = [
        [alpha[j] * w * p[j] / mixture[j] for j in range(len(alpha))]
        for w, p in zip(weights, components, strict=True)
    ]
    return [sum(mass) for mass in masses], [[each / sum(mass) for each in mass] for mass in masses]


def naive_gtcc(
    sequences,
    fits,
    drawn,
    gamma,
    dropouts,
    temperature,
    alignment_variance,
    epoch,
    similarity,
    soft_neighbours="components",
    reciprocal="frame",
    normalization="none",
    epsilon=0.1,
):
    """GTCC with given mixtures and draws.

    fits[first, second] = (weights, components) and drawn[video] = (anchors, windows).
    """
    pair_values = []
    given = sequences
    if normalization == "unit":
        sequences = naive_unit_frames(sequences)
    for first, own in enumerate(sequences):
        anchors, windows = drawn[first]
        last = max(len(own) - 1, 1)
        for second, other in enumerate(sequences):
            if first == second:
                continue
            weights, components = fits[first, second]
            values = []
            for a, i in enumerate(anchors):
                window = windows[a]
                multi_cycle = 0.0
                psi, shares = weights[a], components[a]
                if soft_neighbours == "responsibilities":
                    psi, shares = naive_shares(
                        naive_softmax_row(own[i], other, temperature, similarity), psi, shares
                    )
                for k in range(len(psi)):
                    neighbour = sum(shares[k][j] * other[j] for j in range(len(other)))
                    beta = naive_softmax_row(
                        neighbour, [own[frame] for frame in window], temperature, similarity
                    )
                    cycle = naive_cycle_back(beta, window, i, len(own), alignment_variance)
                    multi_cycle = multi_cycle + psi[k] * cycle
                if gamma == 1 or not dropouts:
                    values.append(multi_cycle)
                    continue
                logits = [(torch.cat([frame, torch.ones(1)]) * dropouts[second]).sum() for frame in given[first]]
                mean = sum(logits) / len(logits)
                spread = (sum((logit - mean) ** 2 for logit in logits) / len(logits) + 1e-6) ** 0.5
                drop = 1 / (1 + (-(logits[i] - mean) / spread).exp())
                floor = gamma ** (epoch + 1)
                keep = floor + (1 - floor) * (1 - drop)
                squared = (len(window) ** 2 - 1) / 12 / last**2 if reciprocal == "chance" else 1 / last**2
                balance, smallest = squared, 0.0
                if alignment_variance:
                    balance = squared / (squared + VARIANCE_FLOOR)
                    balance += alignment_variance * math.log(math.sqrt(squared + VARIANCE_FLOOR))
                    smallest = alignment_variance * math.log(math.sqrt(VARIANCE_FLOOR))
                balance -= smallest
                dropped = smallest + balance * (1 + epsilon) / ((multi_cycle - smallest) / balance + epsilon)
                values.append(keep * multi_cycle + (1 - keep) * dropped)
            pair_values.append(sum(values) / len(values))
    return sum(pair_values) / len(pair_values)


def naive_unit_frames(sequences):
    """Every frame minus the mean of all, divided by its root mean square with a floor of a thousandth."""
    frames = [frame for sequence in sequences for frame in sequence]
    mean = sum(frames) / len(frames)
    return [
        torch.stack(
            [(x - mean) / (sum(value**2 for value in x - mean) / len(x) + 1e-6) ** 0.5 for x in sequence]
        )
        for sequence in sequences
    ]


def symmetric_divergence(target, mixture):
    """KL(target || mixture) + KL(mixture || target) over the last axis."""
    difference = (mixture + PROBABILITY_FLOOR).log() - (target + PROBABILITY_FLOOR).log()
    return ((mixture - target) * difference).sum(-1)


def reference_mixture_fit(target, number_of_components):
    """Symmetric divergence reached by one L-BFGS for this target (M,): 8 rounds of 4 iterations, strong
    Wolfe.

    It starts from means spread evenly over [1, M - 1], standard deviations M and equal weights; the variance
    is floored at 1/2. May be NaN where the line search leaves the numbers that can be represented.
    """
    frames = torch.arange(len(target), dtype=target.dtype)
    mean = torch.linspace(1, len(target) - 1, number_of_components, dtype=target.dtype)
    deviation = torch.full((number_of_components,), float(len(target)), dtype=target.dtype)
    logit = torch.zeros(number_of_components, dtype=target.dtype)
    parameters = [each.requires_grad_() for each in (mean, deviation, logit)]
    optimizer = torch.optim.LBFGS(
        parameters, lr=0.5, max_iter=4, history_size=10, line_search_fn="strong_wolfe"
    )

    def divergence():
        variance = deviation.square().clamp_min(0.5)
        components = torch.softmax(-((frames - mean[:, None]) ** 2) / (2 * variance[:, None]), -1)
        return symmetric_divergence(target, torch.softmax(logit, 0) @ components)

    def closure():
        optimizer.zero_grad()
        value = divergence()
        value.backward()
        return value

    for _ in range(8):
        optimizer.step(closure)
    return divergence().item()


def random_walks(lengths, width, scale, seed, dtype=torch.float64):
    """Embeddings that walk randomly, steps of size `scale` a coordinate; they carry a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (scale * torch.randn(length, width, generator=generator, dtype=torch.float64).cumsum(0))
        .to(dtype)
        .requires_grad_()
        for length in lengths
    ]


def gradients_of(loss, sequences):
    loss.backward()
    gradients = [sequence.grad.clone() for sequence in sequences]
    for sequence in sequences:
        sequence.grad = None
    return gradients


def relative_error(actual, expected):
    """Largest difference over all tensors, relative to the largest expected entry."""
    largest = max(float(each.abs().max()) for each in expected)
    difference = max(float((a - e).abs().max()) for a, e in zip(actual, expected, strict=True))
    return difference / largest if largest > 0 else (math.inf if difference > 0 else 0.0)
