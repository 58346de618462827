"""How many threads NumPy's matrix decompositions take."""

from __future__ import annotations

import contextlib

from threadpoolctl import threadpool_limits


def one_blas_thread() -> contextlib.AbstractContextManager:
    """A context in which decompositions run on one thread.

    They are thousands of small steps, and OpenBLAS's threads spin while they wait for one another
    in each. With other work on the same cores that made the singular values of a 1200 x 1200
    matrix 30 times slower on two threads than on one; on an idle machine one loses little.
    """
    return threadpool_limits(limits=1, user_api="blas")
