"""The C library's allocator: it keeps the memory of large tensors for the next ones."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST = 2**31 - 1


def keep_large_blocks() -> None:
    """Let glibc keep freed blocks of any size, where it is the C library.

    By default it maps every large tensor anew, and the kernel clears each of its pages at the first touch: about a
    tenth of the time of a network at 512x512 pixels (``python -m benchmarks.allocator``). This is for programs. Whoever
    imports idm as a library chooses for himself.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, LARGEST)
