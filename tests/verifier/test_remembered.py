"""A customer who comes again, and a thousand at once: quicker, and never less strict."""

import gc

import pytest
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_verifier import (
    Accepted,
    PinnedTrust,
    Remembered,
    Statuses,
    TrustedIssuer,
    Verifier,
)

from tests.verifier.scene import INDEX, ISSUER, Scene


class Checks:
    """Counts the signatures that are really verified, by the key that they are of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[PublicKey] = []
        verify = PublicKey.verify

        def counted(key: PublicKey, signature: bytes, message: bytes) -> None:
            self.keys.append(key)
            verify(key, signature, message)

        monkeypatch.setattr(PublicKey, "verify", counted)


def verifier(scene: Scene, remembered: Remembered) -> Verifier:
    return Verifier(scene.preset.policy(), scene.trust, scene.statuses, remembered=remembered)


def verify(scene: Scene, credential: SdJwt, remembered: Remembered) -> Accepted:
    request = scene.request()
    shown = scene.present(credential, request)
    return verifier(scene, remembered).verify(shown, request, now=scene.clock())


def test_a_credential_that_was_seen_before_costs_its_holders_proof_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered, credential = Remembered(), scene.warranty()
    verify(scene, credential, remembered)
    checks = Checks(monkeypatch)

    assert (
        verify(scene, credential, remembered).claims == verify(scene, credential, remembered).claims
    )
    assert checks.keys == [scene.holder.public] * 2

    verify(scene, scene.warranty(), remembered)
    assert checks.keys[2:] == [scene.brand.signer.public, scene.holder.public]


def test_what_was_refused_is_not_remembered(scene: Scene) -> None:
    remembered, good = Remembered(), scene.warranty()
    signing_input, _, signature = good.issuer_jwt.rpartition(".")
    spoiled = bytearray(from_b64url(signature, "signature"))
    spoiled[0] ^= 1
    bad = SdJwt(f"{signing_input}.{b64url(bytes(spoiled))}", good.disclosures)

    verify(scene, good, remembered)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            verify(scene, bad, remembered)
        assert refused.value.codes == ["signature-invalid"]
    assert len(remembered) == 1


def test_a_good_signature_is_good_for_its_own_key_alone(scene: Scene) -> None:
    remembered, credential = Remembered(), scene.warranty()
    verify(scene, credential, remembered)
    trusted = TrustedIssuer(
        issuer=ISSUER,
        vcts=frozenset(scene.preset.vcts),
        keys=(MemorySigner.generate().public,),
    )
    (message, signature) = credential.issuer_jwt.rsplit(".", 1)
    other = trusted.keys[0]
    assert isinstance(other, PublicKey)

    with pytest.raises(Refused) as refused:
        remembered.check(other, from_b64url(signature, "signature"), message.encode())
    assert refused.value.codes == ["signature-invalid"]
    scene.trust = PinnedTrust([trusted])
    with pytest.raises(Refused) as unknown:
        verify(scene, credential, remembered)
    assert unknown.value.codes == ["issuer-key-unknown"]


def test_what_was_good_is_not_good_when_it_is_cut_elsewhere(scene: Scene) -> None:
    """The same bytes in a row, with the end of the signature at the head of the message."""
    remembered, key = Remembered(), scene.brand.signer.public
    message = b"a message"
    signature = scene.brand.signer.sign(message)
    remembered.check(key, signature, message)

    for cut in (1, 32, 63):
        with pytest.raises(Refused):
            remembered.check(key, signature[:-cut], signature[-cut:] + message)
        with pytest.raises(Refused):
            remembered.check(key, signature + message[:cut], message[cut:])
    remembered.check(key, signature, message)
    assert len(remembered) == 1


def test_all_else_is_judged_again_each_time(scene: Scene) -> None:
    remembered, credential = Remembered(), scene.warranty()
    verify(scene, credential, remembered)
    request = scene.request()
    stolen = scene.present(credential, request, signer=MemorySigner.generate())

    with pytest.raises(Refused) as another_holder:
        verifier(scene, remembered).verify(stolen, request, now=scene.clock())
    assert another_holder.value.codes == ["key-binding-signature-invalid"]

    scene.brand.listed[INDEX] = 1
    scene.statuses = Statuses(scene.brand)
    with pytest.raises(Refused) as revoked:
        verify(scene, credential, remembered)
    assert revoked.value.codes == ["revoked"]


def test_the_signature_met_longest_ago_is_forgotten_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = Remembered(size=2)
    first, second, third = (scene.warranty() for _ in range(3))
    for credential in (first, second, first, third):
        verify(scene, credential, remembered)
    assert len(remembered) == 2
    checks = Checks(monkeypatch)

    for credential, times in ((first, 0), (third, 0), (second, 1)):
        verify(scene, credential, remembered)
        assert checks.keys.count(scene.brand.signer.public) == times
    with pytest.raises(Misuse):
        Remembered(size=0)


def test_only_hashes_are_remembered(scene: Scene) -> None:
    remembered = Remembered()
    verify(scene, scene.warranty(), remembered)

    found: list[object] = [remembered]
    for one in found:
        if isinstance(one, (Remembered, dict)):
            found += gc.get_referents(one)
    texts = [one for one in found if isinstance(one, (str, bytes))]
    assert sorted({len(one) for one in texts if isinstance(one, bytes)}) == [32]
    assert not any("A1-0001" in str(one) for one in texts)


def test_a_counter_remembers_nothing_unless_it_is_told_to(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential, remembered = scene.warranty(), Remembered()
    brand, holder = scene.brand.signer.public, scene.holder.public
    # The list is had before the signatures are counted.
    scene.counter.receive(*scene.answer(scene.counter.ask("warranty"), credential))
    checks = Checks(monkeypatch)

    def answered() -> list[PublicKey]:
        request_id, form = scene.answer(scene.counter.ask("warranty"), credential)
        checks.keys.clear()
        scene.counter.receive(request_id, form)
        return [*checks.keys]

    assert answered() == answered() == [brand, holder]
    scene.counter = scene.open_counter(remembered=remembered)
    assert answered() == [brand, holder]
    assert answered() == [holder]
    assert len(remembered) == 1


def test_a_counter_that_remembers_judges_the_list_each_time(scene: Scene) -> None:
    credential, remembered = scene.warranty(), Remembered()
    scene.counter = scene.open_counter(remembered=remembered)
    scene.counter.receive(*scene.answer(scene.counter.ask("warranty"), credential))
    scene.brand.listed[INDEX] = 1
    scene.counter = scene.open_counter(remembered=remembered, statuses=Statuses(scene.brand))

    with pytest.raises(Refused) as refused:
        scene.counter.receive(*scene.answer(scene.counter.ask("warranty"), credential))
    assert refused.value.codes == ["revoked"]
    assert len(remembered) == 1
