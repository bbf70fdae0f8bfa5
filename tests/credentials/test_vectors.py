"""Published SD-JWTs: what nobody here wrote must come out as its authors say.

RFC 9901's examples, those of two other implementations, and those of the drafts that
build on it: issued claims, presented claims, signatures and key bindings.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.concealment import conceal
from counterfoil_credentials.encoding import b64url, from_b64url, parse_object
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.jws import UnverifiedJws, read_jws, sign_jws
from counterfoil_credentials.key_binding import bind, check_key_binding
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.sdjwt import SdJwt, disclose, reveal, unverified_payload
from counterfoil_credentials.sdjwt_json import flattened, general, parse_json_sd_jwt
from counterfoil_credentials.sdjwt_vc import issue_credential, read_credential
from counterfoil_credentials.spec import OLD_SD_JWT_VC_TYP, SD_JWT_VC_TYP

Vectors = Callable[[str], Path]
Random = Callable[[int], bytes]
Object: TypeAlias = dict[str, Any]
Container: TypeAlias = Object | list[Any]

FOLDERS = (
    "sd-jwt-rfc9901",
    "sd-jwt-python-testcases",
    "sd-jwt-vc-draft",
    "openid4vp-examples/sd_jwt_vcld",
)
MAX_AGE = timedelta(minutes=5)


@dataclass(frozen=True)
class Case:
    """One published example: what was issued, what was shown, and what each means."""

    name: str
    jws_part: str
    issuance: SdJwt
    presentation: SdJwt
    payload: Object
    user_claims: Object
    contents: Object
    issuer: PublicKey
    key_binding: Object | None

    def issuer_jwt(self) -> UnverifiedJws:
        """Read the issuer's JWT; its type is the example's own."""
        header = parse_object(from_b64url(self.jws_part.split(".")[0], "header"), "header")
        return read_jws(self.jws_part, typ=str(header["typ"]), where="sd_jwt")


def cases(vectors: Vectors, folder: str) -> Iterator[Case]:
    # The examples of OpenID4VP come without settings, and are signed by RFC 9901's issuer.
    local = vectors(folder) / "settings.yml"
    settings = local if local.exists() else vectors("sd-jwt-rfc9901") / "settings.yml"
    found = sorted(path.parent for path in vectors(folder).glob("*/sd_jwt_payload.json"))
    assert found
    for path in found:
        binding = path / "kb_jwt_payload.json"
        yield Case(
            name=f"{folder}/{path.name}",
            jws_part=published(path, "sd_jwt_jws_part").issuer_jwt,
            issuance=published(path, "sd_jwt_issuance"),
            presentation=published(path, "sd_jwt_presentation"),
            payload=json_form(path / "sd_jwt_payload.json"),
            user_claims=json_form(path / "user_claims.json"),
            contents=json_form(path / "verified_contents.json"),
            issuer=issuer_key(settings),
            key_binding=json_form(binding) if binding.exists() else None,
        )


@pytest.mark.parametrize("folder", FOLDERS)
def test_verifies_the_issuers_signature_over_the_published_payload(
    vectors: Vectors, folder: str
) -> None:
    for case in cases(vectors, folder):
        assert case.issuance.issuer_jwt == case.presentation.issuer_jwt == case.jws_part, case.name

        assert case.issuer_jwt().verify(case.issuer) == case.payload, case.name

        with pytest.raises(Refused, match="signature"):
            case.issuer_jwt().verify(MemorySigner.generate().public)


@pytest.mark.parametrize("folder", FOLDERS)
def test_reveals_what_was_issued_and_what_is_presented(vectors: Vectors, folder: str) -> None:
    for case in cases(vectors, folder):
        issued = reveal(unverified_payload(case.issuance), case.issuance.disclosures).claims
        shown = reveal(unverified_payload(case.presentation), case.presentation.disclosures).claims

        assert shown == case.contents, case.name
        assert {n: v for n, v in issued.items() if n in case.user_claims} == case.user_claims
        assert issued.keys() - case.user_claims.keys() <= {"iss", "iat", "exp", "cnf"}, case.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_presents_as_the_published_holder_does(vectors: Vectors, folder: str) -> None:
    for case in cases(vectors, folder):
        placed = reveal(unverified_payload(case.issuance), case.issuance.disclosures).paths
        shown = [placed[disclosure] for disclosure in case.presentation.disclosures]
        # The claims themselves: what stands on the way to them comes along.
        wanted = [path for path in shown if not any(is_below(other, path) for other in shown)]

        presented = disclose(case.issuance, wanted)

        assert set(presented.disclosures) == set(case.presentation.disclosures), case.name
        assert reveal(case.payload, presented.disclosures).claims == case.contents, case.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_issues_what_leaves_open_as_much_as_the_published_issuer_does(
    vectors: Vectors, folder: str, random_bytes: Random
) -> None:
    for case in cases(vectors, folder):
        issued = reveal(unverified_payload(case.issuance), case.issuance.disclosures)

        payload, disclosures = conceal(issued.claims, [*issued.paths.values()], random=random_bytes)

        assert len(disclosures) == len(case.issuance.disclosures), case.name
        assert reveal(payload, ()).claims == reveal(case.payload, ()).claims, case.name
        assert reveal(payload, disclosures).claims == issued.claims, case.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_checks_the_published_key_bindings(vectors: Vectors, folder: str) -> None:
    tried = 0
    for case in cases(vectors, folder):
        if case.key_binding is None:
            assert case.presentation.key_binding is None, case.name
            continue
        tried += 1
        claims = case.key_binding
        directory = vectors(folder) / case.name.rpartition("/")[2]
        serialized = text(directory / "kb_jwt_serialized.txt")
        assert case.presentation.key_binding == serialized, case.name
        bound = read_jws(serialized, typ="kb+jwt", where="kb_jwt")
        assert bound.header == json.loads((directory / "kb_jwt_header.json").read_text())
        assert bound.unverified_claims == claims, case.name
        holder = PublicKey.from_jwk(case.payload["cnf"]["jwk"], "cnf.jwk")
        made_at = datetime.fromtimestamp(claims["iat"], UTC)

        def check(
            shown: SdJwt,
            nonce: str = claims["nonce"],
            holder: PublicKey = holder,
            now: datetime = made_at,
            audience: str = claims["aud"],
        ) -> None:
            check_key_binding(
                shown, holder_key=holder, audience=audience, nonce=nonce, now=now, max_age=MAX_AGE
            )

        if (directory / "sd_jwt_presentation.json").exists():
            # The generator hashes its own spelling of the JSON; section 8 of RFC 9901
            # hashes the compact form, which no two parties spell differently.
            with pytest.raises(Refused) as refusal:
                check(case.presentation)
            assert refusal.value.codes == ["sd-hash-mismatch"], case.name
            continue
        check(case.presentation)
        with pytest.raises(Refused, match="nonce"):
            check(case.presentation, nonce=claims["nonce"] + "0")
        with pytest.raises(Refused, match="signature"):
            check(case.presentation, holder=case.issuer)
        with pytest.raises(Refused, match="younger"):
            check(case.presentation, now=made_at + MAX_AGE + timedelta(seconds=1))
        *fewer, _ = case.presentation.disclosures
        with pytest.raises(Refused, match="sd_hash"):
            check(SdJwt(case.jws_part, tuple(fewer), case.presentation.key_binding))

    assert tried


@pytest.mark.parametrize("folder", FOLDERS)
def test_reads_as_credentials_those_that_say_so(vectors: Vectors, folder: str) -> None:
    for case in cases(vectors, folder):
        if case.issuer_jwt().header["typ"] != SD_JWT_VC_TYP:
            with pytest.raises(Refused) as refusal:
                read_credential(case.presentation)
            assert refusal.value.codes == ["token-type-mismatch"], case.name
            continue

        credential = read_credential(case.presentation).verify(case.issuer)

        assert credential.claims == case.contents, case.name
        assert credential.vct == case.contents["vct"], case.name
        assert credential.holder_key is not None, case.name
        assert credential.holder_key.jwk() == case.contents["cnf"]["jwk"], case.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_reads_back_what_it_writes_in_either_json_serialisation(
    vectors: Vectors, folder: str
) -> None:
    for case in cases(vectors, folder):
        for sd_jwt in (case.issuance, case.presentation):
            for form in (flattened(sd_jwt), general([sd_jwt])):
                assert parse_json_sd_jwt(json.dumps(form)) == (sd_jwt,), case.name


@pytest.mark.parametrize("folder", ["sd-jwt-rfc9901", "sd-jwt-python-testcases"])
def test_reads_the_published_json_serialisations(vectors: Vectors, folder: str) -> None:
    found = sorted(vectors(folder).glob("*/sd_jwt_presentation.json"))
    assert found
    for case in cases(vectors, folder):
        path = vectors(folder) / case.name.rpartition("/")[2] / "sd_jwt_presentation.json"
        if path not in found:
            continue
        form = json_form(path)
        # The generator's are of a draft, with the disclosures beside the signature;
        # section 8.1 has them in the unprotected header.
        (as_published,) = parse_json_sd_jwt(json.dumps(form))
        assert as_published == SdJwt(case.jws_part, ()), case.name
        header = {name: form.pop(name) for name in ("disclosures", "kb_jwt") if name in form}
        protected, signature = form["protected"], form["signature"]
        second = MemorySigner.generate()
        signed = second.sign(f"{protected}.{form['payload']}".encode())

        (one,) = parse_json_sd_jwt(json.dumps({**form, "header": header}))
        first, other = parse_json_sd_jwt(
            json.dumps(
                {
                    "payload": form["payload"],
                    "signatures": [
                        {"protected": protected, "signature": signature, "header": header},
                        {"protected": protected, "signature": b64url(signed)},
                    ],
                }
            )
        )

        assert one == first == case.presentation, case.name
        assert flattened(one) == {**form, "header": header}, case.name
        assert other.disclosures == case.presentation.disclosures, case.name
        assert other.key_binding is None, case.name
        typ = str(case.issuer_jwt().header["typ"])
        read = read_jws(other.issuer_jwt, typ=typ, where="sd_jwt")
        assert read.verify(second.public) == case.payload, case.name
        with pytest.raises(Refused, match="signature"):
            read.verify(case.issuer)


def test_reveals_and_verifies_the_appendix_of_rfc_9901(vectors: Vectors) -> None:
    folder = vectors("sd-jwt-rfc9901")
    bound = 0
    for path in sorted((folder / "appendix").iterdir()):
        example = json.loads(path.read_text())
        presentation = SdJwt.parse(example["presentation"])
        header = parse_object(
            from_b64url(presentation.issuer_jwt.split(".")[0], "header"), "header"
        )
        issuer_jwt = read_jws(presentation.issuer_jwt, typ=str(header["typ"]), where="sd_jwt")

        payload = issuer_jwt.verify(issuer_key(folder / "settings.yml"))

        claims = reveal(payload, presentation.disclosures).claims
        assert claims == example["processed_payload"], path.name
        if header["typ"] == OLD_SD_JWT_VC_TYP:
            with pytest.raises(Refused, match="type"):
                read_credential(presentation)
            old = read_credential(presentation, accept_only_the_typ_of_old_drafts=True)
            assert old.verify(issuer_key(folder / "settings.yml")).claims == claims, path.name
        if presentation.key_binding is not None:
            bound += 1
            made = read_jws(presentation.key_binding, typ="kb+jwt", where="kb").unverified_claims
            check_key_binding(
                presentation,
                holder_key=PublicKey.from_jwk(example["processed_payload"]["cnf"]["jwk"], "jwk"),
                audience="https://verifier.example.org",
                nonce="1234567890",
                now=datetime.fromtimestamp(int(str(made["iat"])), UTC),
                max_age=MAX_AGE,
            )
    assert bound


def test_issues_the_credential_that_the_draft_of_sd_jwt_vc_shows(
    vectors: Vectors, random_bytes: Random, now: datetime
) -> None:
    folder = vectors("sd-jwt-vc-draft") / "document_json"
    header, shown = json_form(folder / "01.json"), json_form(folder / "02.json")
    registered = {"vct", "exp", "cnf"}
    claims = {name: value for name, value in shown.items() if name not in registered}
    issuer = MemorySigner.generate()

    credential = issue_credential(
        claims,
        vct=shown["vct"],
        issuer="https://issuer.example",
        signer=issuer,
        holder=PublicKey.from_jwk(shown["cnf"]["jwk"], "jwk"),
        issued_at=now,
        expires_at=datetime.fromtimestamp(shown["exp"], UTC),
        status=None,
        concealed=[(name,) for name in claims],
        random=random_bytes,
    )

    read = read_credential(credential)
    assert read.header.items() >= header.items()
    assert read.verify(issuer.public).claims.items() >= shown.items()
    assert unverified_payload(credential).keys().isdisjoint(claims)
    assert {n for n in shown if n in unverified_payload(credential)} == registered


def test_presents_what_the_test_cases_of_sd_jwt_js_expect(
    vectors: Vectors, random_bytes: Random, now: datetime
) -> None:
    issuer, holder = MemorySigner.generate(), MemorySigner.generate()
    found = sorted(vectors("sd-jwt-js-testcases").glob("*.json"))
    assert found
    for path in found:
        # `requiredClaimKeys` are left: they say the same in that library's own spelling.
        example = json.loads(path.read_text())
        claims = example["claims"]
        concealed = [*concealed_by(example["disclosureFrame"], claims)]
        payload, disclosures = conceal(claims, concealed, random=random_bytes)
        issued = SdJwt(sign_jws(payload, typ="example+sd-jwt", signer=issuer), disclosures)
        wanted = [*wanted_by(example["presentationFrames"], claims)]

        shown = bind(disclose(issued, wanted), signer=holder, audience="shop", nonce="n", now=now)

        received = SdJwt.parse(shown)
        verified = read_jws(received.issuer_jwt, typ="example+sd-jwt", where="sd_jwt").verify(
            issuer.public
        )
        claims = reveal(verified, received.disclosures).claims
        # An object of which nothing is shown stays, empty (RFC 9901, section 7.1, and the
        # case of the same name in the Python suite); this suite leaves it out.
        assert without_empty_objects(claims) == example["presentedClaims"], path.name
        check_key_binding(
            received,
            holder_key=holder.public,
            audience="shop",
            nonce="n",
            now=now,
            max_age=MAX_AGE,
        )


def concealed_by(frame: Object, claims: Container, path: ClaimPath = ()) -> Iterator[ClaimPath]:
    for name in frame.get("_sd", []):
        yield (*path, name)
    for name, below in frame.items():
        if not name.startswith("_sd"):
            step, value = member(claims, name)
            yield from concealed_by(below, value, (*path, step))


def wanted_by(frame: Object, claims: Container, path: ClaimPath = ()) -> Iterator[ClaimPath]:
    for name, below in frame.items():
        if isinstance(claims, list) and int(name) >= len(claims):
            continue  # one frame names an element that its claims lack
        step, value = member(claims, name)
        if isinstance(below, dict):
            yield from wanted_by(cast("Object", below), value, (*path, step))
        elif below:
            yield (*path, step)


def member(claims: Container, name: str) -> tuple[str | int, Any]:
    """Give what `name` selects, and the step of a path that says so."""
    return (int(name), claims[int(name)]) if isinstance(claims, list) else (name, claims[name])


def without_empty_objects(claims: Object) -> Object:
    return {name: value for name, value in claims.items() if value != {}}


def is_below(path: ClaimPath, other: ClaimPath) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def text(path: Path) -> str:
    """Give a text that the publisher has folded into lines."""
    return re.sub(r"\s", "", path.read_text())


def published(directory: Path, name: str) -> SdJwt:
    """Give the SD-JWT in a file of either serialisation."""
    compact = directory / f"{name}.txt"
    if compact.exists():
        found = text(compact)
        return SdJwt.parse(found) if "~" in found else SdJwt(found, ())
    parts = json_form(directory / f"{name}.json")
    issuer_jwt = f"{parts['protected']}.{parts['payload']}.{parts['signature']}"
    return SdJwt(issuer_jwt, tuple(parts["disclosures"]), parts.get("kb_jwt"))


def json_form(path: Path) -> Object:
    """Give a JSON serialisation: folded in one folder, written twice over in another."""
    found: Object | str = json.loads(re.sub(r"\n\s*", "", path.read_text()))
    return json.loads(found) if isinstance(found, str) else found


def issuer_key(settings: Path) -> PublicKey:
    """Give the issuer's key: the first of the settings."""
    found = re.search(r"issuer_key:(?:\s+\w+: \S+)+", settings.read_text())
    assert found
    members = dict(re.findall(r"(\w+): (\S+)", found[0]))
    return PublicKey.from_jwk({n: members[n] for n in ("kty", "crv", "x", "y")}, "issuer_key")
