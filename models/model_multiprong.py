"""The multi-head crosstask network (MCN): a base encoder, a head for each task, attention over the heads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from models.layers import DropNetwork, SkipProjection, StackedFullyConnected, fully_connected, join_frames
from utils.registry import ATTENTION_LAYOUTS


class MultiprongModel(nn.Module):
    """Base encoder -> L heads -> attention over the heads of the same frame -> weighted sum.

    z_t = sum_l a_tl h_l(b_t), a_t = softmax_l(A([h_1(b_t), ..., h_L(b_t)])), b the base encoder's output, h_l
    perceptrons with ReLU, A one with tanh (Donahue and Elhamifar, CVPR 2024, the crosstask network).

    With a skip projection the embedding is that of the features plus a share of z_t.

    Args:
        encoder: base encoder with embeddings of width D.
        width: D, also the width of the result.
        heads: L.
        head_layers: hidden widths of a head.
        attention_layers: hidden widths of the attention network.
        drop_network: for GTCC, applied to the embedding; None for no drop network.
        attention_layout: 'per_frame' as above. 'interleaved' is the layout of checkpoints of the original code: it
            reads the heads' outputs, stacked as (L, T, D), as if they were (T, L * D), so that the attention weights
            of a frame come from other frames. Use it for those checkpoints only.
        skip: projection of the features; None for none.

    Attributes:
        gives_dropouts: whether `forward` runs the drop network; can be set to False, or to True if there is one.

    Raises:
        ValueError: unknown attention_layout.
    """

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        heads: int,
        head_layers: Sequence[int] = (512, 128, 256),
        attention_layers: Sequence[int] = (256, 128),
        drop_network: DropNetwork | None = None,
        attention_layout: str = "per_frame",
        skip: SkipProjection | None = None,
    ):
        super().__init__()
        if attention_layout not in ATTENTION_LAYOUTS:
            raise ValueError(f"attention_layout is {attention_layout!r}, expected one of {ATTENTION_LAYOUTS}")
        self.encoder = encoder
        self.heads = StackedFullyConnected(heads, [width, *head_layers, width])
        self.attention = fully_connected([heads * width, *attention_layers, heads], activation=nn.Tanh)
        self.skip = skip
        self.drop_network = drop_network
        self.gives_dropouts = drop_network is not None
        self.attention_layout = attention_layout

    @property
    def frames_ahead(self) -> int | float:
        """How many later frames an output depends on, 0 when causal; infinite for interleaved attention."""
        return self.encoder.frames_ahead if self.attention_layout == "per_frame" else math.inf

    @property
    def frames_behind(self) -> int | float:
        """How many earlier frames an output depends on; infinite for interleaved attention."""
        if self.attention_layout != "per_frame":
            return math.inf
        return max(self.encoder.frames_behind, 0 if self.skip is None else self.skip.frames_behind)

    def forward(self, sequences: Sequence[torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Embed the videos of a batch, each independently of the others.

        Args:
            sequences: list of (T_i, D_in), or of (T_i, channels, height, width) for the ResNet-50 encoder.

        Returns:
            {'outputs': list of (T_i, D), 'attentions': list of (T_i, L) with rows that sum to 1,
            'dropouts': list of (D + 1,), or [] where `gives_dropouts` is False}.
        """
        base, lengths = join_frames(self.encoder(sequences))
        prongs = self.heads(base)  # (sum T_i, L, D)
        attentions = self.attention(self._attention_input(prongs, lengths)).softmax(dim=1)
        outputs = list(torch.bmm(attentions[:, None], prongs)[:, 0].split(lengths))
        if self.skip is not None:
            outputs = self.skip(sequences, outputs)
        dropouts = self.drop_network(outputs) if self.gives_dropouts else []
        return {"outputs": outputs, "attentions": list(attentions.split(lengths)), "dropouts": dropouts}

    def _attention_input(self, prongs: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        if self.attention_layout == "per_frame":
            return prongs.flatten(1)
        videos = prongs.split(lengths)
        return torch.cat([video.transpose(0, 1).reshape(video.shape[0], -1) for video in videos])
