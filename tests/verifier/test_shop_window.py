"""What the folder shows, and what importing it loads."""

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import counterfoil_verifier
from counterfoil_credentials.claims import values_at

from tests.verifier.scene import ISSUER, WARRANTY_TYPE, Scene


def test_the_docstrings_five_lines_run(scene: Scene) -> None:
    example = textwrap.dedent(
        "    " + (counterfoil_verifier.__doc__ or "").split("\n\n")[1].strip()
    )
    request = scene.request()

    class Now:
        @staticmethod
        def now(_: tzinfo) -> datetime:
            return scene.clock()

    names: dict[str, Any] = {
        **vars(counterfoil_verifier),
        "UTC": UTC,
        "datetime": Now,
        "timedelta": timedelta,
        "values_at": values_at,
        "brand": ISSUER,
        "vct": WARRANTY_TYPE,
        "brand_key": scene.brand.signer.public,
        "status_source": scene.brand,
        "vp_token": scene.present(scene.warranty(), request),
        "request": request,
    }
    exec(compile(example, "docstring", "exec"), names)  # noqa: S102  # our own example

    assert names["serial"] == ["A1-0001"]


def test_importing_the_shop_loads_no_service_and_no_chain() -> None:
    program = (
        "import sys, counterfoil_verifier as v, counterfoil_verifier.cli\n"
        "heavy = {'fastapi', 'pydantic', 'sqlalchemy', 'uvicorn', 'alembic', 'web3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")
