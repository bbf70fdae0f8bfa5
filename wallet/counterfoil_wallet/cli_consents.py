"""The commands about grants: who may read what, how it was used, and how to take it back."""

from argparse import Namespace
from dataclasses import replace
from datetime import date
from pathlib import Path

from counterfoil_consent.access_log import AccessEvent
from counterfoil_consent.wire import Digest, GrantId
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher

from counterfoil_wallet.cli_asking import agrees, request_link, terms_lines
from counterfoil_wallet.cli_forms import Told, grant_json, grant_line
from counterfoil_wallet.consent_reminders import ConsentReminder
from counterfoil_wallet.consent_view import Consent
from counterfoil_wallet.consent_words import (
    LIMIT,
    Language,
    backups_text,
    end_text,
    lack_text,
    notable_text,
    purpose_text,
    state_text,
)
from counterfoil_wallet.dashboard import FactHolder
from counterfoil_wallet.pausing import MAX_STANDBY_BYTES, read_standby_file
from counterfoil_wallet.refusing import RefusalClass
from counterfoil_wallet.waiting import Waiting
from counterfoil_wallet.wallet import Wallet
from counterfoil_wallet.whole_files import read_whole, write_whole


def consents(wallet: Wallet, given: Namespace) -> Told:
    """List who may read what, how it was used and what is owed; with --fact, who has one fact."""
    language = Language.of(given.language)
    if given.check:
        wallet.consent.check()
    if given.fact is not None:
        holders = wallet.consent.who_has(given.fact)
        found: list[Json] = [holder_json(one) for one in holders]
        none = f"Nobody has {given.fact}."
        return {"fact": given.fact, "holders": found}, [*map(holder_line, holders)] or [none]
    listed = wallet.consent.all()
    told = wallet.consent.reminders()
    lines = [consent_line(one, language) for one in listed]
    lines += [reminder_line(one, language) for one in told]
    result: JsonObject = {
        "consents": [consent_json(one) for one in listed],
        "reminders": [{"notable": one.notable.value, "id": one.grant_id} for one in told],
    }
    return result, lines or ["No grants yet."]


def preview(wallet: Wallet, given: Namespace) -> Told:
    """Show what a withdrawal would erase and what may be kept. Nothing is sent."""
    shown = wallet.consent.preview(GrantId(given.id))
    kept: list[Json] = [law.name for law in shown.may_keep]
    result: JsonObject = {
        "id": shown.grant_id,
        "erased": [str(name) for name in shown.erased],
        "recipients": [party.name for party in shown.recipients],
        "may_keep": kept,
        "points_kept": None if shown.stays_hers is None else shown.stays_hers.points,
    }
    lines = [f"{shown.receiver} must erase: {', '.join(map(str, shown.erased))}"]
    lines += [f"So must {party.name}, whom it may have handed it to" for party in shown.recipients]
    if shown.stays_hers is not None:
        lines.append(f"Stays yours: {shown.stays_hers.points} points")
    lines += [f"A law may make it keep some: {name}" for name in kept]
    return result, [*lines, LIMIT[Language.of(given.language)]]


def withdraw(wallet: Wallet, given: Namespace) -> Told:
    """End a grant for good."""
    end = wallet.withdraw(GrantId(given.id))
    return {"withdrawn": grant_json(end)}, [f"Withdrawn: {grant_line(end)}"]


def suspend(wallet: Wallet, given: Namespace) -> Told:
    """Pause a grant: nothing is read until it goes on."""
    return _changed("suspended", wallet.consent.suspend(GrantId(given.id)), given)


def go_on(wallet: Wallet, given: Namespace) -> Told:
    """Let a paused grant go on."""
    return _changed("resumed", wallet.consent.resume(GrantId(given.id)), given)


def _changed(word: str, consent: Consent, given: Namespace) -> Told:
    said = f"{word.capitalize()}: {consent_line(consent, Language.of(given.language))}"
    return {word: consent_json(consent)}, [said]


def stand_by(wallet: Wallet, given: Namespace) -> Told:
    """Write a file with which a second device can suspend every grant, and do nothing else."""
    raw = wallet.consent.stand_by()
    write_whole(Path(given.file), raw)
    count = len(read_standby_file(raw))
    said = f"It suspends {count} grants, by: counterfoil wallet suspend-all {given.file}"
    return {"standby": given.file, "grants": count}, [said]


def suspend_all(fetcher: Fetcher, given: Namespace) -> Told:
    """Suspend what the file of `stand-by` names. No wallet and no passphrase is needed."""
    standbys = read_standby_file(read_whole(Path(given.file), MAX_STANDBY_BYTES))
    told: list[Json] = []
    lines: list[str] = []
    for one in standbys:
        held = one.use(fetcher)
        has_stopped = held.custodian is not None and held.custodian.is_suspended
        told.append({"receiver": one.receiver, "suspended": has_stopped})
        word = "Suspended" if has_stopped else "Not suspended yet, try again"
        lines.append(f"{word}: {one.receiver}")
    return {"suspended": told}, lines or ["No grants are in this file."]


def refuse(wallet: Wallet, given: Namespace) -> Told:
    """Say no to a request for a grant; with --why, the receiver learns that word."""
    asked = wallet.asked_terms(request_link(given.link))
    why = None if given.why is None else RefusalClass(given.why)
    said = wallet.consent.refuse(asked, why)
    heard = "" if said.is_heard else " Whoever asked could not be told."
    return {"refused": True, "heard": said.is_heard}, [f"Refused. Nothing was shown.{heard}"]


def defer(wallet: Wallet, given: Namespace) -> Told:
    """Put a request for a grant off; nobody is told."""
    waiting = wallet.consent.defer(wallet.asked_terms(request_link(given.link)))
    return {"deferred": waiting_json(waiting)}, [f"Later: {waiting_line(waiting)}"]


def waiting(wallet: Wallet, _: Namespace) -> Told:
    """List the requests that were put off and have not lapsed."""
    found = wallet.consent.waiting()
    listed: list[Json] = [waiting_json(one) for one in found]
    return {"waiting": listed}, [*map(waiting_line, found)] or ["Nothing waits."]


def grant_waiting(wallet: Wallet, given: Namespace) -> Told:
    """Grant a request that was put off, after showing what it would allow."""
    asked = wallet.consent.come_back(Digest(given.id))
    if not given.yes and not agrees(terms_lines(asked), "Grant this?"):
        return {"granted": None}, ["Not granted. Nothing was sent."]
    in_force = wallet.grant(asked.choose(), screen="command line")
    return {"granted": grant_json(in_force)}, [f"Granted: {grant_line(in_force)}"]


def guard(wallet: Wallet, given: Namespace) -> Told:
    """Show or set from which day on what is not asked of minors is not refused any more."""
    if given.adult_from is not None:
        try:
            adult_from = date.fromisoformat(given.adult_from)
        except ValueError as cause:
            raise Malformed("a day such as 2031-05-24", "another text", "--adult-from") from cause
        wallet.consent.set_policy(replace(wallet.consent.policy(), adult_from=adult_from))
    day = wallet.consent.policy().adult_from
    said = "Nothing is refused for age." if day is None else f"Guarded as a minor until {day}."
    return {"adult_from": None if day is None else day.isoformat()}, [said]


def complaint(wallet: Wallet, given: Namespace) -> Told:
    """Write every signed paper about a grant that has ended, for the authority."""
    raw = wallet.consent.complaint(GrantId(given.id), Language.of(given.language))
    write_whole(Path(given.file), raw)
    return {"complaint": given.file}, [f"The papers are in {given.file}."]


def dossier(wallet: Wallet, given: Namespace) -> Told:
    """Write every signed paper of every grant, for an auditor: `counterfoil consent audit`."""
    found = wallet.consent.dossier()
    write_whole(Path(given.file), compact_json(found.to_json()))
    return {"dossier": given.file}, [
        f"Dossier written to {given.file}; grants in it: {len(found.grants)}."
    ]


def log(wallet: Wallet, given: Namespace) -> Told:
    """Write what happened to the grants into an encrypted file that other wallets read."""
    sealed = wallet.consent.export_log(given.passphrase)
    write_whole(Path(given.file), sealed.encode("ascii"))
    return {"log": given.file}, [f"The log is in {given.file}, under the wallet's passphrase."]


def consent_json(one: Consent) -> JsonObject:
    """Give a grant as she sees it."""
    usage, end = one.usage, one.end
    return {
        "id": one.grant_id,
        "state": one.state.value,
        "dpv_state": one.dpv_state,
        "party": one.party,
        "name": one.name,
        "purpose": one.purpose.value,
        "claims": [str(name) for name in one.claims],
        "recipients": [party.name for party in one.recipients],
        "granted_at": None if one.granted_at is None else one.granted_at.isoformat(),
        "screen": one.screen,
        "valid_until": one.valid_until.isoformat(),
        "days_left": one.days_left,
        "reads": None if usage is None else usage.reads,
        "last_read_at": None
        if usage is None or usage.last_read_at is None
        else usage.last_read_at.isoformat(),
        "max_reads": one.max_reads,
        "accesses": None if one.accesses is None else [_access_json(each) for each in one.accesses],
        "unaccounted_reads": one.unaccounted_reads,
        "ended_by": None if end is None else end.trigger.value,
        "erase_by": None if end is None else end.erase_by.isoformat(),
        "level": None if one.level is None else one.level.name,
        "lacks": [lack.to_json() for lack in one.lacks],
        "backups_until": None if one.backups_until is None else one.backups_until.isoformat(),
        "retained": [
            {"law": item.law, "until": item.until.isoformat(), "claims": [*map(str, item.claims)]}
            for item in one.retained
        ],
    }


def _access_json(one: AccessEvent) -> JsonObject:
    claims: list[Json] = [str(name) for name in one.claims]
    return {"at": one.at.isoformat(), "role": one.role, "claims": claims}


def consent_line(one: Consent, language: Language) -> str:
    """Give a grant as she sees it, on one line."""
    said = [f"{one.grant_id} {one.name}", purpose_text(one.purpose, language)]
    said.append(", ".join(map(str, one.claims)))
    said.append(state_text(one.state, language))
    if one.end is not None:
        said.append(end_text(one.end.trigger, language))
        if one.erasure_left is not None:
            said.append(f"{one.end.erase_by:%Y-%m-%d %H:%M}Z")
    elif one.state.is_live:
        said.append(f"{one.valid_until:%Y-%m-%d}")
    if one.usage is not None:
        last = one.usage.last_read_at
        said.append(f"{one.usage.reads}/{one.max_reads}" + (f" {last:%Y-%m-%d}" if last else ""))
    if one.level is not None:
        said.append(one.level.name)
    said += [f"{lack.party} {lack_text(lack.what, language)}".strip() for lack in one.lacks]
    said += [f"{item.law} {item.until:%Y-%m-%d}" for item in one.retained]
    if one.backups_until is not None and one.backups_until > one.seen_at:
        said.append(backups_text(one.backups_until, language))
    return "; ".join(said)


def reminder_line(one: ConsentReminder, language: Language) -> str:
    """Give a reminder on one line."""
    named = ", ".join(party.name for party in one.recipients)
    return f"! {one.receiver}: {notable_text(one.notable, language)}" + (
        f" ({named})" if named else ""
    )


def holder_json(one: FactHolder) -> JsonObject:
    """Give who has a fact."""
    return {
        "party": one.party,
        "name": one.name,
        "grants": [each.grant_id for each in one.consents],
        "shown_at": [at.isoformat() for at in one.shown_at],
        "kept_until": None if one.kept_until is None else one.kept_until.isoformat(),
        "handed_on": [each.grant_id for each in one.handed_on],
    }


def holder_line(one: FactHolder) -> str:
    """Give who has a fact, on one line."""
    grants = "".join(f"; granted: {each.grant_id}" for each in one.consents)
    shown = f"; shown {len(one.shown_at)} times" if one.shown_at else ""
    kept = "" if one.kept_until is None else f", kept until {one.kept_until:%Y-%m-%d}"
    may = "".join(f"; may have it from {each.name}: {each.grant_id}" for each in one.handed_on)
    return f"{one.name}{grants}{shown}{kept}{may}"


def waiting_json(one: Waiting) -> JsonObject:
    """Give a request that was put off."""
    return {
        "id": one.waiting_id,
        "party": one.party,
        "receiver": one.receiver,
        "purpose": one.purpose.value,
        "expires_at": one.expires_at.isoformat(),
    }


def waiting_line(one: Waiting) -> str:
    """Give a request that was put off, on one line."""
    return f"{one.waiting_id} {one.receiver}, until {one.expires_at:%Y-%m-%d %H:%M}Z"
