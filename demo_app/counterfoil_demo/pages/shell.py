"""A page: one frame, the words of one language, the choices of one reader.

    shell = Shell("phone", read_assets())
    return shell.page(request, "home.html", cards=cards)

A template that names what it was not given fails, and everything in it is escaped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.assets import Asset, asset_routes, read_assets
from counterfoil_demo.pages.choices import LANGUAGES, Choices, choices_of
from counterfoil_demo.pages.forms import Texts, local_path
from counterfoil_demo.pages.guard import Guard
from counterfoil_demo.pages.problems import problem_text
from counterfoil_demo.pages.words import Words

_SCRIPTS: Final = ("htmx.js", "counterfoil.js", "alpine.js")


class Tab(NamedTuple):
    """A tab of a face: where it leads, its icon, and its word, which is a message."""

    path: str
    icon: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every template may read: who reads, in which words, and on which page."""

    face: str
    choices: Choices
    words: Words
    path: str
    tabs: tuple[Tab, ...]
    now: datetime


class Shell:
    """Makes the pages of one face."""

    def __init__(self, face: str, *, tabs: tuple[Tab, ...] = ()) -> None:
        """Take the face's name and its tabs."""
        self.face = face
        self._tabs = tabs
        self._assets = read_assets()
        self._words = {language: Words(language) for language in LANGUAGES}
        self._environments = {
            language: _environment(words, self._assets) for language, words in self._words.items()
        }

    def words(self, request: Request) -> Words:
        """Give the words of whoever sent `request`."""
        return self._words[choices_of(request, self.face).language]

    def page(
        self, request: Request, template: str, /, *, status: int = 200, **facts: object
    ) -> HTMLResponse:
        """Give the page that `template` makes of `facts`."""
        choices = choices_of(request, self.face)
        frame = Frame(
            face=self.face,
            choices=choices,
            words=self._words[choices.language],
            path=_path_of(request),
            tabs=self._tabs,
            now=datetime.now(UTC),
        )
        found = self._environments[choices.language].get_template(template)
        return HTMLResponse(found.render(frame=frame, **facts), status_code=status)

    def problem(self, request: Request, status: int) -> HTMLResponse:
        """Give the page that says why there is none, and what to do next."""
        said = problem_text(status, self.words(request))
        return self.page(request, "problem.html", status=status, said=said)

    def app(self) -> FastAPI:
        """Give an app with what every face answers: its files, its choices, its problems."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        app.include_router(asset_routes(self._assets))

        @app.get("/alive")
        async def alive() -> Response:
            return Response(status_code=204)

        @app.post("/choices")
        def choose(request: Request, texts: Texts) -> Response:
            response = RedirectResponse(local_path(texts.get("back", "/")), status_code=303)
            choices_of(request, self.face).with_chosen(texts).keep(response, self.face)
            return response

        def answer(request: Request, error: Exception) -> Response:
            status = error.status_code if isinstance(error, HTTPException) else 500
            return self.problem(request, status)

        for error in (HTTPException, 500, 422):
            app.add_exception_handler(error, answer)
        return app

    def guarded(
        self, app: FastAPI, hosts: frozenset[str], *, large: Mapping[str, int] | None = None
    ) -> Guard:
        """Give `app` behind the guard: see `Guard`."""
        return Guard(app, hosts=hosts, problem=self.problem, large=large)


def _environment(words: Words, assets: dict[str, Asset]) -> Environment:
    environment = Environment(
        loader=PackageLoader("counterfoil_demo.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The extension adds this method; jinja2's own types do not tell.
    install: Any = partial(environment.install_gettext_callables, newstyle=True)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    install(words.gettext, words.ngettext)
    filters: dict[str, Any] = {
        "date": words.day,
        "month": words.month,
        "time": words.time,
        "moment": words.moment,
        "number": words.number,
        "money": words.money,
        "since": words.since,
    }
    environment.filters.update(filters)
    shared: dict[str, Any] = {"asset": assets.__getitem__, "scripts": _SCRIPTS}
    environment.globals.update(shared)
    return environment


def _path_of(request: Request) -> str:
    # Where a change of language leads back to: a page that was asked for, not one that answers.
    if request.method not in {"GET", "HEAD"}:
        return request.url.path
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
