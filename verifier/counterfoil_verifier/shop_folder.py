"""A shop's folder: everything that one counter needs, by name.

shop.json            settings, with whom the shop trusts; `init` writes a development set-up
presets/*.json       what the counter can ask
registration.json    what the shop registered to ask for, where an authority wants that
counter.sqlite3      sessions and verdicts, unless the settings name another database
shop-key.pem         signs requests                       }  readable by
secret.key           seals what a session keeps secret    }  their owner
counter.key          opens the counter's side             }  alone
preload.zip          what the shop took along for when it reaches nobody
address              where `serve` answers, for other commands and the next start

And whatever files the settings name: certificates, anchors, a feed of flags, another
service's counter key.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject, as_object, parse_object
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.key_file import load_or_create_signer, replace_private
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service.served_folder import ServedFolder

from counterfoil_verifier.preload import Preload, read_preload
from counterfoil_verifier.preset_linter import Registration, parse_registration
from counterfoil_verifier.presets import PRESETS, Preset, parse_preset, preset_files
from counterfoil_verifier.shop_file import (
    DEVELOPMENT,
    FILE_NAME,
    ShopFile,
    parse_shop_file,
    read_shop_file,
)
from counterfoil_verifier.shop_trust import anchors_in

PRESET_FOLDER: Final = "presets"
REGISTRATION: Final = "registration.json"
DATABASE: Final = "counter.sqlite3"
SHOP_KEY: Final = "shop-key.pem"
SECRET: Final = "secret.key"
COUNTER_KEY: Final = "counter.key"
PRELOAD: Final = "preload.zip"
SAMPLE_NAME: Final = "Corner Shop"
_MAX_PRESETS: Final = 100


@dataclass(frozen=True, slots=True)
class ShopFolder(ServedFolder):
    """The folder at `path`."""

    def make(self, *, name: str | None = None, public_url: str | None = None) -> None:
        """Set the folder up, for development without `public_url`; what is there stays."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.is_made():
            known: JsonObject = (
                {DEVELOPMENT: True} if public_url is None else {"public_url": public_url}
            )
            # What HAIP 1.0 demands and no authority is needed for, is so from the start.
            known |= {"encrypted_answers": True, "trusts": {}}
            self._write({"name": name or SAMPLE_NAME, **known})
        elif name is not None or public_url is not None:
            raise Misuse(f"expected a new folder, found one with a {FILE_NAME}: change it there")
        presets = self.path / PRESET_FOLDER
        if not presets.exists():
            presets.mkdir()
            for file, data in preset_files().items():
                (presets / file).write_bytes(data)
        self.signer()
        self.secret()
        self.counter_key()

    def is_made(self) -> bool:
        """Say whether `init` was here."""
        return (self.path / FILE_NAME).is_file()

    def require_made(self) -> None:
        """Return only if `init` was here; raises `Misuse`."""
        if not self.is_made():
            expected = f"a folder that `counterfoil verifier init` has made, with a {FILE_NAME}"
            raise Misuse(f"expected {expected}, found none ({self.path})")

    def settings(self) -> ShopFile:
        """Give the settings."""
        return read_shop_file(self.path)

    def trust(
        self,
        issuer: str,
        by_preset: Mapping[str, Sequence[str]],
        routes: Mapping[str, str] | None = None,
    ) -> None:
        """Trust `issuer` for these types by preset; `routes` are origins on this machine.

        No type at all takes the trust away. Raises `Malformed` for what may not be
        trusted here, and then nothing has changed.
        """
        _require_known(dict.fromkeys(by_preset, issuer), self.presets())
        document = parse_object((self.path / FILE_NAME).read_bytes(), FILE_NAME)
        trusts = dict(as_object(document.get("trusts"), f"{FILE_NAME}.trusts"))
        trusts.pop(issuer, None)
        if by_preset:
            trusts[issuer] = {name: [*vcts] for name, vcts in by_preset.items()}
        else:
            for member in ("keys", "anchors"):
                known = as_object(document.get(member, {}), f"{FILE_NAME}.{member}")
                known.pop(issuer, None)
        document["trusts"] = trusts
        if routes:
            member = "loopback_routes_unsafely"
            known = as_object(document.get(member, {}), f"{FILE_NAME}.{member}")
            document[member] = {**known, **routes}
        self._write(document)

    def presets(self) -> dict[str, Preset]:
        """Give what the counter can ask, by name; a folder of an earlier version has none."""
        folder = self.path / PRESET_FOLDER
        if not folder.is_dir():
            return dict(PRESETS)
        files = sorted(folder.glob("*.json"))
        if len(files) > _MAX_PRESETS:
            raise Malformed(f"at most {_MAX_PRESETS} presets", f"{len(files)}", PRESET_FOLDER)
        presets: dict[str, Preset] = {}
        for file in files:
            where = f"{PRESET_FOLDER}/{file.name}"
            preset = parse_preset(file.read_bytes(), where)
            if preset.name in presets:
                raise Malformed("each preset once", f"{preset.name} twice", where)
            presets[preset.name] = preset
        return presets

    def askable(self) -> list[Preset]:
        """Give the presets that some trusted issuer can answer, each with its types.

        Raises `Malformed` when the settings trust somebody for a preset that is not there,
        and for a preset whose file of authorities is none.
        """
        trusted, presets = self.settings().trusted, self.presets()
        _require_known(trusted.presets(), presets)
        return [
            self._named(preset).accepting(vcts, trusted.answers(name))
            for name, preset in presets.items()
            if (vcts := trusted.vcts_for(name))
        ]

    def _named(self, preset: Preset) -> Preset:
        """Give the preset with the authorities that its file holds."""
        file = preset.authorities
        return preset if file is None else preset.under(anchors_in(self.path / file))

    def registration(self) -> Registration | None:
        """Give what the shop registered to ask for; None where nobody wants that."""
        file = self.path / REGISTRATION
        return parse_registration(file.read_bytes(), REGISTRATION) if file.exists() else None

    def preload(self, now: datetime) -> Preload | None:
        """Give what was taken along, if anything; raises like `read_preload`."""
        file = self.path / PRELOAD
        if not file.exists():
            return None
        return read_preload(file.read_bytes(), signed_by=self.signer().public, now=now)

    def take_along(self, data: bytes, now: datetime) -> Preload:
        """Keep a preload file from now on. Raises like `read_preload`, also for an older one."""
        before = self.preload(now)
        newer_than = None if before is None else before.made_at
        kept = read_preload(data, signed_by=self.signer().public, now=now, newer_than=newer_than)
        replace_private(self.path / PRELOAD, data)
        return kept

    def signer(self) -> MemorySigner:
        """Give the key that signs requests."""
        return load_or_create_signer(self.path / SHOP_KEY)

    def secret(self) -> bytes:
        """Give the secret that seals what a session keeps secret."""
        return self.key(SECRET)

    def counter_key(self) -> str:
        """Give the bearer key that opens the counter's side."""
        return self.key(COUNTER_KEY).decode()

    def database(self, given: str | None = None) -> str | Path:
        """Give the PostgreSQL URL that was given or is set, or the path of the SQLite file."""
        return given or self.settings().database or self.path / DATABASE

    def url(self, given: str | None = None, listens: str | None = None) -> str:
        """Give the shop's origin: given, set, or where it listens, or did the last time."""
        return self.settings().url(given, listens or self.address())

    def _write(self, document: Mapping[str, Json]) -> None:
        """Put the settings in place, whole or not at all, if they are such."""
        data = _pretty(dict(document))
        parse_shop_file(data)
        draft = self.path / f".{FILE_NAME}"
        draft.write_bytes(data)
        draft.replace(self.path / FILE_NAME)


def _require_known(named: Mapping[str, str], presets: Mapping[str, Preset]) -> None:
    """Return only if there is each preset that is named, beside who is trusted for it."""
    if unknown := sorted(named.keys() - presets.keys()):
        expected = f"presets out of {', '.join(sorted(presets))}"
        raise Malformed(expected, unknown[0], f"{FILE_NAME}: {named[unknown[0]]}")


def _pretty(document: JsonObject) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
