"""How a service reads its settings: a file in its folder, then the environment.

    class IssuerSettings(Settings):
        public_url: str
        port: int = 4711
        login: LoginSettings | None = None

    settings = read_settings(
        IssuerSettings, folder=data, environment=os.environ, prefix="COUNTERFOIL_ISSUER_"
    )

    # settings.toml                           COUNTERFOIL_ISSUER_PORT=4712
    public_url = "https://id.brand.example"   COUNTERFOIL_ISSUER_LOGIN__AUDIENCE=back-office
    [login]
    audience = "back-office"

The environment wins over the file. A list or table in the environment is written as
JSON. Every wrong setting is named at once, and none of their values is repeated;
keys and passwords belong in files of their own (`credentials.key_file`).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from counterfoil_credentials.encoding import Json, JsonObject, parse_json
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from pydantic import BaseModel, ConfigDict, ValidationError

FILE: Final = "settings.toml"
MAX_BYTES: Final = 262_144
_LEVEL: Final = "__"


class Settings(BaseModel):
    """The base of a service's settings, and of the tables in them: closed, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


T = TypeVar("T", bound=Settings)


def read_settings(
    model: type[T], *, folder: Path, environment: Mapping[str, str], prefix: str
) -> T:
    """Give the settings in `folder`'s `settings.toml`, if any, and the environment.

    Every variable that starts with `prefix` is one. Raises `Refused` with a reason
    for each setting that is unknown, missing or of another kind (`setting-wrong`),
    `Malformed` for a file that is no TOML.
    """
    if not prefix.endswith("_"):
        raise Misuse("expected a prefix that ends in an underscore, found another")
    found = _from_file(folder / FILE)
    spelled: dict[tuple[str, ...], str] = {}
    for variable in sorted(environment):
        if variable.startswith(prefix):
            place = tuple(variable.removeprefix(prefix).lower().split(_LEVEL))
            _put(found, place, _value(environment[variable], variable), variable)
            spelled[place] = variable
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise Refused(*_reasons(error, spelled)) from None


def _from_file(path: Path) -> JsonObject:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as cause:
        raise Misuse(f"expected a file of ours, found: {cause.strerror} ({path.name})") from cause
    if len(data) > MAX_BYTES:
        raise Malformed(f"at most {MAX_BYTES} bytes", "more", path.name)
    # The reader's own text quotes the line, and a setting may be somebody's secret.
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed("UTF-8 text", "other bytes", path.name) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = getattr(error, "lineno", None)
        where = f"{path.name}, line {place}" if place else path.name
        raise Malformed("TOML", "a syntax error", where) from None


def _value(text: str, variable: str) -> Json:
    return parse_json(text, variable) if text[:1] in ("[", "{") else text


def _put(found: JsonObject, place: tuple[str, ...], value: Json, variable: str) -> None:
    table = found
    for name in place[:-1]:
        below = table.setdefault(name, {})
        if not isinstance(below, dict):
            raise Malformed("a setting inside a table", "one inside a value", variable)
        table = below
    table[place[-1]] = value


def _reasons(error: ValidationError, spelled: Mapping[tuple[str, ...], str]) -> list[Reason]:
    reasons: list[Reason] = []
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        place = tuple(str(part) for part in each["loc"])
        variable = spelled.get(place)
        where = variable or f"{FILE}: {'.'.join(place)}"
        match each["type"]:
            case "missing":
                expected, found = "this setting", "none"
            case "extra_forbidden":
                expected, found = "a setting of this service", "another name"
            case _:
                # A check of a model's own says what it expects, and no value.
                expected, found = each["msg"], "another value"
        reasons.append(Reason("setting-wrong", expected, found, where))
    return reasons
