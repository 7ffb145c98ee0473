"""Encoders of pictures by name: `make_encoder("lite0")`. One file each; docs/video.md lists them."""

from __future__ import annotations

from utils.errors import ConfigError, shown
from utils.registry import IMAGE_ENCODERS, choice_of, code_of
from utils.video.encoders.protocol import ImageEncoder


def make_encoder(description: str, threads: int = 1) -> ImageEncoder:
    """The encoder that a description names.

    Args:
        description: NAME, or NAME:ARGUMENT, and options after commas: 'lite0', 'onnx:model.onnx',
            'timm:resnet18,weights=resnet18.pth', 'lite0,resize=crop'.
        threads: of the encoder's computations, where it has some of its own.

    Raises:
        ConfigError: no such encoder, an argument or option too many or missing, or a bad value.
        MissingExtraError: a library that it needs isn't installed.
        DataError: a file that it reads can't be used.
    """
    head, *pairs = description.split(",")
    name, _, argument = head.partition(":")
    entry = choice_of(IMAGE_ENCODERS, name, "the encoder")
    if bool(argument) != bool(entry.argument):
        expected = f"{name}:{entry.argument}" if entry.argument else name
        raise ConfigError(f"the encoder is {shown(head)}; expected {expected}")
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value) or key in options:
            raise ConfigError(f"the encoder is {shown(description)}; expected options such as resize=crop, each once")
        options[key] = value
    kind = code_of(entry)
    if unknown := [key for key in options if key not in kind.options]:
        known = ", ".join(kind.options) or "none"
        raise ConfigError(f"the encoder {name} has no option {shown(unknown[0])}; known: {known}")
    encoder = kind(argument, options, threads)
    encoder.description = description
    return encoder
