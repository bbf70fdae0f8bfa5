"""The targets of documents, links and identifiers; `targets` says what a target is."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.claims import ClaimPath, values_at
from counterfoil_credentials.dcql import parse_dcql
from counterfoil_credentials.dcql_match import Candidate, claims_to_show, mismatches, ways_to_answer
from counterfoil_credentials.dcql_match import judge as dcql_judge
from counterfoil_credentials.did_documents import DidDocument, Relationship, key_for
from counterfoil_credentials.did_methods import offline_resolver, resolver
from counterfoil_credentials.did_resolution import Options, Resolver
from counterfoil_credentials.did_results import Deactivated, Dereferenced, NotResolved, Resolved
from counterfoil_credentials.dids import DidUrl, did_jwk, did_key, key_id_of, key_of, parse_did
from counterfoil_credentials.encoding import (
    b64url,
    canonical_json,
    compact_json,
    from_b64url,
    parse_json,
    parse_object,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Handler, MemoryFetcher, Response
from counterfoil_credentials.integrity import check_integrity
from counterfoil_credentials.issuer_keys import (
    issuer_key_named,
    issuer_keys_document,
    parse_issuer_keys,
    well_known,
)
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.multikey import Multikey, multibase
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.request_links import parse_request_link, request_link
from counterfoil_credentials.requests import parse_response_form
from counterfoil_credentials.sdjwt import disclose
from counterfoil_credentials.type_chain import resolve_type
from counterfoil_credentials.type_metadata import TypeMetadata, parse_type_metadata
from counterfoil_credentials.type_rules import check_issued, check_presented
from counterfoil_wallet.discovering import discover

from tests.fuzz.fixed import CLAIMS, ISSUER, NOW, VCT, WARRANTY, lines, text_of
from tests.fuzz.judge import judged, require_good

_ASSERTION: Final = Relationship.ASSERTION
_WEB: Final = resolver(MemoryFetcher())
_SHOWN: Final[tuple[tuple[ClaimPath, ...], ...]] = (
    (),
    (("order",),),
    (("lines", 0, "price"),),
    (("buyer",), ("lines",)),
)


def did(data: bytes) -> None:
    """T: a DID URL. M: a Multikey. J: a JWK. O: a DID URL and options. W: a did:web, its document.

    In W, `#d` in the document stands for the DID.
    """
    body = data[1:]
    match data[:1]:
        case b"T":
            _named(text_of(body), None, offline_resolver())
        case b"M":
            _named(f"did:key:{multibase(body[:1_024])}", None, offline_resolver())
        case b"O":
            url, options = lines(body, 2)
            with judged(options):
                _named(text_of(url), parse_object(options, "options", max_depth=4), _WEB)
        case b"W":
            url, document = lines(body, 2)
            _published(text_of(url), document)
        case _:
            _named(f"did:jwk:{b64url(body)}", None, offline_resolver())


def _named(text: str, options: Options | None, by: Resolver) -> None:
    with judged(text):
        assert str(DidUrl.parse(text, "did")) == text
    with judged(text):
        assert parse_did(text, "did") == text == str(DidUrl.parse(text, "did"))
    with judged(text):
        key = key_of(text, "did")
        for one in (did_jwk(key), did_key(key)):
            assert key_of(key_id_of(one), "did") == key
            assert offline_resolver().key_for(key_id_of(one), _ASSERTION, at=NOW, now=NOW) == key
        assert Multikey.parse(str(Multikey.of(key)), "key").public_key("key") == key
    with judged(text):
        found = by.dereference(text, options)
        compact_json(found.to_dereferencing_json())
        match found:
            case NotResolved(cause=cause):
                require_good(cause, [text])
            case Deactivated():
                pass
            case Dereferenced(document=document):
                assert DidDocument.parse(document.json, document.did) == document
                for name in document.methods:
                    _usable(document, name)


def _usable(document: DidDocument, name: str) -> None:
    for relationship in Relationship:
        with judged(compact_json(document.json)):
            key = key_for(document, name, relationship, at=NOW, now=NOW)
            if isinstance(key, PublicKey):
                assert PublicKey.from_jwk(key.jwk(), "jwk") == key
            else:
                assert Multikey.of(key).verification_key("key") == key


def _published(url: str, document: bytes) -> None:
    name, _, _ = url.partition("#")
    said = document.replace(b"#d", name.encode("utf-8", "surrogateescape"))
    fetcher = MemoryFetcher()
    fetcher.serve(ISSUER, _always(Response(200, "application/did", said)))
    with judged(url, said):
        _named(url, None, resolver(fetcher))
    with judged(url, said):
        expanded = resolver(fetcher).resolve(name, {"expandRelativeUrls": True})
        if isinstance(expanded, Resolved):
            again = DidDocument.parse(expanded.json, expanded.document.did)
            assert again.methods.keys() == expanded.document.methods.keys()


def _always(response: Response) -> Handler:
    def answer(_method: str, _path: str, _headers: Mapping[str, str], _body: bytes) -> Response:
        return response

    return answer


def dcql(data: bytes) -> None:
    """Q: a query, asked of our credential. Otherwise: a query and the claims it is asked of."""
    text, claims = (data[1:], b"") if data[:1] == b"Q" else lines(data[1:], 2)
    with judged(text, claims):
        query = parse_dcql(parse_object(text, "dcql_query"))
        again = parse_dcql(parse_object(compact_json(query.to_json()), "dcql_query"))
        assert again == query
        held = Candidate(types=(VCT,), claims=parse_object(claims, "claims") if claims else CLAIMS)
        answers: dict[str, list[Candidate]] = {}
        for credential in query.credentials:
            reasons = mismatches(credential, held)
            paths = claims_to_show(credential, held)
            # What the wallet shows and what the verifier takes are one decision.
            assert (paths is None) == bool(reasons)
            if reasons:
                require_good(Refused(*reasons), (text, claims))
            else:
                answers[credential.id] = [held]
                assert all(values_at(held.claims, path) for path in paths or ())
        ways = ways_to_answer(query, answers)
        if ways.is_answerable and answers:
            assert not dcql_judge(query, answers)
            assert not dcql_judge(query, {name: [held] for name in ways.first or answers})
        elif reasons := dcql_judge(query, answers):
            require_good(Refused(*reasons), (text, claims))


def types(data: bytes) -> None:
    """M: one document. I: integrity metadata, then bytes. Otherwise: a chain, a document a line.

    The documents of a chain stand in the registry as t0, t1 and so on.
    """
    body = data[1:]
    match data[:1]:
        case b"M":
            with judged(body):
                parse_type_metadata(body)
        case b"I":
            text, content = lines(body, 2)
            with judged(text):
                check_integrity(content, text_of(text), "vct#integrity")
        case _:
            registry = {f"t{i}": document for i, document in enumerate(body.split(b"\n")[:20])}
            with judged(body):
                found = resolve_type("t0", integrity=None, registry=registry, fetcher=None)
                assert found.vcts[0] == found.metadata.vct == "t0"
                assert len(set(found.vcts)) == len(found.vcts)
                # Its rules are tried on our credential, whatever type it describes.
                _ruled(replace(found.metadata, vct=VCT), body)


def _ruled(metadata: TypeMetadata, given: bytes) -> None:
    parts = [disclose(WARRANTY, paths) for paths in _SHOWN]
    for shown in parts:
        with judged(given):
            check_presented(metadata, shown)
    try:
        check_issued(metadata, WARRANTY)
    except CounterfoilError as error:
        require_good(error, [given])
    else:
        # What keeps the rules as a whole shows no breach in any part.
        for shown in parts:
            check_presented(metadata, shown)


def encoding(data: bytes) -> None:
    """T: JSON as text, half surrogates and all. B: base64url. Otherwise: JSON as bytes."""
    match data[:1]:
        case b"B":
            text = text_of(data[1:])
            with judged():
                assert b64url(from_b64url(text, "text")) == text
        case b"T":
            _json(text_of(data[1:]))
        case _:
            _json(data[1:])
    assert from_b64url(b64url(data), "text") == data


def _json(data: bytes | str) -> None:
    with judged(data):
        value = parse_json(data, "json")
        assert repr(value) == repr(json.loads(data))
        assert repr(parse_json(compact_json(value), "json")) == repr(value)
        # A number that canonical JSON does not spell is our own caller's mistake.
        with suppress(Misuse):
            assert parse_json(canonical_json(value), "json") == value


def links(data: bytes) -> None:
    """O: an offer in a link. F: the vp_token of an answer. Otherwise: any link."""
    body = data[1:]
    match data[:1]:
        case b"O":
            encoded = "".join(f"%{byte:02x}" for byte in body)
            _offer(f"openid-credential-offer://?credential_offer={encoded}")
        case b"F":
            with judged(body):
                token = parse_response_form({"vp_token": text_of(body)})
                assert all(token.values())
        case _:
            link = text_of(body)
            _offer(link)
            with judged(link):
                found = parse_request_link(link)
                again = parse_request_link(
                    request_link(found.client_id, found.request_uri, found.method)
                )
                assert again == found


def _offer(link: str) -> None:
    with judged(link):
        offer = parse_offer(link)
        assert parse_offer(offer.to_link()) == offer
        well_known(offer.issuer, "openid-credential-issuer").encode("utf-8")


def answers(data: bytes) -> None:
    """The status of one of our services' answers, three digits, and its body."""
    status = int(data[:3]) if re.fullmatch(rb"[1-5][0-9]{2}", data[:3]) else 400
    try:
        answer_of(Response(status, "application/json", data[3:]), "custodian")
    except (Malformed, Refused, Unavailable) as error:
        text = str(error)
    else:
        return
    # What the service said is told to people, so only its form is judged.
    assert text.startswith("expected ")
    assert text.isprintable()


def metadata(data: bytes) -> None:
    """K: the keys of an issuer. U: its URL. Otherwise: what its two servers answer."""
    body = data[1:]
    match data[:1]:
        case b"K":
            with judged(body):
                keys = parse_issuer_keys(parse_object(body, "jwt-vc-issuer"), ISSUER)
                named = issuer_keys_document(ISSUER, [*keys.values()])
                again = parse_issuer_keys(named, ISSUER)
                assert set(again.values()) == set(keys.values())
                issuer_key_named(keys, None)
        case b"U":
            with judged(body):
                assert "/.well-known/name" in well_known(text_of(body), "name")
        case _:
            _discovered(*lines(body, 3))


def _discovered(offer: bytes, issuer: bytes, server: bytes) -> None:
    def answer(_method: str, path: str, _headers: Mapping[str, str], _body: bytes) -> Response:
        body = server if "oauth-authorization-server" in path else issuer
        return Response(200, "application/json", body)

    fetcher = MemoryFetcher()
    fetcher.serve(ISSUER, answer)
    encoded = "".join(f"%{byte:02x}" for byte in offer)
    with judged(offer, issuer, server):
        found = discover(
            fetcher, parse_offer(f"openid-credential-offer://?credential_offer={encoded}")
        )
        assert found.configurations
        for url in (found.endpoints.token, found.endpoints.credential):
            assert url.startswith("https://")
