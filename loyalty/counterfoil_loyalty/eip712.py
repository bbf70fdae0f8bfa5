"""EIP-712: one 32-byte digest for a signed value with named fields.

Only what our contracts use: flat structs of `address`, `uintN`, `bool`, `bytes32`,
`string` and `uint256[]`. A struct is described by its type line, which is also what
is hashed:

    digest(domain, "Cancel(bytes32 ref)", (ref,))
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.keccak import keccak256

Value = str | int | bytes | tuple[int, ...]

_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_NUMBERS = frozenset(f"uint{bits}" for bits in range(8, 257, 8))
_TYPE_LINE = re.compile(r"([A-Z][A-Za-z0-9]*)\(([^()]*)\)\Z")


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature is valid: one contract on one chain, and nowhere else."""

    name: str
    version: str
    chain_id: int
    contract: str

    @property
    def separator(self) -> bytes:
        """Give the hash that ties each digest to this domain."""
        return _separator(self)


def digest(domain: Domain, type_line: str, values: Sequence[Value]) -> bytes:
    """Give the 32 bytes that are signed. EIP-712, section "Definition of hashStruct"."""
    return keccak256(b"\x19\x01" + domain.separator + struct_hash(type_line, values))


def struct_hash(type_line: str, values: Sequence[Value]) -> bytes:
    """Give the hash of one struct; `values` stand in the order of the type line."""
    type_hash, words = _parsed(type_line)
    if len(words) != len(values):
        text = f"expected {len(words)} values for {type_line}, found {len(values)}"
        raise Misuse(text)
    return keccak256(type_hash + b"".join(map(_written, words, values)))


@lru_cache(maxsize=64)
def _separator(domain: Domain) -> bytes:
    values = (domain.name, domain.version, domain.chain_id, domain.contract)
    return struct_hash(_DOMAIN, values)


@lru_cache(maxsize=64)
def _parsed(type_line: str) -> tuple[bytes, tuple[tuple[str, int], ...]]:
    """Give the type's hash and, for each field, its kind and how many bits a number has."""
    match = _TYPE_LINE.match(type_line)
    if match is None:
        text = f"expected a type line such as Award(address to), found {type_line}"
        raise Misuse(text)
    kinds = [field.split(" ")[0] for field in match.group(2).split(",")]
    return keccak256(type_line.encode()), tuple((kind, _bits(kind)) for kind in kinds)


def _bits(kind: str) -> int:
    return int(kind[4:]) if kind.startswith("uint") and kind[4:].isdigit() else 0


def _written(field: tuple[str, int], value: Value) -> bytes:
    kind, bits = field
    # Numbers first: half of all fields are numbers.
    if bits and isinstance(value, int) and 0 <= value < 1 << bits:
        return value.to_bytes(32, "big")
    match kind, value:
        case "address", str():
            return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")
        case "bytes32", bytes() if len(value) == 32:
            return value
        case "string", str():
            return keccak256(value.encode())
        case "bool", bool():
            return int(value).to_bytes(32, "big")
        case "uint256[]", tuple():
            return keccak256(b"".join(_written(("uint256", 256), each) for each in value))
        case _:
            text = f"expected a value of type {kind}, found a {type(value).__name__}"
            raise Misuse(text)
