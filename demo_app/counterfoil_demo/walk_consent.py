"""Step d: two facts for thirty days, one read, one tap, and proof of the end."""

import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from counterfoil_consent.client import fetch_custodian
from counterfoil_consent.erasure_proof import verify_erasure_receipt
from counterfoil_consent.issuer_trust import FetchedIssuerKeys, ListedStatus
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.states import Level
from counterfoil_consent.terms import Purpose
from counterfoil_credentials.encoding import JsonObject, int_at, object_at, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_wallet.grant_states import InForce, Proved

from counterfoil_demo.houses import (
    AURICLE,
    CUSTODIAN,
    ONE_TIME_KEYS,
    SEALING_KEYS,
    VELORUM,
    fetcher_for,
)
from counterfoil_demo.naming import claim_names
from counterfoil_demo.office import objects_at, segment
from counterfoil_demo.report import NotAsItMustBe, Step, must
from counterfoil_demo.scene import Scene
from counterfoil_demo.walk_credentials import Purchase
from counterfoil_demo.words import Language, sentence

_RECEIPT_VCT: Final = f"{AURICLE.origin}/types/receipt"
_PURPOSE: Final = Purpose.PERSONALISED_BENEFITS
_THIRTY_DAYS: Final = timedelta(days=30)
_MOST_READS: Final = 5


def lend_and_take_back(scene: Scene, step: Step, purchase: Purchase) -> None:
    """Grant, let the brand read, withdraw, and see that nothing opens any more."""
    _end_what_was_left(scene, step)
    grant = _grant(scene, step)
    grant_id = grant.grant_id
    answer = _read(scene, grant_id)
    facts, lease = objects_at(answer, "facts"), object_at(answer, "lease", "read")
    told = str(facts)
    must(len(facts) == 2, "two facts", len(facts))
    must(purchase.buyer not in told and purchase.email not in told, "no name", "one")
    step.say(
        "read",
        who="Velorum",
        n=int_at(lease, "read", "lease"),
        most=int_at(lease, "max_reads", "lease"),
        facts="; ".join(_spelled(fact) for fact in facts),
    )
    with tempfile.TemporaryDirectory(prefix="counterfoil-before-") as kept:
        # All that Velorum has on disk while the grant is in force: database, keys, journals.
        before = Path(shutil.copytree(scene.data / VELORUM.name, Path(kept) / VELORUM.name))
        with _hoarder(scene, before) as hoarder:
            must(_can_open(hoarder, grant_id), "a copy that opens before the end", "one closed")
            proved = _withdraw(scene, step, grant)
            _refused_read(scene, step, grant_id)
            must(not _can_open(hoarder, grant_id), "a copy that stays closed", "one that opens")
        _require_key_destroyed(scene, grant_id)
        step.say("bytes-closed", who="Velorum")
    erased = verify_erasure_receipt(
        proved.receipt, agreement=grant.active.agreement, now=datetime.now(UTC)
    )
    level = erased.level
    must(level >= Level.E2, "a receipt of level E2", level.name)
    meaning = sentence(f"level-{level.name}", step.report.language)
    step.say("receipt", level=level.name, meaning=meaning)
    step.say("honest")
    step.note("erasure_level", level.name)
    step.note("grant", grant_id)


def _end_what_was_left(scene: Scene, step: Step) -> None:
    """Withdraw what an interrupted run left in force: nobody would end it otherwise."""
    for grant in scene.wallet.grants():
        if isinstance(grant, InForce):
            scene.wallet.withdraw(grant.grant_id)
            step.say("left-in-force")


def _grant(scene: Scene, step: Step) -> InForce:
    language = step.report.language
    asked = scene.velorum.post("/consent/requests", _wish(language))
    terms = scene.wallet.asked_terms(text_at(asked, "link", "asked"))
    step.say(
        "terms",
        who=terms.asker.claimed_name,
        claims=claim_names((claim.name.path for claim in terms.terms.claims), language),
        until=terms.terms.valid_until.date().isoformat(),
    )
    step.say("notice", text=terms.notice)
    step.say("not-verified")
    grant = scene.wallet.grant(terms.choose())
    step.say("granted", who="Velorum")
    return grant


def _wish(language: Language) -> JsonObject:
    return {
        "purpose": _PURPOSE.value,
        "claims": [
            {"vct": _RECEIPT_VCT, "path": ["lines", None, "name"], "retain_days": 30},
            {"vct": _RECEIPT_VCT, "path": ["paid_at"], "retain_days": 30},
        ],
        "notice": {"text": sentence("notice-text", language), "language": language},
        "valid_for_s": int(_THIRTY_DAYS.total_seconds()),
        "max_reads": _MOST_READS,
        "jurisdiction": "EU",
    }


def _read(scene: Scene, grant_id: str) -> JsonObject:
    path = f"/consent/grants/{segment(grant_id)}/read"
    return scene.velorum.post(path, {"purpose": _PURPOSE.value})


def _spelled(fact: JsonObject) -> str:
    values = fact["values"]
    return " · ".join(str(value) for value in values) if isinstance(values, list) else ""


def _withdraw(scene: Scene, step: Step, grant: InForce) -> Proved:
    state = scene.wallet.withdraw(grant.grant_id)
    if not isinstance(state, Proved):
        raise NotAsItMustBe(f"expected a proved end, found {type(state).__name__}")
    at = state.erased.erased_at.astimezone().strftime("%H:%M:%S")
    step.say("withdrawn", at=at)
    return state


def _refused_read(scene: Scene, step: Step, grant_id: str) -> None:
    try:
        _read(scene, grant_id)
    except Refused as refusal:
        step.say("read-refused", who="Velorum", code=refusal.codes[0])
        step.note("read_after_end", refusal.codes[0])
        return
    raise NotAsItMustBe("expected no read after the end, found one")


@contextmanager
def _hoarder(scene: Scene, before: Path) -> Generator[Receiver]:
    """Give a Velorum that kept everything: its old files, its old keys, and the way to ask."""
    fetcher = fetcher_for(scene.data)
    trusted = {_RECEIPT_VCT: (AURICLE.origin,)}
    keys = FetchedIssuerKeys(fetcher, trusted, lambda: datetime.now(UTC))
    store = SqlReceiverStore(before / "consent.sqlite3")
    try:
        yield Receiver(
            origin=VELORUM.origin,
            name="Velorum",
            signer=load_or_create_signer(before / "receiver-key.pem"),
            custodian=fetch_custodian(fetcher, CUSTODIAN.origin),
            store=store,
            keys=FileKeyFolder(before / SEALING_KEYS),
            fetcher=fetcher,
            trust=keys,
            status=ListedStatus(FetchedStatusSource(fetcher), keys),
            clock=lambda: datetime.now(UTC),
            random=secrets.token_bytes,
        )
    finally:
        store.close()


def _can_open(hoarder: Receiver, grant_id: str) -> bool:
    try:
        with hoarder.read(grant_id, _PURPOSE) as facts:
            return len(facts.names) == 2
    except Refused as refusal:
        must(refusal.codes == ["grant-ended"], "the end as the reason", refusal.codes)
        return False


def _require_key_destroyed(scene: Scene, grant_id: str) -> None:
    folder = scene.data / CUSTODIAN.name / ONE_TIME_KEYS
    left = {path.suffix for path in folder.glob(f"{grant_id}*")}
    must(".ended" in left and ".key" not in left, "a tombstone in the place of the key", left)
