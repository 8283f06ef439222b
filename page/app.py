"""The page's routes: look a code up, rate a visit, read a year's figures. It keeps nothing, sets no cookie.

The code is the capability: whoever has it may read what it is for, and rate the visit once. So codes are
in no log and leave no referrer, and a code that was never issued is answered as a forged one, as late.
"""

import asyncio
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from uuid import UUID, uuid4

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bihuan.inspection.v1 import code_service_pb2 as pb
from page import addresses, charts, codes, languages
from page.headers import Headers
from page.services import Rating, Refused, Services, ServicesAway
from page.throttle import Throttle
from page.verdicts import moment, shown
from rules import Clock, legal_date

HERE = Path(__file__).parent
FORGED_SECONDS = (
    0.3  # before which no forged code is answered: how it was found out takes no time to see
)
MOST_BODY_BYTES = 16_384
BODY_SECONDS = 10.0
MOST_COMMENT = 1000
RETRY_SECONDS = 10
SCORES = ("1", "2", "3", "4", "5")
DISTRICT = re.compile(r"[1-9][0-9]{5}")


@dataclass(frozen=True)
class PageOptions:
    """url: public base of links, for example "https://check.example.cn"; proxies: networks whose
    X-Forwarded-For is believed; lookups_a_minute: codes that one address may look up; clock: legal time.
    """

    url: str
    proxies: Sequence[addresses.Network] = ()
    lookups_a_minute: int = 30
    forged_seconds: float = FORGED_SECONDS
    clock: Clock = field(default_factory=Clock)


def application(services: Services, options: PageOptions) -> ASGIApp:
    """The page in front of `services`."""
    page = _Page(services, options)
    routed = Starlette(
        routes=[
            Route("/", page.home),
            Route("/c/{code}.svg", page.qr),
            Route("/c/{code}", page.code),
            Route("/c/{code}/rating", page.rate, methods=["POST"]),
            Route("/statistics", page.statistics),
            Route("/style.css", page.style),
            Route("/healthz", page.healthz),
        ],
        exception_handlers={
            HTTPException: page.refused,
            ServicesAway: page.away,
            _TooMany: page.slow,
            Exception: page.broken,
        },
    )
    # Outermost, so that what goes wrong carries them, too.
    return Headers(routed)


class _TooMany(Exception):
    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class _Form:
    """What stands in a rating that was sent, for one that has to be sent again."""

    request_id: str
    score: str = ""
    comment: str = ""
    error: str = ""


class _Page:
    def __init__(self, services: Services, options: PageOptions) -> None:
        self._services = services
        self._options = options
        self._throttle = Throttle(options.lookups_a_minute)
        self._style = (HERE / "style.css").read_text("utf-8")
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    async def home(self, request: Request) -> Response:
        """The field to type a code into; sent, it leads to the page of the code."""
        await self._count(request, lookup=False)
        query = request.query_params
        typed, own = query.get("code", ""), query.get("at", "").strip()
        errors = {}
        code, signature = codes.code(typed)
        if typed and not code:
            errors["code"] = "code_missing"
        if own and _credit_code(own) is None:
            errors["at"] = "credit_wrong"
        if "code" in query and not typed.strip():
            errors["code"] = "code_missing"
        if code and not errors:
            wanted = {"s": signature, "at": _credit_code(own) or "", "lang": query.get("lang", "")}
            return RedirectResponse(_link(f"/c/{code}", wanted), 303)
        return self._page(request, "home.html", typed=typed[:200], own=own[:40], errors=errors)

    async def code(self, request: Request) -> Response:
        """What a code is worth, and what it is for."""
        return await self._of_code(request, form=None)

    async def rate(self, request: Request) -> Response:
        """Takes a rating. The code in the address is what entitles to it; no cookie could be misused."""
        self._require_own_form(request)
        await self._count(request, lookup=True)
        sent = await _fields(request)
        form = _Form(_uuid(sent.get("id", "")), sent.get("score", ""), sent.get("comment", ""))
        if form.score not in SCORES or len(form.comment) > MOST_COMMENT:
            error = "rate_comment_long" if form.score in SCORES else "rate_score_missing"
            return await self._again(request, form, error, 400)
        code = request.path_params["code"]
        try:
            await self._services.rate(
                Rating(form.request_id, code, int(form.score), form.comment.strip())
            )
        except Refused:
            return await self._again(request, form, "rate_refused", 409)
        return RedirectResponse(_link(f"/c/{quote(code, safe='')}", request.query_params), 303)

    async def qr(self, request: Request) -> Response:
        """The QR of a code, for whoever has it."""
        code = request.path_params["code"]
        found = await self._verified(request, "")
        if found.verdict in (pb.VERDICT_FORGED, pb.VERDICT_UNSPECIFIED):
            raise HTTPException(404)
        link = _link(f"/c/{quote(code, safe='')}", {"s": request.query_params.get("s", "")})
        drawn = io.BytesIO()
        made = segno.make(self._options.url.rstrip("/") + link, error="m", micro=False)
        made.save(drawn, kind="svg", scale=4, border=4, light="white", xmldecl=False)
        return Response(drawn.getvalue(), media_type="image/svg+xml")

    async def statistics(self, request: Request) -> Response:
        """The figures of a year, with charts."""
        await self._count(request, lookup=False)
        year, district = (
            request.query_params.get("year", ""),
            request.query_params.get("district", ""),
        )
        if not re.fullmatch(r"([1-9][0-9]{3})?", year) or (
            district and not DISTRICT.fullmatch(district)
        ):
            raise HTTPException(404)
        try:
            found = await self._services.statistics(int(year or 0), district)
        except Refused as error:
            raise HTTPException(404) from error
        t, language = self._texts(request)
        after = _link("/statistics", self._years(request, found.year + 1))
        return self._page(
            request,
            "statistics.html",
            found=found,
            tiles=charts.tiles(found, t),
            charts=charts.charts(found, t, language),
            counters=charts.counters(found.figures, t),
            before=_link("/statistics", self._years(request, found.year - 1)),
            after=after if found.year < self._today().year else "",
        )

    async def style(self, request: Request) -> Response:
        """The style sheet."""
        return Response(
            self._style, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"}
        )

    async def healthz(self, request: Request) -> Response:
        """Whether the services behind answer."""
        healthy = await self._services.healthy()
        return PlainTextResponse("ok" if healthy else "services away", 200 if healthy else 503)

    async def refused(self, request: Request, error: Exception) -> Response:
        """What is not there, and what cannot be taken."""
        status = error.status_code if isinstance(error, HTTPException) else 400
        what = "missing" if status in (404, 405) else "refused"
        return self._told(request, what, status)

    async def away(self, request: Request, error: Exception) -> Response:
        """The services cannot answer."""
        return self._told(request, "away", 503, {"Retry-After": str(RETRY_SECONDS)})

    async def broken(self, request: Request, error: Exception) -> Response:
        """A fault of our own: a code that could not be checked is not shown as valid, nor as forged."""
        return self._told(request, "away", 500)

    async def slow(self, request: Request, error: Exception) -> Response:
        """Somebody asks too often."""
        seconds = error.seconds if isinstance(error, _TooMany) else RETRY_SECONDS
        return self._told(request, "slow", 429, {"Retry-After": str(seconds)}, seconds=seconds)

    async def _of_code(self, request: Request, form: _Form | None, status: int = 200) -> Response:
        t, language = self._texts(request)
        typed = request.query_params.get("at", "").strip()
        own = _credit_code(typed) if typed else ""
        found = await self._verified(request, own or "")
        return self._page(
            request,
            "code.html",
            status=status,
            shown=shown(found, t, language),
            code=codes.grouped(found.code or request.path_params["code"]),
            svg=self._of(request, ".svg", keep=("s",)),
            action=self._of(request, "/rating", keep=("s", "at", "lang")),
            self_path=self._of(request, "", keep=()),
            signature=request.query_params.get("s", ""),
            own=own,
            typed=typed[:40],
            own_wrong=bool(typed) and own is None,
            form=form or _Form(str(uuid4())),
            checked=moment(self._options.clock.now()),
        )

    async def _again(self, request: Request, form: _Form, error: str, status: int) -> Response:
        form = _Form(form.request_id, form.score, form.comment[: 2 * MOST_COMMENT], error)
        return await self._of_code(request, form, status)

    async def _verified(self, request: Request, own: str) -> pb.CodeVerification:
        """What the services say of the code. However a forged one was found out, or if it cannot be a
        code at all, the answer comes at the same time.
        """
        started = monotonic()
        if request.method == "GET":
            await self._count(request, lookup=True)
        code, signature = request.path_params["code"], request.query_params.get("s", "")
        found = pb.CodeVerification(verdict=pb.VERDICT_FORGED)
        if len(code) <= codes.MOST_CHARACTERS and len(signature) <= 200:
            found = await self._services.verify(code, signature, own)
        if found.verdict in (pb.VERDICT_FORGED, pb.VERDICT_UNSPECIFIED):
            await asyncio.sleep(self._options.forged_seconds - (monotonic() - started))
            return pb.CodeVerification(verdict=pb.VERDICT_FORGED)
        return found

    async def _count(self, request: Request, *, lookup: bool) -> None:
        peer = request.client.host if request.client else ""
        forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
        address = addresses.client(peer, forwarded, self._options.proxies)
        if seconds := await self._throttle.wait_seconds(address, lookup=lookup):
            raise _TooMany(seconds)

    def _require_own_form(self, request: Request) -> None:
        """403 for a form that another site sent. Browsers that know Sec-Fetch-Site say it there; in others
        the Origin is "null", as our pages send no referrer, and the code is all there is to go by.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site not in (None, "same-origin", "none"):
            raise HTTPException(403)
        if origin in (None, "null"):
            return
        own = {urlsplit(self._options.url).netloc, request.headers.get("host", "")}
        if _host(origin) not in own:
            raise HTTPException(403)

    def _page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        t, language = self._texts(request)
        own = dict(request.query_params)
        chosen = {"lang": language} if "lang" in own else {}
        text = self._templates.get_template(template).render(
            t=t,
            home=_link("/", chosen),
            figures=_link("/statistics", chosen),
            lang=chosen.get("lang", ""),
            other=_link(_path(request), {**own, "lang": t["other_lang"]}),
            **values,
        )
        return Response(text, status, headers, "text/html")

    def _told(
        self,
        request: Request,
        what: str,
        status: int,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        t, _ = self._texts(request)
        title, text = t[f"{what}_title"], t[what].format(**values)
        return self._page(request, "told.html", status, headers, title=title, text=text)

    def _texts(self, request: Request) -> tuple[Any, str]:
        asked = request.query_params.get("lang", "")
        language = languages.choose(asked, request.headers.get("accept-language", ""))
        return languages.LANGUAGES[language], language

    def _of(self, request: Request, suffix: str, keep: Sequence[str]) -> str:
        query = request.query_params
        path = f"/c/{quote(request.path_params['code'], safe='')}{suffix}"
        return _link(path, {name: query.get(name, "") for name in keep})

    def _today(self) -> date:
        return legal_date(self._options.clock.now())

    def _years(self, request: Request, year: int) -> dict[str, str]:
        return {**request.query_params, "year": str(year)}


def _path(request: Request) -> str:
    """Where the other language is: a form that was sent is not sent again."""
    if "code" in request.path_params:
        return f"/c/{quote(request.path_params['code'], safe='')}"
    # One slash: a link that begins with two leads to another site.
    return "/" + request.url.path.lstrip("/\\")


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _link(path: str, query: Mapping[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _credit_code(text: str) -> str | None:
    try:
        return codes.credit_code(text)
    except ValueError:
        return None


def _uuid(text: str) -> str:
    """The id that a form was made with, or a new one where somebody changed it."""
    try:
        return str(UUID(text))
    except ValueError:
        return str(uuid4())


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form. HTTPException 413 for a body over MOST_BODY_BYTES, 415 for what is no form, 408
    for one that takes longer than BODY_SECONDS to arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY_BYTES:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    try:
        found = parse_qs(body.decode("utf-8", "strict"), max_num_fields=20)
    except ValueError as error:
        raise HTTPException(400) from error
    return {name: values[0].replace("\r\n", "\n") for name, values in found.items()}
