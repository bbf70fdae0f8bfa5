"""One function per parser: any bytes go in; it returns, or something is wrong.

The first byte chooses how the rest is meant, so that a fuzzer reaches the code
behind a signature: T is the text of a token or a link as it would arrive, other
letters are parts that the target encodes and signs. Beside what `judge` demands
of errors, what parses must print and parse to the same again.
"""

from collections.abc import Callable
from typing import Final

from tests.fuzz.documents import answers, dcql, did, encoding, links, metadata, types
from tests.fuzz.tokens import jwe, jws, proof, request, sd_jwt, status_list, x5c
from tests.fuzz.w3c import bitstring, data_integrity

Target = Callable[[bytes], None]

TARGETS: Final[dict[str, Target]] = {
    target.__name__: target
    for target in (
        sd_jwt,
        jws,
        did,
        status_list,
        dcql,
        types,
        x5c,
        jwe,
        request,
        proof,
        links,
        metadata,
        answers,
        encoding,
        data_integrity,
        bitstring,
    )
}
"""Each parser's target, by the name of its folder in `corpus/`; first the five of the promise."""
