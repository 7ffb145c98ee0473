"""What every encoder of pictures must do. From a test of your own:

    from tests.contracts.image_encoders import check_image_encoder

    def test_my_encoder():
        check_image_encoder("my_encoder")
"""

from __future__ import annotations

import numpy as np

from tests.contracts.requirement import require
from utils.video.decoding import RESIZES
from utils.video.encoders import make_encoder
from utils.video.encoders.protocol import ImageEncoder

PICTURES = 5


def check_image_encoder(description: str) -> None:
    """All contracts of an encoder of pictures.

    Args:
        description: what it is made from, as ENCODER has it.

    Raises:
        AssertionError: saying what the encoder does and what was expected.
    """
    encoder = make_encoder(description)
    check_attributes(encoder, description)
    check_features(encoder)
    check_batch(encoder)
    check_pictures_unchanged(encoder)


def pictures_for(encoder: ImageEncoder, count: int = PICTURES) -> np.ndarray:
    """Random pictures of the encoder's size: (count, height, width, 3) uint8."""
    shape = (count, encoder.size[1], encoder.size[0], 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def check_attributes(encoder: ImageEncoder, description: str) -> None:
    """A size, a known way to resize, and a name of one line, the same each time the encoder is made."""
    width, height = encoder.size
    require(width > 0 and height > 0, f"size is {encoder.size}; expected (width, height)")
    require(encoder.resize in RESIZES, f"resize is {encoder.resize!r}; expected one of {RESIZES}")
    require(encoder.description == description, f"description is {encoder.description!r}; expected {description!r}")
    again = make_encoder(description).name
    require(encoder.name == again, f"the name is {encoder.name!r} and then {again!r}; expected the same")
    require(f"{width}x{height}" in encoder.name, f"the name {encoder.name!r} doesn't tell the size {width}x{height}")
    require(encoder.resize in encoder.name, f"the name {encoder.name!r} doesn't tell how pictures are resized")


def check_features(encoder: ImageEncoder) -> None:
    """Finite float32 of the announced shape, different for different pictures."""
    features = encoder.encode(pictures_for(encoder))
    expected = (PICTURES, *encoder.shape)
    require(features.shape == expected, f"the features have shape {features.shape}; expected {expected}")
    require(features.dtype == np.float32, f"the features are {features.dtype}; expected float32")
    require(bool(np.isfinite(features).all()), "a feature is not finite")
    require(not np.array_equal(features[0], features[1]), "two pictures have the same features")


def check_batch(encoder: ImageEncoder) -> None:
    """The same bytes for a picture alone and among others."""
    pictures = pictures_for(encoder)
    whole = encoder.encode(pictures)
    alone = np.concatenate([encoder.encode(picture[None]) for picture in pictures])
    require(whole.tobytes() == alone.tobytes(), "a picture's features depend on the pictures beside it")


def check_pictures_unchanged(encoder: ImageEncoder) -> None:
    """The pictures are left as they were."""
    pictures = pictures_for(encoder)
    before = pictures.copy()
    encoder.encode(pictures)
    require(np.array_equal(pictures, before), "the encoder changes the pictures that it is given")
