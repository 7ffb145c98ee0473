"""An ONNX graph, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.errors import DataError, first_line, import_extra, place


def open_session(model: bytes | str, threads: int, path: Path) -> Any:
    """An onnxruntime session on the processor.

    Args:
        model: the serialised graph, or its path where weights may lie beside it. It is data: operators are
            onnxruntime's own, and no library is loaded for others.
        threads: of its computations.
        path: of the file, for messages.

    Raises:
        DataError: it isn't a graph that onnxruntime can run.
        MissingExtraError: onnxruntime isn't installed.
    """
    runtime = import_extra("onnxruntime", "video", "an encoder as an ONNX graph")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other common base
        raise DataError(f"{place(path)}onnxruntime can't run it: {first_line(error)[:300]}") from error
