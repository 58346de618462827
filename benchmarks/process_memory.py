"""Measures the memory of the process that runs a benchmark."""

from __future__ import annotations


def largest_memory() -> float:
    """Returns the peak memory of this process in GiB.

    Python's getrusage is not used, because it includes the memory of the parent process.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file)
    return int(facts["VmHWM"].split()[0]) / 2**20
