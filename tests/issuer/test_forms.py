"""Forms of strangers: each parameter once, bounded, and nothing of it repeated."""

import pytest
from counterfoil_credentials.errors import Malformed
from counterfoil_issuer.forms import MAX_FIELDS, read_form

FORM = "application/x-www-form-urlencoded"


def test_a_form_is_read_whatever_its_media_type_adds() -> None:
    for content_type in (FORM, FORM.upper(), f"{FORM}; charset=UTF-8"):
        assert read_form(content_type, b"a=1&b=%C3%A4+x") == {"a": "1", "b": "\u00e4 x"}
    assert read_form(FORM, b"") == {}


def test_a_parameter_without_a_value_was_not_sent() -> None:
    assert read_form(FORM, b"a=&b=1&resource=x&resource=y") == {"b": "1", "resource": "y"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b"secret=1"),
        ("application/json", b"secret=1"),
        (FORM, b"secret=1&secret=2"),
        (FORM, b"secret=&secret=2"),
        (FORM, b"secret=%00"),
        (FORM, b"secret=%FF"),
        (FORM, b"secret=\xc3\xa4"),
        (FORM, b"&".join(b"secret%d=1" % i for i in range(MAX_FIELDS + 1))),
    ],
)
def test_any_other_is_malformed_and_not_repeated(content_type: str, body: bytes) -> None:
    with pytest.raises(Malformed) as error:
        read_form(content_type, body)

    assert "secret" not in str(error.value)


def test_as_many_fields_as_allowed_are_read() -> None:
    body = b"&".join(b"a%d=1" % i for i in range(MAX_FIELDS))

    assert len(read_form(FORM, body)) == MAX_FIELDS
