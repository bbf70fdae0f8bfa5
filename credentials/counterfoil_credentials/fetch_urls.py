"""Which URLs may be fetched: one spelling of each host, and public places only.

A host is a name in plain letters, an IPv4 address of four numbers, or a
bracketed IPv6 address, shortened. What resolvers also take for an address
(`127.1`, `0x7f.1`, `2130706433`, a zone, a trailing dot) has a second reading,
and a longer spelling of an address would be another origin, so they are no URL
here. SD-JWT VC, section 7.1; RFC 5952, section 4; RFC 6890.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from counterfoil_credentials.errors import Malformed, Reason, Refused

_MAX_URL: Final = 8_192
_MAX_HOST: Final = 253
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
# Without a zone; the standard library passes over what follows the bracket.
_BRACKETED: Final = re.compile(r"\[[0-9A-Fa-f:]+\](?::[0-9]*)?\Z")
# Resolvers read a name that ends so as a number, whatever stands before it.
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")

# Names for this machine and this network (RFC 6761, 6762, 8375; ICANN's `internal`).
_LOCAL_NAMES: Final = ("localhost", "local", "internal", "home.arpa")
# IANA's special-purpose registries, written out: what the standard library calls
# global differs between the patch releases of one Python.
_SPECIAL_IPV4: Final = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
# Every public IPv6 address lies in the first (RFC 4291, section 2.4); mapped,
# translated (NAT64), site-local and IPv4-compatible ones do not. Protocol
# assignments with Teredo, and 6to4, stand for an IPv4 address or for nobody.
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
_SPECIAL_IPV6: Final = tuple(
    ip_network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


def parse_url(url: str) -> SplitResult:
    """Give the parts of an absolute http or https URL; `Malformed` for any other text."""
    if len(url) > _MAX_URL:
        raise Malformed(f"a URL of at most {_MAX_URL} characters", f"{len(url)}", "url")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise Malformed("a URL without spaces or control characters", "one with them", "url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as cause:
        raise Malformed("a URL", "another text", "url") from cause
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise Malformed("an http or https URL with a host", "another text", "url")
    if "@" in parts.netloc or "\\" in url:
        raise Malformed("a URL without user information", "one with it", "url")
    if port == 0 or not _is_plain(parts.hostname, parts.netloc):
        raise Malformed("a host in its plain spelling", "another", "url.host")
    return parts


def origin_of(parts: SplitResult) -> str:
    """Give scheme, host and port: what two URLs of one server have in common."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def require_public_name(host: str) -> None:
    """Refuse names that mean this machine or this network, before anybody is asked for them."""
    is_local = any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)
    # A name without a dot is looked up in the machine's own search domains.
    if is_local or ("." not in host and ":" not in host):
        raise not_allowed("a public host name", "a local one")


def is_public(address: str) -> bool:
    """Say whether anybody on the Internet may be meant by an address that a resolver gave."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in _SPECIAL_IPV4)
    return ip in _GLOBAL_UNICAST and not any(ip in block for block in _SPECIAL_IPV6)


def not_allowed(expected: str, found: str) -> Refused:
    """Give the refusal to go to a place: the code is `fetch-not-allowed`."""
    return Refused(Reason("fetch-not-allowed", expected, found, "url"))


def _is_plain(host: str, authority: str) -> bool:
    try:
        if authority.startswith("["):
            address = IPv6Address(host)
            # Mapped IPv4 is written in two ways, and differently by each Python.
            is_short = address.ipv4_mapped is None and str(address) == host
            return is_short and _BRACKETED.match(authority) is not None
        if _NUMBER.match(host.rpartition(".")[2]):
            return str(IPv4Address(host)) == host
    except ValueError:
        return False
    return len(host) <= _MAX_HOST and _NAME.match(host) is not None
