"""The page that an enterprise scans: each verdict in its own words, no enumeration, a rating once."""

import asyncio
import re
from time import monotonic
from uuid import uuid4

import httpx
import pytest

from bihuan.inspection.v1 import code_service_pb2 as pb
from page.app import PageOptions, application
from page.services import Services
from page.texts import VERDICTS
from page.verdicts import LOOKS
from tests.page.conftest import URL, Open
from tests.page.counter import (
    CODES,
    GENUINE,
    OTHER,
    OWN,
    SIGNATURE,
    UNKNOWN,
    USED,
    Counter,
)

FORM = {"content-type": "application/x-www-form-urlencoded"}
ENGLISH = {"accept-language": "en-US,en;q=0.9,zh;q=0.5"}
OF_VERDICT = {verdict: f"/c/{code}?s={SIGNATURE}" for code, verdict in CODES.items()} | {
    pb.VERDICT_FORGED: f"/c/{UNKNOWN}?s={SIGNATURE}",
    pb.VERDICT_OTHER_ENTERPRISE: f"/c/{GENUINE}?s={SIGNATURE}&at={OTHER}",
}


def heading(answer: httpx.Response) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", answer.text)
    assert found
    return found[1]


def rating(score: str = "5", comment: str = "按时到场", request_id: str = "") -> dict[str, str]:
    return {"id": request_id or str(uuid4()), "score": score, "comment": comment}


@pytest.mark.parametrize("verdict", OF_VERDICT, ids=lambda verdict: pb.Verdict.Name(verdict))
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_each_verdict_has_its_own_words_colour_and_sign(
    page: httpx.AsyncClient, verdict: int, language: str
) -> None:
    answer = await page.get(f"{OF_VERDICT[verdict]}&lang={language}")
    assert answer.status_code == 200
    title, text, advice = VERDICTS[language][verdict]
    assert heading(answer) == title
    assert all(part.replace("'", "&#39;") in answer.text for part in (text, advice))
    assert f'class="verdict {LOOKS[verdict].tone}"' in answer.text
    lang = {"zh": "zh-CN", "en": "en"}[language]
    assert f'<html lang="{lang}">' in answer.text


def test_no_two_verdicts_share_a_sign_or_a_heading() -> None:
    assert set(LOOKS) == set(pb.Verdict.values()) - {pb.VERDICT_UNSPECIFIED}
    assert len({look.sign for look in LOOKS.values()}) == len(LOOKS)
    for texts in VERDICTS.values():
        assert set(texts) == set(LOOKS)
        assert len({title for title, _, _ in texts.values()}) == len(LOOKS)


async def test_a_genuine_code_says_who_may_come_why_for_what_and_when(
    page: httpx.AsyncClient,
) -> None:
    text = (await page.get(f"/c/{GENUINE}?s={SIGNATURE}")).text
    for told in (
        "扬州某某化工有限公司",
        "9113020069****617X",
        "扬州市生态环境局",
        "李静",
        "江苏省人民政府 苏1020027",
        "排污许可证执行情况",
        "危险化学品储存",
        "今年第2次检查本企业",
        "扬州市生态环境局2026年度行政检查计划",
        "日常检查",
        "2026-09-07 至 2026-09-09",
        "严禁逐利检查",
        "01K4H 0M5T7",
    ):
        assert told in text, told
    assert text.count("<li>严禁") == 5
    assert 'name="score"' not in text  # nothing has begun


@pytest.mark.parametrize(
    "path", [OF_VERDICT[pb.VERDICT_FORGED], OF_VERDICT[pb.VERDICT_OTHER_ENTERPRISE]]
)
async def test_of_a_forged_code_and_of_another_enterprises_nothing_is_told(
    page: httpx.AsyncClient, path: str
) -> None:
    text = (await page.get(path)).text
    for secret in ("某某化工", "李静", "生态环境局", "2026-09-07", 'name="score"', "<img"):
        assert secret not in text


async def test_an_enterprise_learns_that_the_code_is_its_own(page: httpx.AsyncClient) -> None:
    text = (await page.get(f"/c/{GENUINE}?at={OWN.lower()}")).text
    assert "确为您填写的企业" in text


async def test_a_mistyped_credit_code_is_not_taken_for_another_enterprise(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    answer = await page.get(f"/c/{GENUINE}?at=91130200699229617Y")
    assert heading(answer) == VERDICTS["zh"][pb.VERDICT_GENUINE][0]
    assert "这不是有效的统一社会信用代码" in answer.text
    assert [asked.enterprise for asked in desk.codes.asked] == [""]


SAME = [
    "/c/x",
    f"/c/{UNKNOWN}",
    f"/c/{GENUINE}?s=Zm9yZ2Vk",
    f"/c/{'A' * 200}",
    f"/c/{GENUINE}?s={'x' * 500}",
]


async def test_unknown_forged_and_impossible_codes_get_the_same_page_as_late(
    open_page: Open,
) -> None:
    page = open_page(forged_seconds=0.2)
    pages, seconds = [], []
    for path in SAME:
        began = monotonic()
        answer = await page.get(path)
        seconds.append(monotonic() - began)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", answer.text)
        text = re.sub(r'<span class="code whole">[^<]*</span>', "", text)  # as it was typed
        text = re.sub(r'href="/c/[^"]*"', "", text)
        pages.append((answer.status_code, text))
    assert len(set(pages)) == 1
    assert pages[0][0] == 200
    assert min(seconds) >= 0.2
    assert max(seconds) - min(seconds) < 0.3


async def test_the_services_say_what_a_code_is_worth_and_the_page_believes_nobody_else(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    await page.get(f"/c/{GENUINE}?s={SIGNATURE}&at={OWN}")
    [asked] = desk.codes.asked
    assert (asked.code, asked.signature, asked.enterprise) == (GENUINE, SIGNATURE, OWN)


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        (GENUINE, f"/c/{GENUINE}"),
        (f" {GENUINE[:5].lower()}-{GENUINE[5:]} ", f"/c/{GENUINE}"),
        (f"{URL}/c/{GENUINE}?s={SIGNATURE}", f"/c/{GENUINE}?s={SIGNATURE}"),
        ("../../etc/passwd", "/c/ETCPASSWD"),
    ],
)
async def test_a_code_may_be_typed_as_it_is_read_or_pasted_as_a_link(
    page: httpx.AsyncClient, typed: str, path: str
) -> None:
    answer = await page.get("/", params={"code": typed})
    assert (answer.status_code, answer.headers["location"]) == (303, path)


async def test_the_first_page_says_what_is_wrong_with_what_was_typed(
    page: httpx.AsyncClient,
) -> None:
    assert "26位字母和数字" in (await page.get("/")).text
    assert "请输入检查码" in (await page.get("/?code=")).text
    wrong = await page.get("/", params={"code": GENUINE, "at": "123"})
    assert wrong.status_code == 200
    assert "这不是有效的统一社会信用代码" in wrong.text
    assert f'value="{GENUINE}"' in wrong.text
    own = await page.get("/", params={"at": OWN})
    assert f'value="{OWN}"' in own.text


async def test_a_visit_under_way_is_rated_once_and_the_same_form_again_changes_nothing(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    path = f"/c/{USED}?s={SIGNATURE}"
    text = (await page.get(path)).text
    action = re.search(r'action="([^"]+/rating[^"]*)"', text)
    form_id = re.search(r'name="id" value="([^"]+)"', text)
    assert action
    assert form_id
    sent = rating(comment="文明\r\n规范 ", request_id=form_id[1])
    for _ in range(2):
        answer = await page.post(action[1], data=sent)
        assert (answer.status_code, answer.headers["location"]) == (303, path)
    [kept] = desk.codes.ratings.values()
    assert (kept.score, kept.comment, kept.request_id) == (5, "文明\n规范", form_id[1])
    text = (await page.get(path)).text
    assert "这次检查已评价" in text
    assert 'name="score"' not in text
    again = await page.post(action[1], data=rating("1"))
    assert again.status_code == 409
    assert "已经评价过" in again.text
    assert len(desk.codes.ratings) == 1


async def test_a_visit_that_has_not_begun_is_not_rated(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    for code in (GENUINE, UNKNOWN):
        assert (await page.post(f"/c/{code}/rating", data=rating())).status_code == 409
    assert not desk.codes.ratings


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (rating("6"), 400),
        (rating(""), 400),
        (rating(comment="长" * 1001), 400),
        (rating(comment="x" * 20_000), 413),
        ({"score": "5"}, 303),
    ],
)
async def test_what_no_form_of_ours_sends_is_refused_and_what_was_written_stays(
    page: httpx.AsyncClient, sent: dict[str, str], status: int, desk: Counter
) -> None:
    answer = await page.post(f"/c/{USED}/rating", data=sent)
    assert answer.status_code == status
    assert len(desk.codes.ratings) == (status == 303)
    if status == 400:
        assert sent["comment"][:1000] in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"origin": URL}, 303),
        ({"origin": "null"}, 303),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 303),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
async def test_a_form_of_another_site_rates_nothing(
    page: httpx.AsyncClient, headers: dict[str, str], status: int, desk: Counter
) -> None:
    answer = await page.post(f"/c/{USED}/rating", data=rating(), headers=headers)
    assert answer.status_code == status
    assert len(desk.codes.ratings) == (status == 303)


async def test_json_and_files_are_no_form(page: httpx.AsyncClient) -> None:
    assert (await page.post(f"/c/{USED}/rating", json=rating())).status_code == 415
    assert (await page.post(f"/c/{USED}/rating", files={"a": b"b"})).status_code == 415
    assert (
        await page.post(f"/c/{USED}/rating", content=b"score=\xff", headers=FORM)
    ).status_code == 400


async def test_the_qr_is_drawn_for_who_has_the_code_and_leads_back_to_it(
    page: httpx.AsyncClient,
) -> None:
    answer = await page.get(f"/c/{GENUINE}.svg?s={SIGNATURE}")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith("<svg")
    import segno

    expected = segno.make(f"{URL}/c/{GENUINE}?s={SIGNATURE}", error="m", micro=False)
    assert expected.svg_inline(scale=4, border=4, light="white")[40:] in answer.text
    assert (await page.get(f"/c/{UNKNOWN}.svg")).status_code == 404


async def test_nothing_that_the_services_say_becomes_markup(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    desk.codes.hostile = '<script>alert(1)</script>"><img src=x>'
    answer = await page.get(f"/c/{GENUINE}?s=%22%3E%3Cb%3E&at=%22%3E%3Cb%3E&lang=%3Cb%3E")
    desk.codes.hostile = '<script>alert(1)</script>"><img src=x>'
    found = await page.get(f"/c/{GENUINE}?at=%22%3E%3Cb%3E")
    for text in (answer.text, found.text, (await page.get("/?code=--&at=%22%3E%3Cb%3E")).text):
        assert "<script" not in text
        assert "<b>" not in re.sub(r"<b>\d</b>", "", text)
        assert "<img src=x" not in text
    assert "&lt;script&gt;" in found.text


PATHS = [
    "/",
    f"/c/{GENUINE}",
    f"/c/{UNKNOWN}",
    f"/c/{GENUINE}.svg",
    "/statistics",
    "/nowhere",
    "/healthz",
]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_keeps_what_it_says_to_itself(
    page: httpx.AsyncClient, path: str
) -> None:
    headers = (await page.get(path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("path", ["/", f"/c/{USED}", "/statistics"])
async def test_a_page_needs_no_script_and_nothing_from_outside(
    page: httpx.AsyncClient, path: str
) -> None:
    text = (await page.get(path)).text
    assert not re.search(r"<script|\son\w+=|\sstyle=|javascript:", text)
    links = re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert links
    assert all(link.startswith(("/", "#", "data:,")) for link in links), links
    assert 'name="viewport"' in text
    fields = re.findall(r'<(?:input|textarea)[^>]*id="([^"]+)"', text)
    assert all(f'<label for="{each}"' in text for each in fields)


@pytest.mark.parametrize(
    ("accepted", "asked", "lang"),
    [
        ("", "", "zh-CN"),
        ("fr-FR,fr", "", "zh-CN"),
        ("en-US,en;q=0.9,zh;q=0.5", "", "en"),
        ("en;q=0.3,zh-CN;q=0.8", "", "zh-CN"),
        ("en;q=0, zh;q=0.1", "", "zh-CN"),
        ("en;q=x,,;", "", "zh-CN"),
        ("zh", "en", "en"),
        ("en", "zh", "zh-CN"),
        ("en", "xx", "en"),
    ],
)
async def test_the_language_is_that_of_the_link_else_that_of_the_browser(
    page: httpx.AsyncClient, accepted: str, asked: str, lang: str
) -> None:
    answer = await page.get("/", params={"lang": asked}, headers={"accept-language": accepted})
    assert f'<html lang="{lang}">' in answer.text


async def test_the_other_language_is_a_link_to_the_same_code(page: httpx.AsyncClient) -> None:
    text = (await page.get(f"/c/{USED}?s={SIGNATURE}")).text
    assert f'href="/c/{USED}?s={SIGNATURE}&amp;lang=en"' in text


async def test_who_asks_too_often_waits_and_others_do_not(open_page: Open, desk: Counter) -> None:
    page = open_page(lookups_a_minute=3)
    statuses = [(await page.get(f"/c/{UNKNOWN}")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    slow = await page.get(f"/c/{GENUINE}", headers=ENGLISH)
    assert slow.status_code == 429
    assert 1 <= int(slow.headers["retry-after"]) <= 60
    assert "Too many requests" in slow.text
    assert len(desk.codes.asked) == 3
    assert (await page.post(f"/c/{USED}/rating", data=rating())).status_code == 429
    assert (await page.get("/")).status_code == 200
    assert (await page.get("/healthz")).status_code == 200


async def test_forwarded_addresses_count_only_behind_a_trusted_proxy(open_page: Open) -> None:
    from page.addresses import networks

    async def passed(page: httpx.AsyncClient) -> list[int]:
        return [
            (
                await page.get(f"/c/{UNKNOWN}", headers={"x-forwarded-for": f"198.51.100.{n}"})
            ).status_code
            for n in range(3)
        ]

    direct = open_page(lookups_a_minute=1)
    assert await passed(direct) == [200, 429, 429]
    behind = open_page("10.0.0.2", lookups_a_minute=1, proxies=networks("10.0.0.0/8"))
    assert await passed(behind) == [200, 200, 200]


async def test_with_the_services_down_it_says_try_again(
    open_page: Open, desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("page.services.CALL_SECONDS", 0.5)
    page = open_page()
    await desk.server.stop(0)
    for path in (f"/c/{GENUINE}", "/statistics", f"/c/{GENUINE}.svg"):
        answer = await page.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert heading(answer) == "暂时无法核验"
    sent = await page.post(f"/c/{USED}/rating", data=rating())
    assert sent.status_code == 503
    assert (await page.get("/healthz")).status_code == 503
    assert (await page.get("/")).status_code == 200


async def test_a_fault_of_ours_is_told_as_one(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(desk.target, desk.token)

    async def break_(*_: object) -> None:
        raise RuntimeError("01K4 in a message")

    monkeypatch.setattr(services, "verify", break_)
    app = application(services, PageOptions(URL))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        answer = await client.get(f"/c/{GENUINE}")
    await services.close()
    assert answer.status_code == 500
    assert heading(answer) == "暂时无法核验"
    assert "01K4 in" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_services_that_hang_are_not_waited_for(
    open_page: Open, desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("page.services.CALL_SECONDS", 0.2)
    desk.codes.sleep_seconds = 30
    async with asyncio.timeout(5):
        assert (await open_page().get(f"/c/{GENUINE}")).status_code == 503


async def test_the_figures_of_a_year_are_shown_with_charts(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    text = (await page.get("/statistics")).text
    for told in (
        "2026年涉企行政检查统计",
        "2,431",
        "比上年减少 45.0%",
        "44.6%",
        "1.43",
        "35.0%",
        "4.62",
        "A级",
        "73.5%",
        "服务帮扶",
        "3,320",
    ):
        assert told in text, told
    widths = [float(width) for width in re.findall(r'class="bar" width="([\d.]+)"', text)]
    assert max(widths) == 100
    assert "上一年" in text
    assert "下一年" not in text  # there is none yet
    assert len(widths) >= 20
    await page.get("/statistics")
    assert len(desk.figures.asked) == 1  # kept for a while


async def test_what_is_no_figure_is_not_shown_as_zero(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    desk.figures.found.figures.Clear()
    desk.figures.found.before.Clear()
    desk.figures.found.ClearField("reduction")
    text = (await page.get("/statistics?lang=en")).text
    assert text.count("no figure") == 6
    assert "%" not in re.sub(r"width=[^>]*", "", text)


@pytest.mark.parametrize(
    "query", ["year=26", "year=x", "year=02026", "district=1", "district=32100a"]
)
async def test_a_year_or_place_that_is_none_has_no_page(
    page: httpx.AsyncClient, query: str, desk: Counter
) -> None:
    assert (await page.get(f"/statistics?{query}")).status_code == 404
    assert not desk.figures.asked


async def test_the_figures_of_a_place_and_year_are_asked_for(
    page: httpx.AsyncClient, desk: Counter
) -> None:
    desk.figures.found.year = 2025
    text = (await page.get("/statistics?year=2025&district=321002")).text
    [asked] = desk.figures.asked
    assert (asked.year, asked.district) == (2025, "321002")
    assert "year=2024&amp;district=321002" in text
    assert "year=2026&amp;district=321002" in text
