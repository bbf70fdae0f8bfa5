"""The tables of a wallet, one text per version; `migrations.py` leads from one to the next.

Version 1 kept everything as records. Since version 2 a card stands in tables of its own:

    records    what a walk must not forget: acceptances, grants, events, secrets
    cards      what the customer sees: one dataset of one issuer; `face` is the copy read for it
    copies     the issued SD-JWTs of a card, each with its own key
    showings   which verifier was shown which copy
    facts      path and value of each claim of a card, to find it by
    words      full text of each card (`searching.py` prepares it); rowid = cards.position

Times are whole seconds since 1970, UTC.
"""

from typing import Final

VERSION: Final = 2

VERSION_1: Final = """
    CREATE TABLE records (
        position INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        label TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (kind, key)
    ) STRICT;
    CREATE INDEX records_by_label ON records (kind, label);
"""

ADDED_IN_2: Final = """
    CREATE TABLE cards (
        position INTEGER PRIMARY KEY,
        card_id TEXT NOT NULL UNIQUE,
        issuer TEXT NOT NULL,
        vct TEXT NOT NULL,
        configuration_id TEXT NOT NULL,
        accepted_at INTEGER NOT NULL,
        expires_at INTEGER,
        status_url TEXT,
        status_index INTEGER,
        state TEXT NOT NULL,
        trashed_at INTEGER,
        face INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX cards_by_type ON cards (vct);
    CREATE TABLE copies (
        position INTEGER PRIMARY KEY,
        card INTEGER NOT NULL,
        copy_id TEXT NOT NULL UNIQUE,
        sd_jwt TEXT NOT NULL,
        key BLOB NOT NULL,
        keeper TEXT NOT NULL,
        expires_at INTEGER
    ) STRICT;
    CREATE INDEX copies_by_card ON copies (card);
    CREATE TABLE showings (
        copy INTEGER NOT NULL,
        verifier TEXT NOT NULL,
        shown_at INTEGER NOT NULL,
        PRIMARY KEY (copy, verifier)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE facts (
        path TEXT NOT NULL,
        value TEXT NOT NULL,
        card INTEGER NOT NULL,
        PRIMARY KEY (path, value, card)
    ) STRICT, WITHOUT ROWID;
    CREATE VIRTUAL TABLE words USING fts5 (
        text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
    );
"""

DROPPED_BEFORE_2: Final = """
    DROP TABLE words;
    DROP TABLE facts;
    DROP TABLE showings;
    DROP TABLE copies;
    DROP TABLE cards;
"""

HEAD: Final = f"{VERSION_1}{ADDED_IN_2} PRAGMA user_version = {VERSION};"
