"""The settlement statement: what one brand owes another, from the contract's events alone."""

import csv
import io
from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_loyalty.actions import AcknowledgePayment
from counterfoil_loyalty.claims import Acknowledgement
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.ledger import Block, Event
from counterfoil_loyalty.statements import STATEMENT_TYP, Statement, draw_up
from counterfoil_loyalty.store import Brand

from tests.loyalty.programme import AUDIO, BICYCLE, Programme


def blocks_of(programme: Programme) -> list[Block]:
    return [programme.ledger.block(number) for number in range(programme.ledger.head() + 1)]


def brand_of(programme: Programme, name: str) -> Brand:
    found = [it for block in blocks_of(programme) for it in project(block).brands]
    return next(brand for brand in found if brand.brand == name)


def drawn_up(
    programme: Programme, *, debtor: str = AUDIO, since: int = 0, blocks: list[Block] | None = None
) -> Statement:
    creditor = BICYCLE if debtor == AUDIO else AUDIO
    return draw_up(
        blocks_of(programme) if blocks is None else blocks,
        programme.venue.clearing,
        debtor=brand_of(programme, debtor),
        creditor=brand_of(programme, creditor),
        since=since,
        until=programme.ledger.head(),
    )


def exchanged_and_paid(programme: Programme) -> int:
    """Award, exchange twice, and pay a part; give the block of the first exchange."""
    assert programme.perform(programme.award()).reason is None
    first = programme.perform(programme.swap(200))
    assert first.reason is None
    assert programme.perform(programme.swap(100, swap_id=b"t" * 32)).reason is None
    paid = Acknowledgement(
        debtor=programme.tokens[AUDIO],
        creditor=programme.tokens[BICYCLE],
        value=4_000,
        ref=b"p" * 32,
    )
    signature = sign_by_brand(paid, programme.venue, programme.bicycle)
    assert programme.perform(AcknowledgePayment(paid, signature)).reason is None
    return first.block


def test_a_statement_lists_what_was_exchanged_and_paid_and_ends_at_what_is_owed(
    programme: Programme,
) -> None:
    exchanged_and_paid(programme)
    statement = drawn_up(programme)
    cover = programme.ledger.cover(programme.tokens[AUDIO], programme.tokens[BICYCLE])

    assert [(it.kind, it.value, it.owed) for it in statement.lines] == [
        ("exchanged", 15_000, 15_000),
        ("exchanged", 7_500, 22_500),
        ("paid-elsewhere", -4_000, 18_500),
    ]
    assert statement.lines[2].reference == (b"p" * 32).hex()
    assert (statement.opening, statement.closing) == (0, cover.owed)
    rows = list(csv.DictReader(io.StringIO(statement.to_csv())))
    assert sum(int(row["value_millionths"]) for row in rows) == statement.closing
    assert {(row["debtor"], row["creditor"]) for row in rows} == {(AUDIO, BICYCLE)}


def test_a_later_statement_opens_where_an_earlier_one_closed(programme: Programme) -> None:
    first = exchanged_and_paid(programme)

    statement = drawn_up(programme, since=first + 1)

    assert statement.opening == 15_000
    assert [it.value for it in statement.lines] == [7_500, -4_000]
    assert statement.opening + sum(it.value for it in statement.lines) == statement.closing


def test_the_other_brand_draws_up_the_same_from_its_side(programme: Programme) -> None:
    exchanged_and_paid(programme)
    mine, yours = drawn_up(programme), drawn_up(programme, debtor=BICYCLE)

    assert [(it.value, it.owed) for it in yours.lines] == [
        (-it.value, -it.owed) for it in mine.lines
    ]
    assert yours.closing == -mine.closing


def test_a_statement_is_signed_as_data(programme: Programme) -> None:
    exchanged_and_paid(programme)
    signer = MemorySigner.generate()
    statement = drawn_up(programme)

    token = statement.sign(signer)

    claims = read_jws(token, typ=STATEMENT_TYP, where="statement").verify(signer.public)
    assert claims == statement.to_json()
    assert claims["closing"] == "18500"


PAIR = (
    Brand(AUDIO, "A", "A", "0xA", "0x1", 100),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # short names
    Brand(BICYCLE, "B", "B", "0xB", "0x2", 50),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # short names
)


def read(*events: tuple[str, dict[str, str | int]], contract: str = "clearing") -> Statement:
    listed = tuple(
        Event(f"t{index}", index, contract, name, values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # short names
        for index, (name, values) in enumerate(events)
    )
    block = Block(0, "b0", "", 1_800_000_000, listed)
    return draw_up(
        [block],
        "clearing",  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # short names
        debtor=PAIR[0],
        creditor=PAIR[1],
        since=0,
        until=0,
    )


def booked(value: int, owed: int) -> tuple[str, dict[str, str | int]]:
    return "Booked", {"debtor": "0xA", "creditor": "0xB", "value": value, "owed": owed}


def test_netting_around_a_cycle_is_a_line_of_each_pair_in_it() -> None:
    statement = read(
        booked(50, 50),
        ("Netted", {"brands": "0xC 0xA 0xB", "value": 20}),
        ("Netted", {"brands": "0xC 0xB 0xD", "value": 7}),
    )

    assert [(it.kind, it.value) for it in statement.lines] == [("exchanged", 50), ("netted", -20)]


def test_events_that_do_not_add_up_are_malformed() -> None:
    with pytest.raises(Malformed):
        read(booked(50, 50), booked(10, 70))


def test_what_another_contract_says_is_owed_is_not_owed() -> None:
    assert read(booked(50, 50), contract="liar").lines == ()


def test_a_statement_without_its_last_block_or_out_of_order_is_none(programme: Programme) -> None:
    exchanged_and_paid(programme)
    blocks = blocks_of(programme)

    with pytest.raises(Malformed):
        drawn_up(programme, blocks=blocks[:-1])
    with pytest.raises(Misuse):
        drawn_up(programme, blocks=[*blocks[:-2], blocks[-1], blocks[-2]])


def test_no_text_in_the_csv_is_a_formula() -> None:
    statement = replace(read(booked(50, 50)), debtor='=HYPERLINK("https://evil.example")')

    (row,) = csv.DictReader(io.StringIO(statement.to_csv()))

    assert row["debtor"].startswith("'=")
    assert row["value_millionths"] == "50"
