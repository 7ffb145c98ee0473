"""Any image encoder that was exported to TorchScript.

A TorchScript file is a programme in TorchScript's own language: PyTorch interprets it, Python never does. Two of the
language's operators reach files, and one method runs while a file is opened; files with any of them are refused before
PyTorch opens them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from utils.errors import DataError, MissingFileError, first_line, place
from utils.files import file_digest
from utils.video.encoders.protocol import (
    NORMALIZATIONS,
    full_name,
    normalization_option,
    resize_option,
    size_option,
)
from utils.video.encoders.torch_network import encode_one_by_one

SIDE = 224
# torch.save, torch.from_file, and what is run at loading. As whole words anywhere, however they are spaced.
REFUSED = re.compile(rb"\b(save|from_file|__setstate__)\b")
MOST_CODE = 1 << 26  # bytes


class TorchScriptFileEncoder:
    """A module from (1, 3, height, width), normalised by the option `normalization`, to (1, D) or to maps or tokens."""

    options: ClassVar[tuple[str, ...]] = ("size", "resize", "normalization")
    description = "torchscript"
    with_motion = False

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        path = Path(argument)
        if not path.is_file():
            raise MissingFileError(f"{path}: no such TorchScript file, which the encoder reads")
        _refuse_what_reaches_files(path)
        try:
            self._network = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise DataError(f"{place(path)}PyTorch can't read it as TorchScript: {first_line(error)[:300]}") from error
        self._what = str(path)
        self.size, self.resize = size_option(options, SIDE), resize_option(options)
        normalization = normalization_option(options)
        self._scale = NORMALIZATIONS[normalization]
        self.shape = self.encode(np.zeros((1, self.size[1], self.size[0], 3), np.uint8)).shape[1:]
        self.name = full_name(f"torchscript:{path.name}", self.size, self.resize, normalization, file_digest(path)[:12])

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 to (n, D) float32; see `ImageEncoder`."""
        return encode_one_by_one(self._network, pixels, self._scale, self._what)


def _refuse_what_reaches_files(path: Path) -> None:
    """Reads the programme as text.

    Raises:
        DataError: it isn't an archive of TorchScript, or holds what is refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            code = [name for name in names if "/code/" in name and name.endswith(".py")]
            if not code or len(set(names)) < len(names) or any(name.endswith("model.json") for name in names):
                raise DataError(f"{place(path)}is not an archive of TorchScript; expected what torch.jit.save writes")
            if sum(archive.getinfo(name).file_size for name in code) > MOST_CODE:
                raise DataError(f"{place(path)}holds more than {MOST_CODE} bytes of code; expected an image encoder")
            for name in code:
                if found := REFUSED.search(archive.read(name)):
                    raise DataError(
                        f"{place(path)}its code ({name}) contains {found[1].decode()!r}, which could reach files or "
                        f"run at loading; expected a network alone, or export it to ONNX"
                    )
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, NotImplementedError) as error:
        raise DataError(f"{place(path)}is not an archive of TorchScript ({first_line(error)})") from error
