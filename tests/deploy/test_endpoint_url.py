"""Which addresses may be loaded."""

import pytest

from tuner.deploy.endpoint_url import endpoint_url
from tuner.errors import InputError, SetupError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("127.0.0.1:8501", "begins with neither"),
        ("ftp://127.0.0.1/", "begins with neither"),
        ("http:///v1", "it has no host"),
        (
            "http://u:secret@127.0.0.1/",  # pragma: allowlist secret -- made up
            "http://127.0.0.1/ cannot be loaded: it has a user",
        ),
        ("http://127.0.0.1/a#b", "it has a fragment"),
        ("http://127.0.0.1/a\r\nX: 1", "characters that a request line cannot have"),
        ("http://127.0.0.1:99999/", "no URL"),
        (
            "http://u:secret@127.0.0.1:99999/",  # pragma: allowlist secret -- made up
            "no URL",
        ),
        ("http://192.0.2.1/", "192.0.2.1, which is not this machine"),
        ("http://0.0.0.0/", "not this machine"),
    ],
)
def test_what_is_no_url_of_this_machine_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        endpoint_url(text)
    assert refused.value.mend
    assert "secret" not in str(refused.value)


def test_another_machine_may_be_loaded_where_that_is_said() -> None:
    url = endpoint_url("https://192.0.2.1/v2/models/m/infer?x=1", may_load=True)
    assert (url.address, url.secure, url.local) == (("192.0.2.1", 443), True, False)
    assert (url.target, url.header) == ("/v2/models/m/infer?x=1", "192.0.2.1")


def test_a_host_is_looked_up_once() -> None:
    url = endpoint_url("http://localhost:8501")
    assert url.local
    assert url.address[1] == 8501
    assert (url.target, url.header) == ("/", "localhost:8501")
    assert endpoint_url("http://[::1]:80/").header == "[::1]"
    with pytest.raises(SetupError, match="is not found"):
        endpoint_url("http://no-such-host-here/")
