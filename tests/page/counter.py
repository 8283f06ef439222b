"""Services as the page needs them, over real gRPC and behind the real gate, with codes of every kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bihuan.inspection.v1 import code_service_pb2 as pb
from bihuan.inspection.v1 import (
    code_service_pb2_grpc,
    inspection_pb2,
    plan_pb2,
    statistics_service_pb2_grpc,
    visit_pb2,
)
from bihuan.inspection.v1 import statistics_service_pb2 as stats_pb
from rpc.errors import failed_precondition
from rpc.identity import Identity, TokenVerifier
from rpc.issuer import LocalIssuer
from rpc.permissions import Permissions
from rpc.server import Server, Service

OWN, OTHER = "91130200699229617X", "91350100M000100Y43"
SIGNATURE = "c2lnbmVk"
GENUINE = "01K4H0M5T7Q9V3X8Z2B6D1F0GE"
# Codes by verdict; what is not among them was never issued.
CODES = {
    GENUINE: pb.VERDICT_GENUINE,
    "01K4H0M5T7Q9V3X8Z2B6D1F0RS": pb.VERDICT_USED,
    "01K4H0M5T7Q9V3X8Z2B6D1F0EA": pb.VERDICT_EARLY,
    "01K4H0M5T7Q9V3X8Z2B6D1F0EX": pb.VERDICT_EXPIRED,
    "01K4H0M5T7Q9V3X8Z2B6D1F0RV": pb.VERDICT_REVOKED,
}
USED = "01K4H0M5T7Q9V3X8Z2B6D1F0RS"
UNKNOWN = "01K4H0M5T7Q9V3X8Z2B6D1F0ZZ"
CONDUCT = (
    "严禁逐利检查；严禁接受被检查企业的任何馈赠、报酬、福利待遇；严禁参加被检查企业提供的宴请、娱乐、旅游等活动；"
    "严禁由被检查企业支付消费开支或者将检查费用转嫁给企业；严禁实施违反公平竞争的选择性检查"
)
DEPARTMENTS = (
    ("扬州市生态环境局", ("李静", "王强"), ("排污许可证执行情况", "污染防治设施运行"), 2),
    ("扬州市应急管理局", ("陈晨", "赵敏"), ("危险化学品储存",), 1),
)


@dataclass
class Codes(code_service_pb2_grpc.CodeServiceServicer):
    """Codes as an enterprise may find them; keeps what it was asked and told."""

    midnight: datetime = datetime(2026, 9, 6, 16, tzinfo=UTC)
    asked: list[pb.VerifyCodeRequest] = field(default_factory=list)
    ratings: dict[str, pb.RateInspectionRequest] = field(default_factory=dict)
    sleep_seconds: float = 0
    hostile: str = ""

    async def VerifyCode(
        self, request: pb.VerifyCodeRequest, context: object
    ) -> pb.CodeVerification:
        self.asked.append(request)
        await asyncio.sleep(self.sleep_seconds)
        return self._found(request.code, request.signature, request.enterprise)

    async def RateInspection(
        self, request: pb.RateInspectionRequest, context: object
    ) -> pb.CodeVerification:
        kept = self.ratings.get(request.code)
        if kept == request:
            return self._found(request.code, "", "")
        if CODES.get(request.code) != pb.VERDICT_USED or kept:
            raise failed_precondition("ALREADY_RATED", "rated before, or not begun")
        self.ratings[request.code] = request
        return self._found(request.code, "", "")

    def _found(self, code: str, signature: str, enterprise: str) -> pb.CodeVerification:
        if code not in CODES or signature not in ("", SIGNATURE):
            return pb.CodeVerification(verdict=pb.VERDICT_FORGED, code=code)
        if enterprise not in ("", OWN):
            return pb.CodeVerification(verdict=pb.VERDICT_OTHER_ENTERPRISE, code=code)
        found = pb.CodeVerification(
            verdict=CODES[code],
            code=code,
            enterprise_name=self.hostile or "扬州某某化工有限公司",
            enterprise_hint="9113020069****617X",
            kind=plan_pb2.KIND_DAILY,
            basis=self.hostile or "扬州市生态环境局2026年度行政检查计划",
            conduct=CONDUCT,
            notice="行政检查通知书\n有权申请检查人员回避。",
            visitors=[_visitor(*each) for each in DEPARTMENTS],
        )
        found.from_time.FromDatetime(self.midnight)
        found.to_time.FromDatetime(self.midnight + timedelta(days=3))
        if CODES[code] == pb.VERDICT_USED:
            found.start_time.FromDatetime(self.midnight + timedelta(hours=33, minutes=20))
            found.rated = code in self.ratings
            found.may_rate = not found.rated
        return found


def _visitor(
    department: str, people: tuple[str, ...], items: tuple[str, ...], number: int
) -> pb.Visitor:
    inspectors = [
        inspection_pb2.Assigned(display_name=name, certificate=f"江苏省人民政府 苏10{number}{n:04}")
        for n, name in enumerate(people, 27)
    ]
    return pb.Visitor(
        department=department, inspectors=inspectors, items=items, visit_of_year=number
    )


@dataclass
class Figures(statistics_service_pb2_grpc.StatisticsServiceServicer):
    """Figures of a year, as told beforehand."""

    found: stats_pb.Statistics
    asked: list[stats_pb.GetStatisticsRequest] = field(default_factory=list)

    async def GetStatistics(
        self, request: stats_pb.GetStatisticsRequest, context: object
    ) -> stats_pb.Statistics:
        self.asked.append(request)
        return self.found


def a_year() -> stats_pb.Statistics:
    """A year as a city may have it."""
    figures = stats_pb.Figures(
        inspection_count=2431,
        joint_count=618,
        kinds=[
            stats_pb.KindCount(kind=plan_pb2.KIND_DAILY, count=1744),
            stats_pb.KindCount(kind=plan_pb2.KIND_CASE, count=512),
            stats_pb.KindCount(kind=plan_pb2.KIND_SPECIAL, count=175),
        ],
        frequency=stats_pb.Frequency(
            enterprise_count=1702,
            mean=2431 / 1702,
            once_count=1130,
            twice_count=441,
            more_count=131,
        ),
        saving=stats_pb.Saving(alone_count=4387, saved_count=1956, rate=1956 / 4387),
        off_site=stats_pb.OffSite(
            item_count=15_120,
            answered_count=5290,
            rate=5290 / 15_120,
            visit_count=866,
            inspection_count=412,
        ),
        hits=stats_pb.Hits(hit_count=903, rate=903 / 2431),
        grades=[
            stats_pb.GradeHits(
                grade=grade, inspection_count=n, hits=stats_pb.Hits(hit_count=h, rate=h / n)
            )
            for grade, n, h in (("A", 412, 38), ("B", 1104, 287), ("C", 640, 376), ("D", 275, 202))
        ],
        ratings=stats_pb.Ratings(count=1310, mean=4.62, distribution=[9, 17, 62, 287, 935]),
        other_visits=[
            stats_pb.PurposeCount(purpose=visit_pb2.PURPOSE_TRAINING, count=88),
            stats_pb.PurposeCount(purpose=visit_pb2.PURPOSE_SERVICE, count=214),
            stats_pb.PurposeCount(purpose=visit_pb2.PURPOSE_PUBLICITY, count=41),
        ],
        capped_count=3320,
        all_count=4387,
        flags=stats_pb.Flags(day_count=2, week_count=7, month_count=19),
        codes=stats_pb.Codes(issued_count=2507, on_the_spot_count=31, revoked_count=76),
        late_result_count=12,
    )
    before = stats_pb.Figures(
        inspection_count=4419, frequency=stats_pb.Frequency(enterprise_count=2290, mean=1.93)
    )
    return stats_pb.Statistics(
        year=2026, figures=figures, before=before, reduction=(4419 - 2431) / 4419
    )


@dataclass
class Counter:
    """Where the services answer, what they know, and a token of the page's role."""

    target: str
    token: str
    codes: Codes
    figures: Figures
    server: Server


@asynccontextmanager
async def counter(folder: Path, codes: Codes | None = None) -> AsyncIterator[Counter]:
    """Serve until the block ends."""
    issuer = LocalIssuer(folder / "issuer")
    codes, figures = codes or Codes(), Figures(a_year())
    server = Server(
        [
            Service(
                codes,
                code_service_pb2_grpc.add_CodeServiceServicer_to_server,
                pb.DESCRIPTOR.services_by_name["CodeService"],
            ),
            Service(
                figures,
                statistics_service_pb2_grpc.add_StatisticsServiceServicer_to_server,
                stats_pb.DESCRIPTOR.services_by_name["StatisticsService"],
            ),
        ],
        TokenVerifier(issuer.jwks, issuer.name),
        Permissions.load(),
    )
    token = issuer.issue(Identity(subject="scan-page", roles=frozenset({"scan_page"})))
    try:
        port = await server.start()
        yield Counter(f"127.0.0.1:{port}", token, codes, figures, server)
    finally:
        await server.stop(0)
