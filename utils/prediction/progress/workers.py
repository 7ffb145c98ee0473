"""Independent pieces of work, in as many processes as threads may be used."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from utils.errors import ProjectError, import_extra

Result = TypeVar("Result")

MOST_PROCESSES = 8  # each takes some 300 MB for its libraries


def run_all(function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], description: str) -> list[Result]:
    """A function's result for each of several arguments, in their order.

    Processes and not threads: small steps in Python hold its lock for most of the time. joblib, which scikit-learn
    brings, runs them; it needs no guard of the main module and keeps its processes for the next call. Without it, or
    with a single thread (OMP_NUM_THREADS=1), everything runs here, with the same results.

    Args:
        function: of a module, so that another process can import it. It runs on one thread.
        arguments: of each call; arrays above a megabyte are shared by the processes.
        description: what a bar says while it runs.

    Raises:
        ProjectError: a process was ended from outside.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(arguments), MOST_PROCESSES)
    shown = {"desc": description, "total": len(arguments), "disable": None, "delay": 3, "leave": False}
    if workers < 2 or importlib.util.find_spec("joblib") is None:
        try:
            torch.set_num_threads(1)  # as in a process of its own: the number of threads changes how sums are rounded
            with threadpool_limits(limits=1):
                return [function(*one) for one in tqdm(arguments, **shown)]
        finally:
            torch.set_num_threads(threads)

    joblib = import_extra("joblib", "evaluation", "several processes")
    ended = import_extra("joblib.externals.loky.process_executor", "evaluation", "several processes")
    parallel = joblib.Parallel(workers, return_as="generator")
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        try:
            return list(tqdm(parallel(joblib.delayed(_on_one_thread)(function, one) for one in arguments), **shown))
        except ended.TerminatedWorkerError as error:
            raise ProjectError(
                f"{description}: one of {workers} processes was ended from outside, probably because memory ran "
                f"out; OMP_NUM_THREADS=1 uses a single process"
            ) from error


def _on_one_thread(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    torch.set_num_threads(1)
    return function(*arguments)
