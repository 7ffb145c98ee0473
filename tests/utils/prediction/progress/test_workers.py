"""Work in several processes gives what it gives in one."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from utils.errors import ProjectError
from utils.prediction.progress import workers
from utils.prediction.progress.candidates import fit_candidates, read_all
from utils.prediction.progress.cross_validation import cross_validate, scale_of
from utils.prediction.progress.workers import run_all


@pytest.fixture(autouse=True)
def _coarse():
    """What other processes fit knows of no changed constants."""


@contextmanager
def threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def process_and_threads(number):
    return number, os.getpid(), torch.get_num_threads()


def end_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number):
    raise ValueError(f"no {number}")


def test_results_come_in_order_from_other_processes():
    with threads(2):
        found = run_all(process_and_threads, [(number,) for number in range(6)], "counting")
        assert torch.get_num_threads() == 2
    assert [number for number, _, _ in found] == list(range(6))
    assert os.getpid() not in {process for _, process, _ in found}
    assert {count for _, _, count in found} == {1}


@pytest.mark.parametrize("reason", ["one thread", "one piece of work", "no joblib"])
def test_this_process_does_it_where_others_do_not_pay(reason, monkeypatch):
    if reason == "no joblib":
        monkeypatch.setattr(workers.importlib.util, "find_spec", lambda name: None)
    with threads(1 if reason == "one thread" else 2):
        found = run_all(process_and_threads, [(0,), (1,)][: 1 if reason == "one piece of work" else 2], "counting")
        assert torch.get_num_threads() == (1 if reason == "one thread" else 2)
    assert {(process, count) for _, process, count in found} == {(os.getpid(), 1)}


@pytest.mark.parametrize("number", [1, 2])
def test_an_error_is_raised_as_it_is(number):
    with threads(number), pytest.raises(ValueError, match=r"no [34]"):
        run_all(refuse, [(3,), (4,)], "refusing")


def test_a_process_that_is_ended_is_said_in_one_line():
    with threads(2), pytest.raises(ProjectError, match=r"fitting: one of 2 processes was ended.*OMP_NUM_THREADS=1"):
        run_all(end_this_process, [(), ()], "fitting")
    with threads(2):  # and the next call has processes again
        assert [number for number, _, _ in run_all(process_and_threads, [(0,), (1,)], "counting")] == [0, 1]


def test_two_processes_fit_and_read_bit_for_bit_what_one_does(recordings, new_recordings):
    names = ["path", "alignment", "filter", "evidence"]
    found = []
    for number in (1, 2):
        with threads(number):
            folds = cross_validate(recordings, names=names, folds=2)
            fitted = fit_candidates(recordings, scale_of(recordings), 0, names)
            found.append((folds, read_all(fitted, new_recordings[0].frames)))
    (one, of_one), (two, of_two) = found
    assert list(one.quantiles) == list(two.quantiles) == ["index", "clock", *names]
    assert list(of_one) == list(of_two)
    for name in one.quantiles:
        for own, other in zip(one.quantiles[name], two.quantiles[name], strict=True):
            np.testing.assert_array_equal(own, other)
    for name, curve in of_one.items():
        np.testing.assert_array_equal(curve, of_two[name])
    np.testing.assert_array_equal(np.array(one.steps, dtype=float), np.array(two.steps, dtype=float))
