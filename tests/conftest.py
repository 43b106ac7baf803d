"""What every test shares: the event loop's backend, and how long a generated example may take."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# An example is as slow as the machine is busy; whether a test hangs is for its timeout to say.
settings.register_profile("tailrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tailrace")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio: the direct lane and uvloop know no other."""
    return "asyncio"
