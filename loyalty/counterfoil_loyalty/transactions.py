"""A transaction of the kind EIP-1559 defines: what a relayer signs, and reads again to outbid it.

    signed = transaction.sign(signer)                       # ledger.SignedTransaction
    read_transaction(signed.raw)                            # the same transaction

Fees are in wei for each unit of gas. Whoever replaces a transaction that waits
must offer a tenth more than before (what nodes ask for); an eighth is offered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from counterfoil_credentials.errors import Malformed

from counterfoil_loyalty.accounts import Signer
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import SignedTransaction

_KIND = b"\x02"
_NO_ACCESS_LIST = b"\xc0"

CANCELLATION_GAS = 21_000
"""What a transfer of nothing takes. Yellow Paper, appendix G."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One call: `to` is 20 bytes, or none where a contract is made."""

    chain_id: int
    sequence: int
    tip_wei: int
    fee_wei: int
    gas: int
    to: bytes
    data: bytes

    def sign(self, signer: Signer) -> SignedTransaction:
        """Give the bytes that a node takes, and the hash that they are known by."""
        fields = self._fields()
        signature = signer.sign(keccak256(_KIND + _list(fields)))
        parts = (signature[64] - 27, signature[:32], signature[32:64])
        numbers = [_number(parts[0]), *(_bytes(part.lstrip(b"\0")) for part in parts[1:])]
        raw = _KIND + _list([*fields, *numbers])
        return SignedTransaction(keccak256(raw).hex(), self.sequence, raw)

    def outbidding(self) -> "Transaction":
        """Give the same with both fees an eighth higher, rounded up."""
        return replace(self, tip_wei=_higher(self.tip_wei), fee_wei=_higher(self.fee_wei))

    def cancelling(self, by: bytes) -> "Transaction":
        """Give a transfer of nothing to the sender itself (`by`), which takes the number."""
        return replace(self.outbidding(), to=by, data=b"", gas=CANCELLATION_GAS)

    def cancels(self, by: bytes) -> bool:
        """Tell whether this is such a transfer."""
        return self.to == by and not self.data

    def _fields(self) -> list[bytes]:
        return [
            _number(self.chain_id),
            _number(self.sequence),
            _number(self.tip_wei),
            _number(self.fee_wei),
            _number(self.gas),
            _bytes(self.to),
            _number(0),  # value: relayers move no coins
            _bytes(self.data),
            _NO_ACCESS_LIST,
        ]


def read_transaction(raw: bytes) -> Transaction:
    """Give what was signed in `raw`; raises `Malformed` for anything that `sign` does not give."""
    if raw[:1] != _KIND:
        raise Malformed("a transaction of EIP-1559's kind", "another", "transaction")
    try:
        items = list(_items(raw[1:]))
        chain_id, sequence, tip, fee, gas, to, _, data, _, _, _, _ = items
    except (IndexError, ValueError) as cause:
        raise Malformed("twelve fields in RLP", "other bytes", "transaction") from cause
    return Transaction(
        chain_id=int.from_bytes(chain_id, "big"),
        sequence=int.from_bytes(sequence, "big"),
        tip_wei=int.from_bytes(tip, "big"),
        fee_wei=int.from_bytes(fee, "big"),
        gas=int.from_bytes(gas, "big"),
        to=to,
        data=data,
    )


def _higher(fee: int) -> int:
    return fee + max(fee // 8 + 1, 1)


def _number(value: int) -> bytes:
    return _bytes(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _bytes(value: bytes) -> bytes:
    """Write one string. RLP: Yellow Paper, appendix B."""
    if len(value) == 1 and value[0] < 0x80:
        return value
    return _head(0x80, len(value)) + value


def _list(items: list[bytes]) -> bytes:
    payload = b"".join(items)
    return _head(0xC0, len(payload)) + payload


def _head(base: int, size: int) -> bytes:
    if size < 56:
        return bytes([base + size])
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length


def _items(payload: bytes) -> Iterator[bytes]:
    """Read the strings of one list; an inner list is given as it stands."""
    start, end = _extent(payload, 0)
    if payload[0] < 0xC0 or end != len(payload):
        raise ValueError
    while start < end:
        inner, after = _extent(payload, start)
        if after > end:
            raise ValueError
        yield payload[inner:after]
        start = after


def _extent(payload: bytes, at: int) -> tuple[int, int]:
    """Give where the content of the item at `at` begins and ends."""
    head = payload[at]
    if head < 0x80:
        return at, at + 1
    base = 0x80 if head < 0xC0 else 0xC0
    size = head - base
    if size < 56:
        return at + 1, at + 1 + size
    width = size - 55
    start = at + 1 + width
    return start, start + int.from_bytes(payload[at + 1 : start], "big")
