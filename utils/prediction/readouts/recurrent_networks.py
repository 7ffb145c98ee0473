"""Small recurrent networks, several at once, that read progress from a sequence: trained in PyTorch, stepped in numpy.

A layer's memory moves towards a candidate as far as a gate lets it, and both depend on the layer's input alone (the
minimal gated recurrent unit of Feng et al., "Were RNNs all we needed?", 2024):

    gate_t = sigmoid(A u_t),  candidate_t = tanh(B u_t),  memory_t = memory_{t-1} + gate_t (candidate_t - memory_{t-1})

All products are then made for all times at once, and only the last line runs from chunk to chunk, which trains several
times as fast as a GRU on one core.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.prediction.readouts.distribution import GRID

HIDDEN = 32
LEARNING_RATE = 2e-2
WARM_UP = 10  # steps
WEIGHT_DECAY = 1e-3
LARGEST_GRADIENT = 5.0
DROPOUT = 0.2
LABEL_WEIGHT = 0.3
COUNT_WEIGHT = 1.0
STRIDE = 3  # the losses are taken at every third chunk, from a random first one: neighbours say nearly the same
SLOW = 2.0  # an untrained gate lets sigmoid(-2), about an eighth, through


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences padded to one length.

    Attributes:
        inputs: (T, N, F) float32.
        progress: (T, N) float32 in [0, 1].
        labels: (T, N) int64, what is done.
        done: (T, N, L) float32, how much of each label has been done.
        weight: (T, N) float32, 0 where padded; of each sequence the sum is 1.
    """

    inputs: np.ndarray
    progress: np.ndarray
    labels: np.ndarray
    done: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class RecurrentNetworks:
    """S trained networks: an input layer, two recurrent ones, of which the second reads the first and the input layer,
    and an output layer, which reads both.

    Attributes:
        enter: (S, F + 1, H) float32, weights of inputs, then of 1, as in all four.
        first: (S, H + 1, 2 H), to gate and candidate.
        second: (S, 2 H + 1, 2 H).
        leave: (S, 2 H + 1, 101), to logits of progress over the grid.
    """

    enter: np.ndarray
    first: np.ndarray
    second: np.ndarray
    leave: np.ndarray

    def start(self) -> np.ndarray:
        """The memories before the first step, (S, 2, H) float32."""
        networks, _, hidden = self.enter.shape
        return np.zeros((networks, 2, hidden), dtype=np.float32)

    def step(self, inputs: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The mean distribution of progress after one more input, (101,) float64.

        Args:
            inputs: (F,) float32.
            memory: from `start`; changed in place.
        """
        entered = np.maximum(inputs @ self.enter[:, :-1] + self.enter[:, -1], 0)
        memory[:, 0] = _remember(memory[:, 0], _product(entered, self.first))
        memory[:, 1] = _remember(memory[:, 1], _product(np.concatenate([memory[:, 0], entered], axis=1), self.second))
        logits = _product(memory.reshape(len(memory), -1), self.leave).astype(np.float64)
        mass = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (mass / mass.sum(axis=1, keepdims=True)).mean(axis=0)


def _product(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(S, I) values of each network by its weights (S, I + 1, O), (S, O)."""
    return (values[:, None] @ weights[:, :-1])[:, 0] + weights[:, -1]


def _remember(memory: np.ndarray, gate_and_candidate: np.ndarray) -> np.ndarray:
    gate, candidate = np.split(gate_and_candidate, 2, axis=1)
    share = (1 + np.tanh(gate / 2)) / 2  # the sigmoid, without overflow
    return memory + share * (np.tanh(candidate) - memory)


class _Remember(torch.autograd.Function):
    """memory_t = memory_{t-1} + gate_t (candidate_t - memory_{t-1}), all (S, T, N, H), from a memory of zeros.

    Written out, because a graph with a node for each step would cost more than all products.
    """

    @staticmethod
    def forward(context, gate: Tensor, candidate: Tensor) -> Tensor:
        memory = torch.empty_like(candidate)
        before = torch.zeros_like(candidate[:, 0])
        for now_gate, now_candidate, now in zip(gate.unbind(1), candidate.unbind(1), memory.unbind(1), strict=True):
            before = torch.lerp(before, now_candidate, now_gate, out=now)
        context.save_for_backward(gate, candidate, memory)
        return memory

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gate, candidate, memory = context.saved_tensors
        gradient = gradient.clone()
        steps, kept = gradient.unbind(1), (1 - gate).unbind(1)
        for now in range(len(steps) - 2, -1, -1):
            steps[now].addcmul_(kept[now + 1], steps[now + 1])
        of_gate = gradient * candidate
        of_gate[:, 1:] -= gradient[:, 1:] * memory[:, :-1]
        return of_gate, gradient * gate


def run_networks(weights: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """The memories of both layers after each input, (S, T, N, 2 H).

    Args:
        weights: `enter`, `first` and `second` of `RecurrentNetworks`.
        inputs: (S, T, N, F).
    """
    networks, length, number, _ = inputs.shape
    hidden = weights["enter"].shape[2]

    def layer(name: str, values: Tensor) -> Tensor:
        # Contiguous, because the functions are several times as slow on a part of a row.
        gate, candidate = (part.contiguous() for part in _by_weights(values, weights[name]).split(hidden, dim=2))
        shape = (networks, length, number, hidden)
        memory = _Remember.apply(torch.sigmoid(gate).view(shape), torch.tanh(candidate).view(shape))
        return memory.view(networks, -1, hidden)

    entered = torch.relu(_by_weights(inputs.reshape(networks, length * number, -1), weights["enter"]))
    first = layer("first", entered)
    second = layer("second", torch.cat([first, entered], dim=2))
    return torch.cat([first, second], dim=2).view(networks, length, number, 2 * hidden)


def _by_weights(values: Tensor, weights: Tensor) -> Tensor:
    return torch.baddbmm(weights[:, -1:], values, weights[:, :-1])


def train_networks(
    batches: Iterable[SequenceBatch], steps: int, inputs: int, labels: int, networks: int, seed: int
) -> RecurrentNetworks:
    """Trains networks, each on its own part of every batch.

    The loss of progress is the continuous ranked probability score, the mean over the grid of
    (P(progress <= grid) - [truth <= grid])^2, which for a certain answer is the absolute error (Gneiting and Raftery,
    "Strictly proper scoring rules", 2007). The label at each moment and how much of each label has been done
    (cross-entropy and squared error) only help to find what matters; these outputs are not kept.

    Args:
        batches: of `networks` times as many sequences as one network reads in a step.
        steps: how many of them.
        inputs: F.
        labels: L.
        networks: S.
        seed: of weights, dropout, and of which chunks the losses are taken at.
    """
    generator = torch.Generator().manual_seed(seed)

    def new(rows: int, columns: int, scale: float = 1.0, slow: float = 0.0) -> Tensor:
        weights = torch.randn(networks, rows + 1, columns, generator=generator) * (scale / rows**0.5)
        weights[:, -1] = 0
        weights[:, -1, :HIDDEN] -= slow
        return weights.requires_grad_()

    weights = {
        "enter": new(inputs, HIDDEN),
        "first": new(HIDDEN, 2 * HIDDEN, slow=SLOW),
        "second": new(2 * HIDDEN, 2 * HIDDEN, slow=SLOW),
        "leave": new(2 * HIDDEN, len(GRID), 0.3),
        "label": new(2 * HIDDEN, labels, 0.3),
        "done": new(2 * HIDDEN, labels, 0.3),
    }
    optimizer = torch.optim.AdamW(weights.values(), weight_decay=WEIGHT_DECAY, fused=True)
    for step, batch in zip(range(steps), batches, strict=False):
        rate = min(1, (step + 1) / WARM_UP) * (1 + np.cos(np.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * rate
        loss = _loss(weights, batch, networks, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), LARGEST_GRADIENT * networks**0.5)
        optimizer.step()
    kept = {name: weights[name].detach().numpy() for name in ("enter", "first", "second", "leave")}
    return RecurrentNetworks(**kept)


def _loss(weights: dict[str, Tensor], batch: SequenceBatch, networks: int, generator: torch.Generator) -> Tensor:
    """The sum of the networks' losses."""
    first = int(torch.randint(STRIDE, (), generator=generator))
    where = slice(first if first < len(batch.progress) else 0, None, STRIDE)

    def divided(values: np.ndarray) -> Tensor:
        """(T, N, ...) to (S, T, N / S, ...)."""
        values = torch.from_numpy(np.ascontiguousarray(values))
        return values.unflatten(1, (networks, -1)).transpose(0, 1)

    memory = run_networks(weights, divided(batch.inputs))[:, where].flatten(1, 2)
    dropped = torch.rand(memory.shape, generator=generator) < DROPOUT
    memory = memory.masked_fill(dropped, 0) / (1 - DROPOUT)
    progress, labels, done, weight = (
        divided(values[where]).flatten(1, 2) for values in (batch.progress, batch.labels, batch.done, batch.weight)
    )
    below = torch.cumsum(torch.softmax(_by_weights(memory, weights["leave"]), dim=2), dim=2)
    points = torch.arange(len(GRID), dtype=torch.float32)
    truth = (points - progress[..., None] * (len(GRID) - 1) + 0.5).clamp(0, 1)
    score = 10 * torch.square(below - truth).mean(dim=2)
    of_labels = _by_weights(memory, weights["label"]).flatten(0, 1)
    of_labels = torch.nn.functional.cross_entropy(of_labels, labels.flatten(), reduction="none").view(labels.shape)
    of_done = torch.square(_by_weights(memory, weights["done"]) - done).sum(dim=2)
    each = score + LABEL_WEIGHT * of_labels + COUNT_WEIGHT * of_done
    return ((each * weight).sum(dim=1) / weight.sum(dim=1)).sum()
