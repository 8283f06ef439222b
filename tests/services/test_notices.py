"""Inboxes over real gRPC: who sees a notice, and when it was read and acknowledged."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from google.rpc import code_pb2

from bihuan.notification.v1 import notice_pb2 as pb
from tests.bureau import ENTERPRISE, Bureau, Client
from tests.services.calls import recorded, refused, rid

OTHER = "91350100M000100Y43"
INBOX = f"enterprises/{ENTERPRISE.uscc}"


async def send(open_: Bureau, recipient: str = INBOX, **fields: Any) -> pb.Notice:
    values: dict[str, Any] = {
        "kind": pb.NOTICE_KIND_TASK,
        "title": "请于3月9日前整改",
        "request_id": rid(),
    }
    request = pb.SendNoticeRequest(recipient=recipient, **{**values, **fields})
    notice: pb.Notice = await open_.client("loop").notices.SendNotice(request)
    return notice


async def inbox(client: Client, recipient: str = INBOX, **fields: Any) -> list[str]:
    request = pb.ListNoticesRequest(recipient=recipient, **fields)
    return [notice.name for notice in (await client.notices.ListNotices(request)).notices]


def read(notice: pb.Notice) -> pb.ReadNoticeRequest:
    return pb.ReadNoticeRequest(request_id=rid(), name=notice.name)


def acknowledge(notice: pb.Notice) -> pb.AcknowledgeNoticeRequest:
    return pb.AcknowledgeNoticeRequest(request_id=rid(), name=notice.name)


async def test_an_inbox_is_its_owners_and_nobody_elses(open_bureau: Bureau) -> None:
    clients = {
        INBOX: open_bureau.enterprise(),
        f"enterprises/{OTHER}": open_bureau.enterprise(OTHER),
        "officers/zhang": open_bureau.client("officer", subject="zhang"),
        "officers/li": open_bureau.client("officer", subject="li"),
        f"departments/{OTHER}": open_bureau.client("officer", subject="wang", agency=OTHER),
        f"departments/{ENTERPRISE.uscc}": open_bureau.client("planner", agency=ENTERPRISE.uscc),
        "desks/verifier": open_bureau.client("verifier"),
        "desks/supervisor": open_bureau.client("supervisor"),
    }
    for recipient in clients:
        notice = await send(open_bureau, recipient)
        get = pb.GetNoticeRequest(name=notice.name)
        for owner, client in clients.items():
            if owner == recipient:
                assert await client.notices.GetNotice(get) == notice
                assert await inbox(client, recipient) == [notice.name]
                continue
            listing = await refused(inbox(client, recipient))
            assert (listing.code, listing.reason) == (code_pb2.PERMISSION_DENIED, "OTHER_INBOX")
            # To others it is as if there were none: not even a refusal tells that it exists.
            for call in (
                client.notices.GetNotice(get),
                client.notices.ReadNotice(read(notice)),
                client.notices.AcknowledgeNotice(acknowledge(notice)),
            ):
                refusal = await refused(call)
                assert (refusal.code, refusal.reason) == (code_pb2.NOT_FOUND, "NOTICE_NOT_FOUND")
    assert set(await recorded(open_bureau)) == {"NoticeSent"}


async def test_every_officer_at_a_desk_sees_its_inbox(open_bureau: Bureau) -> None:
    notice = await send(open_bureau, "desks/officer")
    for subject in ("zhang", "li"):
        officer = open_bureau.client("officer", subject=subject)
        assert await inbox(officer, "desks/officer") == [notice.name]


async def test_the_first_reading_and_the_first_acknowledgement_count(open_bureau: Bureau) -> None:
    notice = await send(open_bureau)
    client = open_bureau.enterprise()
    colleague = open_bureau.client("enterprise", subject="colleague", enterprise=ENTERPRISE.uscc)
    assert notice.state == pb.Notice.STATE_SENT
    first = await client.notices.ReadNotice(read(notice))
    assert (first.state, first.reader) == (pb.Notice.STATE_READ, f"ent-{ENTERPRISE.uscc}")
    assert first.read_time.ToNanoseconds() >= notice.send_time.ToNanoseconds()
    assert await colleague.notices.ReadNotice(read(notice)) == first
    done = await colleague.notices.AcknowledgeNotice(acknowledge(notice))
    assert (done.state, done.acknowledger) == (pb.Notice.STATE_ACKNOWLEDGED, "colleague")
    assert (done.reader, done.read_time) == (first.reader, first.read_time)
    assert await client.notices.AcknowledgeNotice(acknowledge(notice)) == done
    assert await client.notices.ReadNotice(read(notice)) == done
    assert await client.notices.GetNotice(pb.GetNoticeRequest(name=notice.name)) == done
    assert await recorded(open_bureau) == ["NoticeSent", "NoticeRead", "NoticeAcknowledged"]


async def test_who_acknowledges_has_read(open_bureau: Bureau) -> None:
    notice = await send(open_bureau)
    done = await open_bureau.enterprise().notices.AcknowledgeNotice(acknowledge(notice))
    assert done.reader == done.acknowledger == f"ent-{ENTERPRISE.uscc}"
    assert done.read_time == done.acknowledge_time
    assert await recorded(open_bureau) == ["NoticeSent", "NoticeRead", "NoticeAcknowledged"]


async def test_a_notice_sent_twice_with_one_request_id_arrives_once(open_bureau: Bureau) -> None:
    request_id = rid()
    first = await send(open_bureau, request_id=request_id)
    assert await send(open_bureau, request_id=request_id) == first
    assert await inbox(open_bureau.enterprise()) == [first.name]


async def test_an_inbox_is_listed_newest_first_by_subject_by_unread_and_by_page(
    open_bureau: Bureau,
) -> None:
    client = open_bureau.enterprise()
    notices = [await send(open_bureau, subject=f"problems/{n % 2}") for n in range(5)]
    await client.notices.ReadNotice(read(notices[4]))
    names = [notice.name for notice in reversed(notices)]
    assert await inbox(client) == names
    assert await inbox(client, unread=True) == names[1:]
    assert await inbox(client, subject="problems/1") == [names[1], names[3]]
    pages: list[list[str]] = []
    request = pb.ListNoticesRequest(recipient=INBOX, page_size=2)
    while not pages or request.page_token:
        page = await client.notices.ListNotices(request)
        pages.append([notice.name for notice in page.notices])
        request.page_token = page.next_page_token
    assert pages == [names[:2], names[2:4], names[4:]]


async def test_a_page_token_belongs_to_its_listing(open_bureau: Bureau) -> None:
    client = open_bureau.enterprise()
    for _ in range(2):
        await send(open_bureau)
    request = pb.ListNoticesRequest(recipient=INBOX, page_size=1)
    token = (await client.notices.ListNotices(request)).next_page_token
    for foreign in (
        pb.ListNoticesRequest(recipient=INBOX, page_token=token, unread=True),
        pb.ListNoticesRequest(recipient=INBOX, page_token="x"),
    ):
        refusal = await refused(client.notices.ListNotices(foreign))
        assert (refusal.code, refusal.reason) == (code_pb2.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
        assert [violation[0] for violation in refusal.violations] == ["page_token"]


@pytest.mark.parametrize(
    "subject", ["李静", "auth0|5f7c8ec7", "CN=Li Jing,OU=EPB", "li/jing", "li@epb.gov.cn"]
)
async def test_an_officer_may_be_named_in_any_way(open_bureau: Bureau, subject: str) -> None:
    recipient = f"officers/{quote(subject, safe='')}"
    notice = await send(open_bureau, recipient)
    officer = open_bureau.client("officer", subject=subject)
    assert await inbox(officer, recipient) == [notice.name]
    other = open_bureau.client("officer", subject=subject + "2")
    request = pb.ListNoticesRequest(recipient=recipient)
    assert (await refused(other.notices.ListNotices(request))).reason == "OTHER_INBOX"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"recipient": "everybody"}, "recipient"),
        ({"recipient": "officers/李静"}, "recipient"),
        ({"kind": pb.NOTICE_KIND_UNSPECIFIED}, "kind"),
        ({"title": ""}, "title"),
    ],
)
async def test_a_bad_notice_is_not_sent(
    open_bureau: Bureau, fields: dict[str, Any], path: str
) -> None:
    refusal = await refused(send(open_bureau, **fields))
    assert refusal.code == code_pb2.INVALID_ARGUMENT
    assert [violation[0] for violation in refusal.violations] == [path]
    assert await recorded(open_bureau) == []


async def test_an_unknown_notice_is_not_found(open_bureau: Bureau) -> None:
    client = open_bureau.enterprise()
    unknown = pb.Notice(name=f"notices/{uuid4()}")
    for call in (
        client.notices.GetNotice(pb.GetNoticeRequest(name=unknown.name)),
        client.notices.ReadNotice(read(unknown)),
    ):
        assert (await refused(call)).reason == "NOTICE_NOT_FOUND"
