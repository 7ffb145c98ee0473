"""Pieces shared by the networks: fully connected stacks, temporal convolution, the drop network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

# On a CPU, one product over all heads of a long video needs intermediate results of hundreds of MB. Allocating this
# memory costs more time than the single product saves. So heads are computed in groups whose largest intermediate
# result has this size and fits into the cache; a GPU computes all heads at once.
_CPU_BYTES_PER_PRODUCT = 8 << 20


def check_sequences(sequences: Sequence[torch.Tensor], parameter: torch.Tensor, frame_shape: tuple) -> None:
    """Refuse a batch that the network can't read.

    Args:
        sequences: list of tensors (T_i, *frame_shape), T_i >= 1.
        parameter: any parameter of the network, for its floating-point type.
        frame_shape: shape of one frame; None stands for any size.

    Raises:
        TypeError: not a list or tuple of tensors of the network's type.
        ValueError: no video at all, or one with another shape or without frames.
    """
    if not isinstance(sequences, (list, tuple)) or not all(isinstance(v, torch.Tensor) for v in sequences):
        raise TypeError("a network takes a list of tensors, one a video")
    if not sequences:
        raise ValueError("a network needs at least one video, the list is empty")
    wanted = "(T, " + ", ".join("any" if size is None else str(size) for size in frame_shape) + ")"
    for index, video in enumerate(sequences):
        fits = video.dim() == 1 + len(frame_shape) and all(
            size is None or size == given for size, given in zip(frame_shape, video.shape[1:], strict=True)
        )
        if not fits or video.numel() == 0:
            raise ValueError(
                f"video {index} of the batch has shape {tuple(video.shape)}, expected {wanted} with T >= 1"
            )
        if video.dtype != parameter.dtype:
            raise TypeError(f"video {index} of the batch is {video.dtype}, the network is {parameter.dtype}")


def join_frames(sequences: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[int]]:
    """Concatenate the frames of all videos, so that a frame-wise module runs once.

    Returns:
        the frames (sum T_i, ...) and the lengths T_i, with which `torch.Tensor.split` undoes it.
    """
    lengths = [sequence.shape[0] for sequence in sequences]
    return (sequences[0] if len(sequences) == 1 else torch.cat(list(sequences))), lengths


def draw_weight(weight: torch.Tensor, inputs: int, after_relu: bool) -> None:
    """Draw a layer's weight, in place, so that its outputs have the same variance as its inputs.

    Uniform with variance 1 / inputs, or 2 / inputs after a ReLU, which sets half of them to zero (He et al., ICCV
    2015, equation 10). With PyTorch's default the outputs shrink by a factor of 2.4 in each layer. All frames of a
    deep encoder then begin at almost the same point, and every soft nearest neighbour is the mean of the video.

    Args:
        weight: any shape.
        inputs: number of inputs that one output sums.
        after_relu: whether the inputs are the output of a ReLU.
    """
    bound = math.sqrt((6 if after_relu else 3) / inputs)
    nn.init.uniform_(weight, -bound, bound)


def fully_connected(widths: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from widths[0] to widths[-1] with an activation between them, none after the last."""
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [activation()] if index else []
        linear = nn.Linear(inputs, outputs)
        draw_weight(linear.weight, inputs, after_relu=bool(index) and activation is nn.ReLU)
        nn.init.zeros_(linear.bias)
        layers.append(linear)
    return nn.Sequential(*layers)


class StackedFullyConnected(nn.Module):
    """Several multilayer perceptrons (ReLU between layers) over the same input, as batched products.

    Args:
        heads: number L of perceptrons.
        widths: sizes from input to output, the same for all of them.

    Shape: (N, widths[0]) -> (N, L, widths[-1]). Layer i holds weights (L, widths[i], widths[i+1]), drawn by
    `draw_weight`, and biases (L, 1, widths[i+1]), which begin at zero.
    """

    def __init__(self, heads: int, widths: Sequence[int]):
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            weight = torch.empty(heads, inputs, outputs)
            draw_weight(weight, inputs, after_relu=index > 0)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(heads, 1, outputs)))
        self.heads = heads
        self.widest = max(widths)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        heads_per_product = self.heads
        if frames.device.type == "cpu":
            bytes_per_head = frames.shape[0] * self.widest * frames.element_size()
            heads_per_product = min(self.heads, max(1, _CPU_BYTES_PER_PRODUCT // bytes_per_head))
        # Indexed [layer][group]. One split per layer, so that its gradient is assembled once, not once per group.
        weights = [weight.split(heads_per_product) for weight in self.weights]
        biases = [bias.split(heads_per_product) for bias in self.biases]
        outputs = []
        for group in range(len(weights[0])):
            hidden = frames.expand(weights[0][group].shape[0], -1, -1)
            for layer in range(len(weights)):
                hidden = functional.relu_(hidden) if layer else hidden
                hidden = torch.baddbmm(biases[layer][group], hidden, weights[layer][group])
            outputs.append(hidden.transpose(0, 1))
        return torch.cat(outputs, dim=1)


class TemporalConvolution(nn.Module):
    """Convolution along the frames of one video, without bias, the output as long as the input.

    y_t = sum_j W_j x_(t + j - frames_behind), with zeros outside the video. It is computed as one matrix product per
    kernel position with frames as rows, which needs no transposition to channels first and back.

    Args:
        inputs, outputs: widths.
        kernel: number k of frames read.
        causal: pad by k - 1 frames before the video and none after. Otherwise pad by half of that on each side; if
            k - 1 is odd, the extra frame is after the video (as in `torch.nn.Conv1d(padding='same')`).
        after_relu: whether the input is the output of a ReLU (`draw_weight`).

    Shape: (T, inputs) -> (T, outputs). The weight is (kernel, inputs, outputs).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, causal: bool, after_relu: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kernel, inputs, outputs))
        draw_weight(self.weight, inputs * kernel, after_relu)
        self.frames_behind, self.frames_ahead = split_context(kernel, causal)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        frames = video.shape[0]
        padded = functional.pad(video, (0, 0, self.frames_behind, self.frames_ahead))
        output = padded[:frames] @ self.weight[0]
        for tap in range(1, self.weight.shape[0]):
            output = torch.addmm(output, padded[tap : tap + frames], self.weight[tap])
        return output


def split_context(frames: int, causal: bool) -> tuple[int, int]:
    """Splits a context of several frames around the current one into (frames behind, frames ahead)."""
    behind = frames - 1 if causal else (frames - 1) // 2
    return behind, frames - 1 - behind


class SkipProjection(nn.Module):
    """Carries the features past a network: z_t = P x_t + sum_k M_k mean_k(x)_t + LEARNED_SHARE f(x)_t.

    An embedding then begins as good as its features, and training changes it from there. P begins as the identity, the
    surplus columns zero; if the features are wider than the embedding, with columns that are orthogonal and drawn at
    random, which keep distances to about sqrt(2 / D) (Johnson and Lindenstrauss, 1984). It is trained too. Of a map,
    x_t is the mean over its places. mean_k is the mean of the last k frames (`mean_of_last`), and the projections M_k
    begin at zero: how much is smoothed, over how many frames, and which features, is learned. No later frame is read.

    Args:
        feature_width: width of the features, or channels of the maps.
        width: D, the width of the embeddings.
        means: the numbers of frames k, each at least 2.

    Attributes:
        frames_behind: how many earlier frames an embedding depends on.
    """

    # The network's share of the embedding. Small, so that an untrained network hardly moves the features; with zero,
    # nothing but its last layer would get a gradient in the first step.
    LEARNED_SHARE = 0.1

    def __init__(self, feature_width: int, width: int, means: Sequence[int] = ()):
        super().__init__()
        weight = torch.zeros(feature_width, width)
        if feature_width > width:
            nn.init.orthogonal_(weight)
        else:
            weight.fill_diagonal_(1)
        self.weight = nn.Parameter(weight)
        self.means = tuple(means)
        self.mean_weights = nn.ParameterList(torch.zeros(feature_width, width) for _ in self.means)
        self.frames_behind = max(self.means, default=1) - 1

    def forward(self, sequences: Sequence[torch.Tensor], learned: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """From features, a list of (T_i, feature_width) or of maps, and the network's outputs, a list of (T_i, D)."""
        embeddings = []
        for video, output in zip(sequences, learned, strict=True):
            features = video if video.dim() == 2 else video.mean(dim=(2, 3))
            embedding = torch.addmm(output, features, self.weight, beta=self.LEARNED_SHARE)
            for frames, weight in zip(self.means, self.mean_weights, strict=True):
                embedding = torch.addmm(embedding, mean_of_last(features, frames), weight)
            embeddings.append(embedding)
        return embeddings


def mean_of_last(video: torch.Tensor, frames: int) -> torch.Tensor:
    """The mean of the last `frames` frames at each frame of a video (T, D), at its start of all frames so far.

    Sums of 1, 2, 4, ... frames are doubled, which takes log2(frames) additions. Unlike the difference of two running
    sums, the result of a frame is the same to the last bit wherever the video begins before these frames.
    """
    number = len(video)
    sums, total, size, first = functional.pad(video, (0, 0, frames - 1, 0)), 0, 1, 0
    while size <= frames:
        if frames & size:
            total = total + sums[first : first + number]
            first += size
        if 2 * size <= frames:
            sums = sums[:-size] + sums[size:]
        size *= 2
    seen = torch.arange(1, number + 1, device=video.device, dtype=video.dtype).clamp_(max=frames)
    return total / seen.unsqueeze(1)


class DropNetwork(nn.Module):
    """Drop context of a video, c(V) = mean_j c(v_j) in R^(D+1), with c a feed-forward net on frames.

    GTCC computes from it the probability that a frame u of another video has no partner in V:
    sigmoid([u, 1] . c(V)) (Donahue and Elhamifar, CVPR 2024, the drop model).

    Args:
        width: D, the width of the embeddings.
        layers: widths of the hidden layers (ReLU).
    """

    def __init__(self, width: int, layers: Sequence[int]):
        super().__init__()
        self.layers = fully_connected([width, *layers, width + 1])

    def forward(self, sequences: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """From embeddings, a list of (T_i, D), to contexts, a list of (D + 1,)."""
        frames, lengths = join_frames(sequences)
        return [contexts.mean(dim=0) for contexts in self.layers(frames).split(lengths)]
