"""No form of a URL shows its password, and what is shown still names the storage."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from tuner.study.storage_url import without_password, without_secrets_of

PASSWORD = "Zq7Vb31Kz"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:{}@h:1/d", "postgresql://u@h:1/d"),
        # pragma: allowlist nextline secret -- made up
        ("postgresql+psycopg2://u:a%2F{}@h/d", "postgresql+psycopg2://u@h/d"),
        ("postgresql://u:a@{}@h/d", "postgresql://u@h/d"),
        ("postgresql://u:a/{}@h/d", "postgresql://u@h/d"),
        ("postgresql://u:a?{}@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?user=u&password={}", "postgresql://h/d?user=u"),
        ("postgresql://h/d?password={}@x", "postgresql://x"),
        ("postgresql://u@/d?host=/run/x&sslpassword={}", "postgresql://u@/d?host=/run/x"),
        ("redis://:{}@h/0", "redis://h/0"),
        ("u:{}@h/d", "h/d"),
        ("postgresql:u:{}@h/d", "h/d"),
        ("sqlite:///a@b/study.db", "sqlite:///a@b/study.db"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    whole = url.format(PASSWORD)
    assert without_password(whole) == shown
    assert without_password(shown) == shown
    assert PASSWORD not in without_secrets_of(whole, f"no port: {whole}")


@given(st.text(min_size=12, max_size=40))
def test_whatever_the_password_is_the_rest_is_the_same_storage(password: str) -> None:
    url = f"postgresql://user:{quote(password, safe='')}@host:5432/database?sslmode=require"
    shown = make_url(without_password(url))
    assert shown == make_url(url)._replace(password=None)
