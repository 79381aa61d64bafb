from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.serving.processes import Running, running

# More of everything: pytest tests/serving/test_fuzz.py --hypothesis-profile=long \
#   --hypothesis-show-statistics
settings.register_profile("long", max_examples=3000, deadline=None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that leave it as it is. Its bodies may have 2 MiB."""
    log = tmp_path_factory.mktemp("server") / "log"
    with running(log, f"--rest_api_max_body_bytes={2 * 2**20}") as found:
        yield found
