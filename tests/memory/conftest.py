"""What PyTorch's own allocator gives out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Allocated = Callable[[Callable[[], Any]], tuple[int, int]]


@pytest.fixture
def allocated() -> Allocated:
    """Bytes that PyTorch's CPU allocator has given out when a function ends, and at the most."""

    def measure(run: Callable[[], Any]) -> tuple[int, int]:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            kept = run()
        assert profile.profiler is not None and profile.profiler.kineto_results is not None
        events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
        alive = peak = 0
        for event in sorted(events, key=lambda event: event.start_ns()):
            alive += event.nbytes()
            peak = max(peak, alive)
        del kept
        return alive, peak

    return measure
