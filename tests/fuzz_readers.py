"""Tries thousands of damaged and odd inputs on every reader: data, configuration, checkpoints, runs to resume.

    python -m tests.fuzz_readers --cases 20000
    python -m tests.fuzz_readers --cases 2000 checkpoint       # the tests whose name holds this word

Prints, for every test, how many cases loaded soundly, how many were refused with a clear error, and whether one of
them did neither, or took ten seconds. The tests themselves try a few fixed cases whenever they run; here they are
others each time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import pytest

FILES = (
    "tests/configs/test_config_fuzzing.py",
    "tests/utils/data/test_fuzzing.py",
    "tests/utils/checkpoints/test_checkpoint_fuzzing.py",
    "tests/utils/checkpoints/test_original_code.py",
    "tests/utils/checkpoints/test_reading.py",
)
TESTS = 20  # among which the cases are shared out


class Table:
    """What pytest reports of each test, as a table's rows."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from tests.utils.data.mutation import OUTCOMES

        if report.failed:
            self.failures.append(f"{report.nodeid}\n{report.longreprtext}")
        if report.when != "call":
            return
        loaded, refused = (OUTCOMES[report.nodeid, outcome] for outcome in ("loaded", "refused"))
        if loaded + refused:
            verdict = "a case that did neither" if report.failed else "every case did one or the other"
            name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
            print(f"{name} | {loaded} | {refused} | {report.duration:.0f} s | {verdict}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000, help="cases in all, shared out over the tests")
    parser.add_argument("word", nargs="?", default="", help="only tests whose name or file holds this word")
    options = parser.parse_args()
    os.environ["FUZZ_EXAMPLES"] = str(max(1, options.cases // TESTS))
    table = Table()
    began = time.perf_counter()
    print("cases | loaded | refused | time | verdict")
    arguments = ["-o", "addopts=", "-p", "no:terminal", *FILES, *(["-k", options.word] if options.word else [])]
    code = pytest.main(arguments, plugins=[table])
    from tests.utils.data.mutation import OUTCOMES

    print(f"{sum(OUTCOMES.values())} cases, {time.perf_counter() - began:.0f} s, {len(table.failures)} tests failed")
    print(*table.failures, sep="\n\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
