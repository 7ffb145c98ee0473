"""Time and memory of one forward and backward pass of each loss, for two videos of T frames and 128
dimensions.

    python -m benchmarks.losses
    python -m benchmarks.losses --lengths 100 1000 --losses LAV VAVA --threads 1

Each case is measured in a separate process: the median over repeated steps after a warm-up, the spread from the 10th to
the 90th percentile, and the increase of the process's peak memory by the step. If the authors' released code was
measured (2-core CPU, 2 threads), its time over our median is given too, and over our 90th percentile. "as configured"
are the losses with the settings of `configs/generic_config.py`.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Median milliseconds of the authors' code at T = 100, 300, 1000, 3000 (LAV: the first two with 1 thread; it
# needs more than 20 GB at 3000).
ORIGINAL_MS = {
    "GTCC": {100: 1269, 300: 1494, 1000: 1920, 3000: 2915},
    "TCC": {100: 3.6, 300: 12.5, 1000: 115, 3000: 2147},
    "LAV": {100: 14.5, 300: 323, 1000: 2046},
    "VAVA": {100: 8.0, 300: 24.6, 1000: 273, 3000: 7065},
    "VAVA, epoch 10": {100: 8.0, 300: 24.6, 1000: 273, 3000: 7065},
    "path length": {100: 0.83, 300: 2.5, 1000: 8.0, 3000: 24},
}
CONFIGURED = ", as configured"
MODULES = ("benchmarks.cycle_losses", "benchmarks.alignment_losses")
SECONDS = 3.0
FEWEST, MOST = 5, 200


def cases() -> dict[str, Callable[[int], Callable[[], None]]]:
    """The cases of all modules."""
    found = {}
    for module in MODULES:
        found.update(importlib.import_module(module).cases())
    return found


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far (Linux; elsewhere not a number)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def measure(name: str, length: int, threads: int) -> dict[str, float]:
    """Time one case in this process."""
    import torch

    torch.set_num_threads(threads)
    build = cases()[name]
    build(8)()  # imports, compilation
    step = build(length)
    before = peak_memory_mb()
    step()
    peak = peak_memory_mb() - before
    milliseconds = []
    until = time.perf_counter() + SECONDS
    while len(milliseconds) < FEWEST or (time.perf_counter() < until and len(milliseconds) < MOST):
        start = time.perf_counter()
        step()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    tenths = statistics.quantiles(milliseconds, n=10)
    return {
        "median": statistics.median(milliseconds),
        "low": tenths[0],
        "high": tenths[-1],
        "peak": peak,
        "runs": len(milliseconds),
    }


def measure_apart(name: str, length: int, threads: int) -> dict[str, float]:
    """Time one case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.losses", "--lengths", str(length), "--losses", name]
    command += ["--threads", str(threads), "--here"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name} at T = {length} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 300, 1000, 3000], metavar="T")
    parser.add_argument("--losses", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="measure one case in this process, as JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.losses[0], arguments.lengths[0], arguments.threads)))
        return
    known = cases()
    names = arguments.losses or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    print(f"{arguments.threads} threads; milliseconds, median (10th to 90th percentile)")
    print(
        f"{'':24}{'T':>6}{'median':>11}{'spread':>20}{'runs':>6}{'peak MB':>9}{'original / ours':>17}{'at least':>10}"
    )
    for name in names:
        for length in arguments.lengths:
            found = measure_apart(name, length, arguments.threads)
            original = ORIGINAL_MS.get(name.removesuffix(CONFIGURED), {}).get(length)
            ratio, least = (f"{original / found[key]:.1f}" if original else "" for key in ("median", "high"))
            spread = f"({found['low']:.2f} to {found['high']:.2f})"
            print(
                f"{name:24}{length:>6}{found['median']:>11.2f}{spread:>20}{found['runs']:>6.0f}"
                f"{found['peak']:>9.0f}{ratio:>17}{least:>10}",
                flush=True,
            )


if __name__ == "__main__":
    main()
