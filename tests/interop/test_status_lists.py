"""Token status lists cross both ways between us, openvc-core and @sd-jwt/jwt-status-list.

PyPI sd-jwt knows no status list.
"""

import random
from typing import Final

import pytest
from counterfoil_credentials import (
    Json,
    Refused,
    SignedStatusList,
    read_status_list,
)
from counterfoil_credentials.status_entries import SEGMENT_BYTES, Bits, StatusEntries
from counterfoil_credentials.token_status_list import sign_status_entries

from tests.interop.asking import NPM, OPENVC, Peer, PeerRefused, private_jwk
from tests.interop.scene import ISSUER_KEY, NOON, NOW, signer

LIST: Final = "https://brand.example/status-lists/1"
WIDTHS: Final[tuple[Bits, ...]] = (1, 2, 4, 8)


def listed_by(stranger: Peer, statuses: list[int], bits: Bits) -> str:
    entries: list[Json] = [*statuses]
    return stranger.text(
        "list",
        now=NOW,
        statuses=entries,
        bits=bits,
        uri=LIST,
        ttl=3600,
        key=private_jwk(ISSUER_KEY),
        alg="ES256",
        kid=ISSUER_KEY.public.thumbprint(),
    )


def looked_up_by(
    stranger: Peer, token: str, indices: list[int], *, uri: str = LIST, key: str = "issuer"
) -> Json:
    """Give what the peer reads at these indices, or raise `PeerRefused`."""
    entries: list[Json] = [*indices]
    jwk = signer(key).public.jwk()
    return stranger.ask("look", now=NOW, token=token, uri=uri, key=jwk, indices=entries)


def read(token: str, *, url: str = LIST, key: str = "issuer") -> SignedStatusList:
    return read_status_list(token, url=url, issuer_key=signer(key).public, now=NOON)


def signed(entries: StatusEntries) -> str:
    return sign_status_entries(
        entries, url=LIST, signer=ISSUER_KEY, issued_at=NOON, expires_at=None, ttl_s=3600
    )


@pytest.mark.parametrize("stranger", [OPENVC, NPM], indirect=True)
@pytest.mark.parametrize("bits", WIDTHS)
def test_we_read_in_a_peer_s_list_what_it_put_there(stranger: Peer, bits: Bits) -> None:
    chance = random.Random(bits)
    statuses = [chance.randrange(1 << bits) for _ in range(1000)]

    ours = read(listed_by(stranger, statuses, bits))

    assert [ours.status_at(index) for index in range(1000)] == statuses
    assert (ours.bits, ours.ttl_s, ours.listed_at) == (bits, 3600, NOON)
    with pytest.raises(Refused) as refused:
        ours.status_at(1000)
    assert refused.value.codes == ["status-index-out-of-range"]


@pytest.mark.parametrize("stranger", [OPENVC, NPM], indirect=True)
@pytest.mark.parametrize("bits", WIDTHS)
def test_a_peer_reads_in_our_list_what_we_put_there_also_after_one_entry_changed(
    stranger: Peer, bits: Bits
) -> None:
    """The second list keeps the first one's other segments as they were compressed."""
    length = 2 * SEGMENT_BYTES * 8 // bits + 1000
    chance = random.Random(bits)
    entries = StatusEntries.blank(length, bits=bits)
    indices = [0, length - 1, *chance.sample(range(1, length - 1), 200)]
    for index in indices[:100]:
        entries[index] = chance.randrange(1 << bits)

    assert looked_up_by(stranger, signed(entries), indices) == [entries[i] for i in indices]
    entries[indices[150]] = 1
    assert looked_up_by(stranger, signed(entries), indices) == [entries[i] for i in indices]


@pytest.mark.parametrize("stranger", [OPENVC, NPM], indirect=True)
def test_lists_of_another_key_are_refused_both_ways(stranger: Peer) -> None:
    with pytest.raises(Refused) as refused:
        read(listed_by(stranger, [0, 1], 1), key="another")
    assert refused.value.codes == ["signature-invalid"]

    with pytest.raises(PeerRefused):
        looked_up_by(stranger, signed(StatusEntries.blank(8, bits=1)), [0], key="another")


@pytest.mark.parametrize("stranger", [OPENVC, NPM], indirect=True)
def test_we_refuse_a_peer_s_list_in_the_place_of_another(stranger: Peer) -> None:
    with pytest.raises(Refused) as refused:
        read(listed_by(stranger, [0, 1], 1), url=f"{LIST}0")

    assert refused.value.codes == ["status-list-mismatch"]


@pytest.mark.parametrize("stranger", [OPENVC], indirect=True)
def test_openvc_core_refuses_our_list_in_the_place_of_another(stranger: Peer) -> None:
    """@sd-jwt leaves that to its caller."""
    with pytest.raises(PeerRefused):
        looked_up_by(stranger, signed(StatusEntries.blank(8, bits=1)), [0], uri=f"{LIST}0")


@pytest.mark.parametrize("stranger", [OPENVC, NPM], indirect=True)
def test_a_peer_reads_nothing_past_the_end_of_our_list(stranger: Peer) -> None:
    with pytest.raises(PeerRefused):
        looked_up_by(stranger, signed(StatusEntries.blank(8, bits=1)), [8])
