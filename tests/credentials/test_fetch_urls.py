"""Which URLs may be fetched: every odd way to write a host, and every place that is not public."""

import ipaddress
import random

import pytest
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher
from counterfoil_credentials.fetch_urls import is_public, origin_of, parse_url


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.256",
        "1.2.3.4.5",
        "a.0x7f",
        "a.0x",
        "93.184.215.014",
        "audio.example.",
        "localhost.",
        "audio..example",
        ".audio.example",
        "-audio.example",
        "audio-.example",
        "au_dio.example",
        "audio%2eexample",
        "audio.example%00.b.example",
        "a" * 64 + ".example",
        "a." * 130 + "example",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[2606:2800:220:1::1%251]",
        "[v1.audio]",
        "[audio.example]",
        "[2606:2800:220:1::1]x",
        "[2606:2800:220:1::1]x:443",
        "[2606:2800:220:1::1]443",
        "[2606:2800:220:1::1]]",
        "[2606:2800:220:1::1][::1]",
        "x[2606:2800:220:1::1]",
        "[2606:2800:220:1:0:0:0:1]",
        "[2606:2800:0220:1::1]",
        "[2606:2800:220:1::0.0.0.1]",
        "[2606:2800:220::1:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:93.184.215.14]",
        "[::ffff:0:10.0.0.1]",
        "[127.0.0.1]",
        "[2606:2800:220:1::1",
        "[]",
        "user@audio.example",
        "user:pass@audio.example",
        "@audio.example",
        "audio.example:0",
        "audio.example:65536",
        "audio.example:-1",
        "audio.example:+443",
        "audio.example:4a",
        "ä.example",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "\ud800.example",
        "audio.example\x00",
        "audio.example\t",
        "audio.example\\@b.example",
        "",
    ],
    ids=ascii,
)
def test_knows_one_spelling_of_a_host(host: str) -> None:
    with pytest.raises(Malformed):
        GuardedFetcher().get(f"https://{host}/", accept="*/*")
    with pytest.raises(Malformed):
        MemoryFetcher().get(f"https://{host}/", accept="*/*")


@pytest.mark.parametrize(
    "host",
    [
        "audio.example",
        "AUDIO.example",
        "xn--4ca.example",
        "a-1.b--c.3com.example",
        "93.184.215.14",
        "[2606:2800:220:1:248:1893:25c8:1946]",
        "[2606:2800:220:1::ABCD]",
        "[2606:2800:220:1::1]:8443",
        "[2606:2800:220:1::1]:",
        "[::1]",
        "127.0.0.1:4711",
        "0x7f.example",
        "a" * 63 + ".example",
    ],
)
def test_reads_hosts_in_their_plain_spelling(host: str) -> None:
    assert parse_url(f"https://{host}/x").netloc == host


def test_tells_origins_apart_by_scheme_host_and_port() -> None:
    def origin(url: str) -> str:
        return origin_of(parse_url(url))

    assert origin("https://Audio.example/a") == origin("https://audio.example:443/b?c")
    assert origin("https://audio.example") != origin("https://audio.example:444")
    assert origin("https://audio.example") != origin("http://audio.example")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "a.localhost",
        "localhost:4711",
        "printer.local",
        "vault.internal",
        "router.home.arpa",
        "intranet",
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104  # asked for, not bound to
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1:8443",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::7f00:1]",
        "[::ffff:0:a00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::5db8:d70e]",
        "[64:ff9b:1::7f00:1]",
        "[100::1]",
        "[2001::1]",
        "[2001:2::1]",
        "[2001:db8::1]",
        "[2002:7f00:1::]",
        "[3fff::1]",
        "[5f00::1]",
        "[fc00::1]",
        "[fd12:3456::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
    ],
)
def test_goes_to_no_private_local_or_reserved_place(host: str) -> None:
    with pytest.raises(Refused) as refusal:
        GuardedFetcher(timeout_s=1).get(f"https://{host}/", accept="*/*")
    assert refusal.value.codes == ["fetch-not-allowed"]


@pytest.mark.parametrize("url", ["http://93.184.215.14/", "http://127.0.0.1:8000/"])
def test_leaves_https_for_nobody(url: str) -> None:
    with pytest.raises(Refused) as refusal:
        GuardedFetcher().get(url, accept="*/*")
    assert refusal.value.codes == ["fetch-not-allowed"]


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:2800:220:1::1", "2003::1"],
)
def test_the_neighbours_of_the_reserved_blocks_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::ffff:93.184.215.14", "::127.0.0.1"])
def test_no_resolver_leads_through_ipv6_to_ipv4(address: str) -> None:
    assert not is_public(address)


def test_calls_nothing_public_that_the_standard_library_does_not() -> None:
    # The other way round it may differ: we also refuse what only translates to IPv4.
    random_ = random.Random(3)
    v4 = [ipaddress.IPv4Address(random_.getrandbits(32)) for _ in range(5_000)]
    v6 = [ipaddress.IPv6Address(1 << 125 | random_.getrandbits(125)) for _ in range(2_000)]

    public4 = [address for address in v4 if is_public(str(address))]
    public6 = [address for address in v6 if is_public(str(address))]

    assert len(public4) > 3_000
    assert len(public6) > 1_900
    assert all(address.is_global and not address.is_multicast for address in public4)
    assert all(address.is_global and not address.is_multicast for address in public6)
