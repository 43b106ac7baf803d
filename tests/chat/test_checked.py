"""Options hold their own ranges."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tailrace.chat.breaker import BreakerOptions
from tailrace.chat.places import Queue
from tailrace.errors import SettingsError


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Queue(length=-1), "Queue.length: Expected `int` >= 0"),
        (lambda: Queue(seconds=0), "Queue.seconds: Expected `float` > 0.0"),
        (lambda: Queue(seconds=math.inf), "Queue.seconds: Expected `float` <= 86400.0"),
        (lambda: BreakerOptions(failures=0), "BreakerOptions.failures: Expected `int` >= 1"),
        (lambda: BreakerOptions(rate=1.5), "BreakerOptions.rate: Expected `float` <= 1.0"),
        (lambda: BreakerOptions(window=math.nan), "BreakerOptions.window: Expected `float` > 0.0"),
        (lambda: BreakerOptions(cooldown=-1), "BreakerOptions.cooldown: Expected `float` > 0.0"),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_its_name(make: Callable[[], object], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        make()
    assert str(refused.value) == told
