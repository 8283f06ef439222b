"""A bureau for tests: every service on a fresh database, and a client for each role."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio

from bihuan.calendar.v1 import calendar_service_pb2_grpc
from bihuan.evidence.v1 import evidence_service_pb2 as evidence_pb
from bihuan.evidence.v1 import evidence_service_pb2_grpc
from bihuan.feed.v1 import feed_service_pb2_grpc
from bihuan.inspection.v1 import (
    code_service_pb2_grpc,
    draw_service_pb2_grpc,
    inspection_service_pb2_grpc,
    plan_service_pb2_grpc,
    roster_service_pb2_grpc,
    statistics_service_pb2_grpc,
    target_service_pb2_grpc,
    visit_service_pb2_grpc,
)
from bihuan.notification.v1 import notice_pb2_grpc
from bihuan.penalty.v1 import payment_service_pb2_grpc, penalty_case_service_pb2_grpc
from bihuan.privacy.v1 import privacy_service_pb2_grpc
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1 import problem_service_pb2_grpc
from bihuan.types.v1.evidence_pb2 import Evidence
from eventstore.envelope import MasterKeyFile
from rpc.client import connect
from rpc.identity import Identity
from rpc.issuer import LocalIssuer
from services.app import ServeOptions, serve
from services.inspection.inspections.signing import CodeKeys

ENTERPRISE = pb.Enterprise(uscc="91130200699229617X", display_name="昆都仑一号钢铁有限公司")


class Client:
    """Stubs of every service as one identity."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.problems = problem_service_pb2_grpc.ProblemServiceStub(channel)
        self.penalties = penalty_case_service_pb2_grpc.PenaltyCaseServiceStub(channel)
        self.payments = payment_service_pb2_grpc.PaymentServiceStub(channel)
        self.draws = draw_service_pb2_grpc.DrawServiceStub(channel)
        self.inspections = inspection_service_pb2_grpc.InspectionServiceStub(channel)
        self.codes = code_service_pb2_grpc.CodeServiceStub(channel)
        self.plans = plan_service_pb2_grpc.PlanServiceStub(channel)
        self.roster = roster_service_pb2_grpc.RosterServiceStub(channel)
        self.targets = target_service_pb2_grpc.TargetServiceStub(channel)
        self.visits = visit_service_pb2_grpc.VisitServiceStub(channel)
        self.statistics = statistics_service_pb2_grpc.StatisticsServiceStub(channel)
        self.notices = notice_pb2_grpc.NotificationServiceStub(channel)
        self.evidence = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        self.calendars = calendar_service_pb2_grpc.CalendarServiceStub(channel)
        self.privacy = privacy_service_pb2_grpc.PrivacyServiceStub(channel)
        self.feed = feed_service_pb2_grpc.FeedServiceStub(channel)

    async def upload(self, content: bytes = b"photo", title: str = "整改照片") -> Evidence:
        """Put a file in evidence."""

        async def parts() -> AsyncIterator[evidence_pb.UploadEvidenceRequest]:
            header = evidence_pb.UploadEvidenceRequest.Header(media_type="image/jpeg", title=title)
            yield evidence_pb.UploadEvidenceRequest(header=header)
            yield evidence_pb.UploadEvidenceRequest(chunk=content)

        return await self.evidence.UploadEvidence(parts())


@dataclass
class Bureau:
    """Where the services answer, and who may call them."""

    target: str
    issuer: LocalIssuer
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def client(
        self, *roles: str, subject: str = "", enterprise: str = "", agency: str = ""
    ) -> Client:
        """A client with these roles; its subject is the first role unless given."""
        identity = Identity(
            subject=subject or roles[0],
            roles=frozenset(roles),
            agency=agency,
            enterprise=enterprise,
        )
        channel = connect(self.target, self.issuer.issue(identity))
        self.channels.append(channel)
        return Client(channel)

    def enterprise(self, uscc: str = ENTERPRISE.uscc) -> Client:
        """The enterprise's own client."""
        return self.client("enterprise", subject=f"ent-{uscc}", enterprise=uscc)


def key_file(folder: Path, name: str) -> Path:
    """A key of the bureau's, made once."""
    path = folder / name
    if not path.exists():
        MasterKeyFile.create(path)
    return path


def code_key(folder: Path) -> Path:
    """The key that signs inspection codes, made once."""
    path = folder / "code.key"
    if not path.exists():
        CodeKeys.create(path)
    return path


@asynccontextmanager
async def bureau(
    database_url: str, folder: Path, clock: str = "", **options_: Any
) -> AsyncIterator[Bureau]:
    """Serve until the block ends; `options_` are those of services.app.ServeOptions."""
    issuer = LocalIssuer(folder / "issuer")
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    options = ServeOptions(
        database_url=database_url,
        address="127.0.0.1:0",
        jwks=str(issuer.jwks),
        issuer=issuer.name,
        evidence_url=str(folder / "evidence"),
        clock=clock,
        **{
            "master_key": key_file(folder, "master.key"),
            "draw_key": key_file(folder, "draw.key"),
            "code_key": code_key(folder),
            **options_,
        },
    )
    serving = asyncio.create_task(serve(options, bound.set_result, stop))
    await asyncio.wait({serving, bound}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    open_ = Bureau(f"127.0.0.1:{bound.result()}", issuer)
    try:
        yield open_
    finally:
        for channel in open_.channels:
            await channel.close()
        stop.set()
        await serving


def report(request_id: str = "", **fields: object) -> rpc_pb.ReportProblemRequest:
    """A valid report; `fields` replace what it says."""
    values: dict[str, object] = {
        "title": "自行监测方案不完整",
        "source": pb.SOURCE_INSPECTION,
        "category": pb.CATEGORY_SELF_MONITORING_PLAN,
        "severity": pb.SEVERITY_GENERAL,
        "location": pb.Location(district="150203", address="昆都仑区"),
        "enterprise": ENTERPRISE,
    }
    return rpc_pb.ReportProblemRequest(
        request_id=request_id or str(uuid4()), **{**values, **fields}
    )


def item(measure: str = "补充监测点位", days: int = 10) -> rpc_pb.ItemDraft:
    """A valid item of an order."""
    return rpc_pb.ItemDraft(
        finding="缺少无组织排放监测",
        measure=measure,
        responsible_unit="环保部",
        limit=pb.Limit(days=days),
    )
