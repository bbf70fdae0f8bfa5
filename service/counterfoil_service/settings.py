"""How a service reads its settings: a file in its folder, then the environment.

    class IssuerSettings(Settings):
        public_url: str
        port: int = 4711
        login: LoginSettings | None = None

    settings = read_settings(
        IssuerSettings, data / "issuer.json", environment=os.environ, prefix="COUNTERFOIL_ISSUER_"
    )

    {"public_url": "https://id.brand.example", "login": {"audience": "back-office"}}
    COUNTERFOIL_ISSUER_PORT=4712
    COUNTERFOIL_ISSUER_LOGIN__AUDIENCE=back-office

The environment wins over the file. A list or object in the environment is written as
JSON. Every wrong setting is named at once, and none of their values is repeated;
keys and passwords belong in files of their own (`credentials.key_file`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from counterfoil_credentials.encoding import Json, JsonObject, parse_json, parse_object
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from pydantic import BaseModel, ConfigDict, ValidationError

MAX_BYTES: Final = 262_144
_LEVEL: Final = "__"


class Settings(BaseModel):
    """The base of a service's settings, and of the tables in them: closed, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


T = TypeVar("T", bound=Settings)


def read_settings(model: type[T], file: Path, *, environment: Mapping[str, str], prefix: str) -> T:
    """Give the settings in the JSON object of `file`, if there is one, and the environment.

    Every variable that starts with `prefix` is one. Raises `Refused` with a reason
    for each setting that is unknown, missing or of another kind (`setting-wrong`),
    `Malformed` for a file that is no JSON object.
    """
    if not prefix.endswith("_"):
        raise Misuse("expected a prefix that ends in an underscore, found another")
    found = _from_file(file)
    spelled: dict[tuple[str, ...], str] = {}
    for variable in sorted(environment):
        if variable.startswith(prefix):
            place = tuple(variable.removeprefix(prefix).lower().split(_LEVEL))
            _put(found, place, _value(environment[variable], variable), variable)
            spelled[place] = variable
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise Refused(*_reasons(error, spelled, file.name)) from None


def _from_file(path: Path) -> JsonObject:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as cause:
        raise Misuse(f"expected a file of ours, found: {cause.strerror} ({path.name})") from cause
    return parse_object(data, path.name, max_bytes=MAX_BYTES)


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


def _reasons(
    error: ValidationError, spelled: Mapping[tuple[str, ...], str], file: str
) -> list[Reason]:
    reasons: list[Reason] = []
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        place = tuple(str(part) for part in each["loc"])
        variable = spelled.get(place)
        where = variable or f"{file}: {'.'.join(place)}"
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
