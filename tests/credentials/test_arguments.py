"""A command's arguments: an id may begin with a dash, an option is still an option."""

import argparse

import pytest
from counterfoil_credentials.arguments import parse_arguments

PLAIN = "Zf3x0cKqTjK2mYwVbN8sQe"


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    revoke = commands.add_parser("revoke")
    revoke.add_argument("folder")
    revoke.add_argument("id")
    revoke.add_argument("--loopback-unsafely", action="append", default=[])
    revoke.add_argument("--json", action="store_true")
    return parser


@pytest.mark.parametrize("name", [PLAIN, f"-{PLAIN}", f"--{PLAIN}", f"-{PLAIN}{PLAIN[:21]}"])
def test_an_id_is_an_id_whatever_it_begins_with(parser: argparse.ArgumentParser, name: str) -> None:
    options = ["--loopback-unsafely", "https://a.example=http://127.0.0.1:8000", "--json"]

    for words in ([*options, "folder", name], ["folder", name, *options]):
        given = parse_arguments(parser, ["revoke", *words])

        assert (given.folder, given.id, given.json) == ("folder", name, True)
        assert given.loopback_unsafely == options[1:2]


def test_what_is_no_id_and_begins_with_a_dash_is_an_option(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(parser, ["revoke", "folder", PLAIN, "--loopback-unsafely-not"])

    assert "unrecognized arguments: --loopback-unsafely-not" in capsys.readouterr().err
