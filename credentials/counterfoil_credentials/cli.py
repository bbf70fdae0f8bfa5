"""`counterfoil NAME …`: finds the folder that registered NAME and loads only that one."""

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Final

GROUP: Final = "counterfoil.commands"
# Which extra a command needs when a module is missing.
_EXTRAS: Final = {
    "consent": "service",
    "demo": "demo",
    "issuer": "service",
    "loyalty": "points,service",
    "verifier": "service",
    "wallet": "",
}
# Which extra brings a module that no command needs by itself.
_BRINGS: Final = {"pkcs11": "hsm", "psycopg": "postgres"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status.

    That is 0 done, 1 not as it must be, 2 misused, 130 stopped by Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(_usage(commands))
        return 0 if given else 2
    if given[0] == "--version":
        sys.stdout.write(f"counterfoil {version('counterfoil')}\n")
        return 0
    name, *rest = given
    if name not in commands:
        sys.stderr.write(f"counterfoil: expected a command, found {name!r}\n{_usage(commands)}")
        return 2
    try:
        # Some modules are loaded by the command itself, when it comes to them.
        status: int = commands[name].load()(rest)
    except ModuleNotFoundError as missing:
        extra = _BRINGS.get(missing.name or "") or _EXTRAS.get(name)
        if extra is None or (missing.name or "").startswith("counterfoil_"):
            raise
        sys.stderr.write(
            f"counterfoil {name}: expected the package {missing.name!r}, found it missing.\n"
            f"Install it with:  pip install 'counterfoil[{extra}]'"
            f"  (in a clone: pip install '.[{extra}]')\n"
        )
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"\ncounterfoil {name}: stopped\n")
        return 130
    return status


def _usage(commands: dict[str, EntryPoint]) -> str:
    listed = "\n".join(f"  counterfoil {name} …" for name in sorted(commands))
    return f"Usage: counterfoil COMMAND …, with one of:\n{listed}\nor --version\n"


if __name__ == "__main__":
    sys.exit(main())
