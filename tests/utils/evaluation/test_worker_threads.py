import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from utils.evaluation.worker_threads import map_in_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_results_come_in_the_order_of_the_arguments(two_threads):
    def work(number, delay):
        time.sleep(delay)
        return number, threading.get_ident()

    results = list(map_in_threads(work, range(6), [0.05, 0, 0, 0.05, 0, 0]))
    assert [number for number, _ in results] == list(range(6))
    assert threading.get_ident() not in {thread for _, thread in results}


def test_products_take_one_thread_meanwhile_and_as_many_as_before_afterwards(two_threads):
    before = blas_threads()
    assert list(map_in_threads(lambda _: blas_threads(), range(3))) == [{1}] * 3
    assert blas_threads() == before


def test_after_an_error_nothing_more_begins(two_threads, monkeypatch):
    begun, called_off = [], threading.Event()
    original = ThreadPoolExecutor.shutdown

    def shutdown(self, wait=True, **more):
        original(self, wait=False, **more)
        called_off.set()
        original(self, wait=wait)

    def work(number):
        begun.append(number)
        if number == 0:
            raise ValueError("no")
        assert called_off.wait(300)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    before = blas_threads()
    with pytest.raises(ValueError, match="no"):
        list(map_in_threads(work, range(200)))
    assert len(begun) <= 3, "one call of either thread was under way, beside the one that failed"
    assert blas_threads() == before


def test_the_same_as_one_after_the_other():
    matrices = [np.random.default_rng(i).normal(size=(40, 30)) for i in range(10)]
    for result, matrix in zip(map_in_threads(lambda m: m @ m.T, matrices), matrices, strict=True):
        np.testing.assert_allclose(result, matrix @ matrix.T, rtol=1e-12)


def test_left_before_its_end_it_gives_the_threads_back(two_threads):
    before = blas_threads()
    with closing(map_in_threads(lambda number: number, range(10))) as results:
        assert next(results) == 0
    assert blas_threads() == before
    assert list(map_in_threads(lambda number: number, [])) == []
