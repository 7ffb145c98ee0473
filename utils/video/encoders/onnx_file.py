"""Any image encoder that was exported to ONNX."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from utils.errors import ConfigError, DataError, MissingFileError, first_line, place, shown
from utils.files import file_digest
from utils.video.encoders.onnx_session import open_session
from utils.video.encoders.protocol import (
    NORMALIZATIONS,
    full_name,
    normalization_option,
    normalized,
    pooled,
    resize_option,
    size_option,
)

SIDE = 224


class OnnxFileEncoder:
    """The first output of a graph: (n, D), or (n, D, height, width) and (n, tokens, D), whose mean is taken.

    Its one input is (n, 3, height, width) float, normalised by the option `normalization`; or (n, height, width, 3)
    uint8, given as it is.
    """

    options: ClassVar[tuple[str, ...]] = ("size", "resize", "normalization", "output")
    description = "onnx"
    with_motion = False

    def __init__(self, argument: str, options: Mapping[str, str], threads: int = 1):
        path = Path(argument)
        if not path.is_file():
            raise MissingFileError(f"{path}: no such ONNX file, which the encoder reads")
        self._path = path
        # The path, not the bytes: weights may lie in files beside the graph.
        self._session = open_session(str(path), threads, path)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            shapes = [list(one.shape) for one in inputs]
            raise DataError(f"{place(path)}has inputs of shape {shown(shapes)}; expected one of four axes, pictures")
        self._input = inputs[0].name
        self._plain = inputs[0].type == "tensor(uint8)"
        height, width = inputs[0].shape[1:3] if self._plain else inputs[0].shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        self.size = (width, height) if fixed else size_option(options, SIDE)
        if fixed and "size" in options and size_option(options, SIDE) != self.size:
            raise ConfigError(f"size is {options['size']}, but {path} takes {width}x{height}")
        self.resize, normalization = resize_option(options), normalization_option(options)
        self._scale = NORMALIZATIONS[normalization]
        outputs = [output.name for output in self._session.get_outputs()]
        self._output = options.get("output", outputs[0])
        if self._output not in outputs:
            raise ConfigError(f"output is {shown(self._output)}; {path} has {', '.join(outputs)}")
        self.shape = self.encode(np.zeros((1, self.size[1], self.size[0], 3), np.uint8)).shape[1:]
        scale = "uint8" if self._plain else normalization
        self.name = full_name(f"onnx:{path.name}", self.size, self.resize, scale, self._output, _digest(path))

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """(n, height, width, 3) uint8 to (n, D) float32; see `ImageEncoder`."""
        given: Any = pixels if self._plain else normalized(pixels, *self._scale)
        try:
            # One by one: graphs are often exported for one picture, and results are then independent of the batch.
            rows = [self._session.run([self._output], {self._input: given[i : i + 1]})[0] for i in range(len(given))]
        except Exception as error:  # onnxruntime's errors have no other common base
            raise DataError(f"{place(self._path)}can't encode a picture: {first_line(error)[:300]}") from error
        if any(row.ndim not in (2, 3, 4) or len(row) != 1 for row in rows):
            raise DataError(f"{place(self._path)}gives {shown(rows[0].shape)} for a picture; expected (1, D)")
        return np.concatenate([pooled(row) for row in rows]).astype(np.float32)


def _digest(path: Path) -> str:
    """Of the graph, and of the weights that lie beside a large one, by custom as NAME.data."""
    files = [one for one in (path, path.with_name(f"{path.name}.data")) if one.is_file()]
    return hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest()[:12]
