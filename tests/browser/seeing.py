"""How a test looks at a page: in which variant, for which faults, and with a picture of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, Request

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "screenshots"
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass(frozen=True)
class Variant:
    """One way to look at the pages."""

    language: Literal["en-GB", "zh-CN"]
    theme: Literal["light", "dark"]
    width: Literal[320, 390, 1280]
    contrast: Literal["more", "no-preference"] = "no-preference"

    @property
    def name(self) -> str:
        more = "-more" if self.contrast == "more" else ""
        return f"{self.language[:2]}-{self.theme}{more}-{self.width}"

    def open(
        self,
        browser: Browser,
        address: str,
        *,
        runs_scripts: bool = True,
        permissions: Sequence[str] = (),
    ) -> BrowserContext:
        """Give a browser of its own, in this variant, at `address`."""
        return browser.new_context(
            base_url=address,
            locale=self.language,
            color_scheme=self.theme,
            contrast=self.contrast,
            viewport={"width": self.width, "height": 800 if self.width > 1000 else 844},
            java_script_enabled=runs_scripts,
            permissions=permissions,
        )


class Eyes:
    """Watches one page: what its console says, what axe finds, what sticks out."""

    def __init__(self, page: Page, variant: Variant) -> None:
        self._page = page
        self._variant: Variant = variant
        self.said: list[str] = []
        page.on("console", lambda one: self.said.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._require_own)

    def look(self, screen: str) -> None:
        """Take a picture of the page as `screen`, and find no fault in it."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=PICTURES / f"{screen}-{self._variant.name}.png")
        faults = [*self.said, *self.found_by_axe()]
        if self.sticks_out() > 0:
            faults.append(f"sticks out by {self.sticks_out()} pixels")
        assert not faults, f"{screen}: {faults}"

    def turn(self) -> None:
        """Show the page in the other language and the other theme, as its reader would switch."""
        is_english = self._variant.language == "en-GB"
        is_light = self._variant.theme == "light"
        self._variant = replace(
            self._variant,
            language="zh-CN" if is_english else "en-GB",
            theme="dark" if is_light else "light",
        )
        chosen = f"{self._variant.language[:2]}.{self._variant.theme}.auto.100"
        self._page.context.add_cookies(
            [{"name": "counterfoil-phone-choices", "value": chosen, "url": self._origin()}]
        )
        self._page.reload()

    def _origin(self) -> str:
        # A cookie for a page's own address would hold for the pages beside it alone.
        origin: str = self._page.evaluate("location.origin")
        return origin

    def look_in_every_light(self, screen: str) -> None:
        """Look at the page at both sizes, by day and by night, and leave it as it was."""
        given, size = self._variant, self._page.viewport_size
        widths: tuple[Literal[390, 1280], ...] = (390, 1280)
        themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for width in widths:
            self._page.set_viewport_size({"width": width, "height": 800 if width > 1000 else 844})
            for theme in themes:
                self._page.emulate_media(color_scheme=theme)
                self._variant = replace(given, width=width, theme=theme)
                self.look(screen)
        self._variant = given
        self._page.emulate_media(color_scheme=given.theme)
        if size is not None:
            self._page.set_viewport_size(size)

    def found_by_axe(self) -> list[str]:
        """Give axe's findings, each with where it is."""
        # The whole page at once: what a sticky bar covers now, a turn of the wheel uncovers.
        size = self._page.viewport_size
        assert size is not None
        tall: int = self._page.evaluate("document.documentElement.scrollHeight")
        self._page.set_viewport_size({"width": size["width"], "height": max(tall, size["height"])})
        self._page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = self._page.evaluate(
            "(rules) => axe.run(document, {runOnly: rules})", _RULES
        )
        self._page.set_viewport_size(size)
        return [
            f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def sticks_out(self) -> int:
        """Give by how many pixels the page is wider than its window."""
        width: int = self._page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width

    def _require_own(self, request: Request) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            self.said.append(f"asked {request.url}")


def chromium() -> str | None:
    """Give the browser's program, or None where there is none."""
    named = os.environ.get("COUNTERFOIL_CHROMIUM")
    return named or which("chromium") or which("chromium-browser") or which("google-chrome")
