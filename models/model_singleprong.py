"""The three frame encoders, and the model of one encoder with an optional skip projection and drop network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from configs.typed_settings import TypedSettings
from models.layers import (
    DropNetwork,
    SkipProjection,
    TemporalConvolution,
    check_sequences,
    draw_weight,
    fully_connected,
    join_frames,
    split_context,
)
from utils.registry import RESNET_VARIANTS


class TemporalStackingEncoder(nn.Module):
    """Convolutions along time over precomputed frame features, ReLU between them, no bias.

    Args:
        feature_width: width of the features.
        output_width: D, width of the embeddings.
        conv_num_channels: width after the first convolution; the others have D.
        num_layers: number of convolutions, at least 1.
        temporal_depth: kernel size of the first convolution, in frames; that of the others is 3.
        causal: read no frame after the current one.
        hidden_channels: width after each convolution but the last; where it is given, it replaces conv_num_channels
            and num_layers.

    Attributes:
        frames_ahead, frames_behind: how many later and earlier frames an output depends on.
    """

    def __init__(
        self,
        feature_width: int,
        output_width: int,
        conv_num_channels: int = 512,
        num_layers: int = 7,
        temporal_depth: int = 2,
        causal: bool = False,
        hidden_channels: Sequence[int] = (),
    ):
        super().__init__()
        hidden_widths = [conv_num_channels, *[output_width] * (num_layers - 2)][: num_layers - 1]
        widths = [feature_width, *(hidden_channels or hidden_widths), output_width]
        kernels = [temporal_depth, *[3] * (len(widths) - 2)]
        shapes = zip(widths[:-1], widths[1:], kernels, strict=True)
        self.convolutions = nn.ModuleList(
            TemporalConvolution(*shape, causal, after_relu=layer > 0) for layer, shape in enumerate(shapes)
        )
        self.feature_width = feature_width
        self.frames_behind = sum(layer.frames_behind for layer in self.convolutions)
        self.frames_ahead = sum(layer.frames_ahead for layer in self.convolutions)

    @classmethod
    def from_settings(cls, settings: TypedSettings, feature_width: int, width: int, causal: bool) -> nn.Module:
        """The encoder that its group of settings describes."""
        return cls(
            feature_width,
            width,
            conv_num_channels=settings.size("conv_num_channels"),
            num_layers=settings.size("num_layers", default=7),
            temporal_depth=settings.size("temporal_depth"),
            causal=causal,
            hidden_channels=settings.sizes("hidden_channels", default=()),
        )

    def forward(self, sequences: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """From features, a list of (T_i, feature_width), to embeddings, a list of (T_i, D)."""
        check_sequences(sequences, self.convolutions[0].weight, (self.feature_width,))
        return [self._encode(video) for video in sequences]

    def _encode(self, video: torch.Tensor) -> torch.Tensor:
        hidden = self.convolutions[0](video)
        for layer in self.convolutions[1:]:
            hidden = layer(functional.relu_(hidden))
        return hidden


class Resnet50Encoder(nn.Module):
    """The encoder of TCC over ResNet-50 conv4c maps (Dwibedi et al., CVPR 2019).

    Each frame is encoded with its context of `temporal_depth` frames (outside the video, its first or last frame is
    repeated): two 3 x 3 x 3 convolutions inside the context, the maximum over time and space, and fully connected
    layers.

    Args:
        feature_width: channels of the maps, 1024 for conv4c.
        output_width: D, width of the embeddings.
        conv_num_channels: channels of both convolutions.
        fc_layers: hidden fully connected layers.
        temporal_depth: frames of context, including the current one.
        frames_per_chunk: frames convolved at once. In training, the chunks of a longer video are recomputed in the
            backward pass, so that their intermediate results need no memory.
        causal: the context ends at the current frame. Otherwise it is centred on the current frame; if it has an even
            number of frames, the extra one is after the current frame.
        variant: 'standard' as above. 'original' is the network of checkpoints of the original code, for those
            checkpoints only: the context are the frames before the current one, which is not in it, with zeros outside
            the video; the first convolution has as many channels as the maps; a ReLU follows the last layer.

    Attributes:
        frames_ahead, frames_behind: how many later and earlier frames an output depends on.
    """

    def __init__(
        self,
        feature_width: int,
        output_width: int,
        conv_num_channels: int = 512,
        fc_layers: Sequence[int] = (512, 512),
        temporal_depth: int = 2,
        frames_per_chunk: int = 16,
        causal: bool = False,
        variant: str = RESNET_VARIANTS[0],
    ):
        super().__init__()
        self._original = variant == "original"
        between = feature_width if self._original else conv_num_channels
        self.convolutions = nn.Sequential(
            nn.Conv3d(feature_width, between, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv3d(between, conv_num_channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
        )
        for layer, inputs in ((0, feature_width), (2, between)):
            convolution = self.convolutions[layer]
            draw_weight(convolution.weight, inputs * math.prod(convolution.kernel_size), after_relu=True)
            nn.init.zeros_(convolution.bias)
        self.fc = fully_connected([conv_num_channels, *fc_layers, output_width])
        self.feature_width = feature_width
        self.frames_per_chunk = frames_per_chunk
        self.frames_behind, self.frames_ahead = split_context(temporal_depth, causal)
        if self._original:
            self.frames_behind, self.frames_ahead = temporal_depth, 0

    @classmethod
    def from_settings(cls, settings: TypedSettings, feature_width: int, width: int, causal: bool) -> nn.Module:
        """The encoder that its group of settings describes."""
        return cls(
            feature_width,
            width,
            conv_num_channels=settings.size("conv_num_channels", default=512),
            fc_layers=settings.sizes("fc_layers", default=(512, 512)),
            temporal_depth=settings.size("temporal_depth"),
            frames_per_chunk=settings.size("frames_per_chunk", default=16),
            causal=causal,
            variant=settings.choice("variant", RESNET_VARIANTS, default=RESNET_VARIANTS[0]),
        )

    def forward(self, sequences: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """From maps, a list of (T_i, feature_width, height, width), to embeddings, a list of (T_i, D)."""
        check_sequences(sequences, self.convolutions[0].weight, (self.feature_width, None, None))
        pooled, lengths = join_frames([self._pool_video(video) for video in sequences])
        embeddings = self.fc(pooled)
        return list((embeddings.relu() if self._original else embeddings).split(lengths))

    def _pool_video(self, video: torch.Tensor) -> torch.Tensor:
        frames = video.shape[0]
        if frames <= self.frames_per_chunk:
            return self._pool_chunk(video, 0, frames)
        starts = range(0, frames, self.frames_per_chunk)
        chunks = [(start, min(start + self.frames_per_chunk, frames)) for start in starts]
        if not torch.is_grad_enabled():
            return torch.cat([self._pool_chunk(video, start, stop) for start, stop in chunks])
        # There is no randomness inside, so the recomputation needs no random state.
        keep = {"use_reentrant": False, "preserve_rng_state": False}
        return torch.cat([checkpoint(self._pool_chunk, video, start, stop, **keep) for start, stop in chunks])

    def _pool_chunk(self, video: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Frames start .. stop - 1 of a video with their context, to (stop - start, channels)."""
        last = -1 if self._original else self.frames_ahead
        offsets = torch.arange(-self.frames_behind, last + 1, device=video.device)
        places = torch.arange(start, stop, device=video.device)[:, None] + offsets
        context = video[places.clamp(0, video.shape[0] - 1)]  # (n, frames of context, channels, height, width)
        if self._original:
            context[places < 0] = 0
        return self.convolutions(context.transpose(1, 2)).amax(dim=(2, 3, 4))


class FramewiseEncoder(nn.Module):
    """A multilayer perceptron (ReLU) on each frame's features alone, the 'naive' base architecture.

    Args:
        feature_width: width of the features.
        output_width: D, width of the embeddings.
        layers: widths of the hidden layers.
    """

    frames_ahead = 0
    frames_behind = 0

    def __init__(self, feature_width: int, output_width: int, layers: Sequence[int] = (1024, 512, 512, 256)):
        super().__init__()
        self.layers = fully_connected([feature_width, *layers, output_width])
        self.feature_width = feature_width

    @classmethod
    def from_settings(cls, settings: TypedSettings, feature_width: int, width: int, causal: bool) -> nn.Module:
        """The encoder that its group of settings describes."""
        return cls(feature_width, width, settings.sizes("layers"))

    def forward(self, sequences: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """From features, a list of (T_i, feature_width), to embeddings, a list of (T_i, D)."""
        check_sequences(sequences, self.layers[0].weight, (self.feature_width,))
        frames, lengths = join_frames(sequences)
        return list(self.layers(frames).split(lengths))


class SingleprongModel(nn.Module):
    """An encoder and, where they are wanted, a skip projection of the features and the drop network of GTCC.

    Attributes:
        gives_dropouts: whether `forward` runs the drop network; can be set to False, or to True if there is one.

    Example:
        >>> model = SingleprongModel(FramewiseEncoder(64, 16), DropNetwork(16, [32]))
        >>> result = model([torch.randn(30, 64), torch.randn(40, 64)])
        >>> result["outputs"][1].shape, result["dropouts"][1].shape
        (torch.Size([40, 16]), torch.Size([17]))
    """

    def __init__(
        self, encoder: nn.Module, drop_network: DropNetwork | None = None, skip: SkipProjection | None = None
    ):
        super().__init__()
        self.encoder = encoder
        self.skip = skip
        self.drop_network = drop_network
        self.gives_dropouts = drop_network is not None

    @property
    def frames_ahead(self) -> int:
        """How many later frames an output depends on, 0 when causal."""
        return self.encoder.frames_ahead

    @property
    def frames_behind(self) -> int:
        """How many earlier frames an output depends on."""
        return max(self.encoder.frames_behind, 0 if self.skip is None else self.skip.frames_behind)

    def forward(self, sequences: Sequence[torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Embed the videos of a batch, each independently of the others.

        Args:
            sequences: list of (T_i, D_in), or of (T_i, channels, height, width) for the ResNet-50 encoder.

        Returns:
            {'outputs': list of (T_i, D), 'attentions': [], 'dropouts': list of (D + 1,), or [] where
            `gives_dropouts` is False}.
        """
        outputs = self.encoder(sequences)
        if self.skip is not None:
            outputs = self.skip(sequences, outputs)
        dropouts = self.drop_network(outputs) if self.gives_dropouts else []
        return {"outputs": outputs, "attentions": [], "dropouts": dropouts}
