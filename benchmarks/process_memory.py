"""Memory of the process that runs a benchmark."""

from __future__ import annotations


def largest_memory() -> float:
    """Returns the peak memory of this process in GiB. getrusage would include its parent's."""
    with open("/proc/self/status", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file)
    return int(facts["VmHWM"].split()[0]) / 2**20
