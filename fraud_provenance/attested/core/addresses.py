"""Addresses of servers: which of them only who is meant can read what goes to."""

from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = "127.0.0.1"


def is_safe_address(address: str) -> bool:
    """Whether only who is meant can read what goes there: https, or http to this machine.

    An address with a user in it is none: what it tells would be told with it.

    >>> is_safe_address("https://login.example.com/fraud"), is_safe_address("http://127.0.0.1:80")
    (True, True)
    >>> is_safe_address("http://login.example.com"), is_safe_address("https://ann@example.com")
    (False, False)
    """
    scheme, host, place = parts_of(address)
    is_safe = scheme == "https" or (scheme == "http" and host == LOOPBACK)
    return is_safe and bool(host) and "@" not in place


def parts_of(address: str) -> tuple[str, str, str]:
    """(scheme, host, host with user and port); empty where it is no address. It tells no part.

    >>> parts_of("https://login.example.com:8443/fraud")
    ('https', 'login.example.com', 'login.example.com:8443')
    >>> parts_of("https://login.example.com:port")
    ('', '', '')
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "", "", ""
    return parts.scheme, host, parts.netloc
