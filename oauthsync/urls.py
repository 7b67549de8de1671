"""Where a token may be sent: Workato's data centers, and the validation of every other address.

Only an origin passes: scheme, host and port. What could send a token elsewhere than a reader of
the address expects (a user name before the host, a backslash, a look-alike letter, plain HTTP
beyond this machine) is refused, never repaired. An error never quotes the address, which may hold
a password.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from oauthsync.errors import UsageError

REGIONS: Mapping[str, str] = MappingProxyType(
    {
        "us": "https://www.workato.com",
        "eu": "https://app.eu.workato.com",
        "jp": "https://app.jp.workato.com",
        "sg": "https://app.sg.workato.com",
        "au": "https://app.au.workato.com",
        "il": "https://app.il.workato.com",
        "kr": "https://app.kr.workato.com",
        "uk": "https://app.uk.workato.com",  # reported, not in Workato's documentation
        "cn": "https://app.workatoapp.cn",
        "trial": "https://app.trial.workato.com",
    }
)
"""Region → origin of its data center (docs.workato.com, "Workato API", Base URL)."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_URL = re.compile(
    r"(?P<scheme>[^:/]*)://(?P<host>\[[^\]/]*\]|[^:/\[\]]*)(?P<port>:[^/]*)?(?P<path>/.*)?"
)
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
# Resolvers read such a host as an IPv4 address, in many spellings: 127.1, 0x7f000001, 2130706433.
_NUMERIC_HOST = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")


def parse_url(text: str, *, where: str) -> str:
    """The origin of an address, as `https://host` or `https://host:port`, in lower case.

    An empty path, `/` and `/api` are accepted and dropped, the scheme's default port too. `http://`
    is accepted for 127.0.0.0/8, ::1 and `localhost` only. Raises UsageError, which begins with
    `where`, for everything else.
    """
    _check_characters(text, where)
    match = _URL.fullmatch(text)
    if match is None:
        raise _refused(where, "is not a URL")
    scheme = match["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise _refused(where, "must begin with https://")
    if match["path"] not in (None, "/", "/api"):
        raise _refused(where, "must end after the host: a path is not part of it")
    try:
        host, is_loopback = _parse_host(match["host"].lower())
        port = _parse_port(match["port"])
    except ValueError as error:
        raise _refused(where, str(error)) from None
    if scheme == "http" and not is_loopback:
        raise _refused(where, "must begin with https://: http:// is for loopback addresses only")
    return f"{scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}")


def _check_characters(text: str, where: str) -> None:
    if not text.isascii():
        raise _refused(
            where, "holds a letter outside ASCII: write an international host in its xn-- form"
        )
    if not text.isprintable() or " " in text or "\\" in text:
        raise _refused(where, "holds white space, a control character or a backslash")
    for mark, part in (("@", "a user name"), ("?", "a query"), ("#", "a fragment")):
        if mark in text:
            raise _refused(where, f"must end after the host: {part} ({mark}) is not part of it")


def _parse_host(host: str) -> tuple[str, bool]:
    """The host in its one spelling, and whether it is this machine."""
    try:
        if host.startswith("["):
            return _parse_ipv6(host[1:-1])
        if _NUMERIC_HOST.fullmatch(host):
            ipv4 = IPv4Address(host)
            return str(ipv4), ipv4.is_loopback
    except ValueError:
        raise ValueError("has a host that is not a valid IP address") from None
    if not _HOST_NAME.fullmatch(host):
        raise ValueError("has no valid host name")
    return host, host == "localhost"


def _parse_ipv6(text: str) -> tuple[str, bool]:
    if "%" in text:
        raise ValueError("a zone is no part of an origin")
    address = IPv6Address(text)
    return f"[{address}]", address == IPv6Address("::1")


def _parse_port(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(":[0-9]{1,5}", text) or not 1 <= int(text[1:]) <= 65535:
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(text[1:])


def _refused(where: str, why: str) -> UsageError:
    return UsageError(
        f"{where} {why}", hint="write the workspace's origin, such as https://app.eu.workato.com"
    )
