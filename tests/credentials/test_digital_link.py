"""The product that a QR code on a box names."""

import pytest
from counterfoil_credentials.digital_link import DigitalLink, parse_digital_link
from counterfoil_credentials.errors import Malformed

ITEM = "https://id.example/01/09506000134352/10/AB-1/21/12345"


def test_reads_product_lot_and_item() -> None:
    assert parse_digital_link(ITEM) == DigitalLink(
        ITEM, "09506000134352", lot="AB-1", serial="12345"
    )


@pytest.mark.parametrize(
    ("link", "gtin", "serial"),
    [
        ("https://id.example/01/9506000134352", "09506000134352", None),
        ("http://brand.example/a/path/01/09506000134352?17=271231", "09506000134352", None),
        ("https://id.example/01/01/01/09506000134352", "09506000134352", None),
        ("https://id.example/01/09506000134352/22/2A/21/a%2Fb", "09506000134352", "a/b"),
        ("https://id.example/01/4006381333931/21/01", "04006381333931", "01"),
    ],
)
def test_takes_any_host_a_path_in_front_and_escapes(
    link: str, gtin: str, serial: str | None
) -> None:
    found = parse_digital_link(link)

    assert (found.gtin, found.serial) == (gtin, serial)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "09506000134352",
        "https:///01/09506000134352",
        "https://[/01/09506000134352",
        "ftp://id.example/01/09506000134352",
        "https://id.example/",
        "https://id.example/01",
        "https://id.example/01/09506000134353",  # the check digit
        "https://id.example/01/0950600013435",  # one digit less
        "https://id.example/01/٠٩٥٠٦٠٠٠١٣٤٣٥٢",
        "https://id.example/00/09506000134352",
        "https://id.example/01/09506000134352/21",
        "https://id.example/01/09506000134352/21/",
        "https://id.example/01/09506000134352/21/1/10/A",  # the order
        "https://id.example/01/09506000134352/21/1/21/2",
        "https://id.example/01/09506000134352/99/1",
        "https://id.example/01/09506000134352/21/" + 21 * "1",
        "https://id.example/01/09506000134352/21/a%20b",
        "https://id.example/01/09506000134352/21/%ff",
        "https://id.example/01/09506000134352?" + 2_048 * "1",
    ],
)
def test_refuses_the_neighbours_of_a_digital_link(link: str) -> None:
    with pytest.raises(Malformed) as error:
        parse_digital_link(link)

    assert "0950600013435" not in str(error.value)
