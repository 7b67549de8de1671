"""Only an origin that a reader cannot mistake is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.errors import UsageError
from oauthsync.urls import REGIONS, parse_url


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://www.workato.com", "https://www.workato.com"),
        ("https://www.workato.com/", "https://www.workato.com"),
        ("https://www.workato.com/api", "https://www.workato.com"),
        ("HTTPS://App.EU.Workato.com", "https://app.eu.workato.com"),
        ("https://workato.internal.example:443", "https://workato.internal.example"),
        ("https://workato.internal.example:8443", "https://workato.internal.example:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://10.1.2.3", "https://10.1.2.3"),
        ("https://[2001:DB8:0:0::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://intranet", "https://intranet"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://LOCALHOST:80/api", "http://localhost"),
        ("http://127.0.0.1:443", "http://127.0.0.1:443"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
    ],
)
def test_an_origin_is_accepted_and_written_in_one_way(text: str, origin: str) -> None:
    assert parse_url(text, where="here") == origin


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a URL"),
        ("www.workato.com", "is not a URL"),
        ("//www.workato.com", "is not a URL"),
        ("https:www.workato.com", "is not a URL"),
        ("https:/www.workato.com", "is not a URL"),
        ("https://", "host name"),
        ("https:///api", "host name"),
        ("https://:443", "host name"),
        ("ftp://www.workato.com", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://token@www.workato.com", "user name"),
        ("https://www.workato.com:pass@evil.example", "user name"),
        ("https://www.workato.com?x=1", "query"),
        ("https://www.workato.com?", "query"),
        ("https://www.workato.com/#", "fragment"),
        ("https://www.workato.com/api/", "path"),
        ("https://www.workato.com/api/v2", "path"),
        ("https://www.workato.com/%61pi", "path"),
        ("https://www.workato.com//", "path"),
        ("https://www.workato.com:", "port"),
        ("https://www.workato.com:0", "port"),
        ("https://www.workato.com:65536", "port"),
        ("https://www.workato.com:1e3", "port"),
        ("https://www.workato.com:-1", "port"),
        ("https://www.workato.com:443:443", "port"),
        ("https://www.workato.com.", "host name"),
        ("https://www..workato.com", "host name"),
        ("https://-www.workato.com", "host name"),
        ("https://www_workato.com", "host name"),
        ("https://www.workato.com%2eevil.example", "host name"),
        (f"https://{'a' * 64}.example", "host name"),
        (f"https://{'a.' * 127}example", "host name"),
        ("https://wörkato.com", "ASCII"),
        ("https://www.workаto.com", "ASCII"),  # a Cyrillic letter
        ("https://www.workato。com", "ASCII"),
        ("https://127.0.0.٣", "ASCII"),
        ("https://www.workato.com\\@evil.example", "backslash"),
        (" https://www.workato.com", "white space"),
        ("https://www.workato.com\n", "white space"),
        ("https://www.work\tato.com", "white space"),
        ("https://www.workato.com\x00", "control"),
        ("https://2130706433", "IP address"),
        ("https://0x7f000001", "IP address"),
        ("https://127.1", "IP address"),
        ("https://0177.0.0.1", "IP address"),
        ("https://256.1.1.1", "IP address"),
        ("https://[::1", "is not a URL"),
        ("https://[::1]x", "is not a URL"),
        ("https://x[::1]", "is not a URL"),
        ("https://[::g]", "IP address"),
        ("https://[fe80::1%25eth0]", "IP address"),
        ("https://[]", "IP address"),
        ("http://www.workato.com", "loopback"),
        ("http://10.0.0.1", "loopback"),
        ("http://128.0.0.1", "loopback"),
        ("http://localhost.evil.example", "loopback"),
        ("http://127.0.0.1.evil.example", "loopback"),
        ("http://[::2]", "loopback"),
        ("http://[::ffff:127.0.0.1]", "loopback"),
        ("http://0.0.0.0", "loopback"),
    ],
)
def test_anything_else_is_refused_with_its_place_and_reason(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text, where="WORKATO_HOST")
    assert str(caught.value).startswith("WORKATO_HOST ")
    assert why in str(caught.value)
    assert caught.value.hint


def test_a_refused_address_is_not_quoted() -> None:
    with pytest.raises(UsageError) as caught:
        parse_url("https://user:canary@www.workato.com", where="here")
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_every_region_is_an_origin_already() -> None:
    assert {region: parse_url(url, where=region) for region, url in REGIONS.items()} == REGIONS
    assert set(REGIONS) == {"us", "eu", "jp", "sg", "au", "il", "kr", "uk", "cn", "trial"}


@given(st.text(st.sampled_from("htps:/[]@.-1a0xF%?#\\ \t"), max_size=24))
def test_what_is_accepted_is_a_fixed_point_and_ends_at_its_host(rest: str) -> None:
    """Whatever is accepted, its origin is accepted unchanged, and names one host and no more."""
    try:
        origin = parse_url(f"https://{rest}", where="here")
    except UsageError:
        return
    assert parse_url(origin, where="here") == origin
    assert origin.startswith("https://")
    assert not set(origin.removeprefix("https://")) & set("/@?#\\ \t%")
