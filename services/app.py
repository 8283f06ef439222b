"""Every service in one process: migrates, wires, serves, drains."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bihuan.calendar.v1 import calendar_service_pb2, calendar_service_pb2_grpc
from bihuan.evidence.v1 import evidence_service_pb2, evidence_service_pb2_grpc
from bihuan.feed.v1 import feed_service_pb2, feed_service_pb2_grpc
from bihuan.notification.v1 import notice_pb2, notice_pb2_grpc
from bihuan.penalty.v1 import (
    payment_service_pb2,
    payment_service_pb2_grpc,
    penalty_case_service_pb2,
    penalty_case_service_pb2_grpc,
)
from bihuan.privacy.v1 import privacy_service_pb2, privacy_service_pb2_grpc
from bihuan.rectification.v1 import problem_service_pb2, problem_service_pb2_grpc
from eventstore import EventStore, engine_for, is_unavailable
from eventstore import migrate as migrate_schemas
from eventstore.envelope import MasterKeyFile, MasterKeyMissing
from rpc.errors import StatusError, failed_precondition, unavailable
from rpc.identity import TokenVerifier
from rpc.permissions import ROLES_FILE, Permissions
from rpc.server import Server, Service
from rules import Clock, RuleBook
from services.calendar.service import CalendarService
from services.calendar.shelf import CalendarShelf
from services.events import UnknownEvent
from services.evidence.files import MOST_BYTES, EvidenceFiles
from services.evidence.service import MOST_SECONDS, EvidenceService
from services.feed.service import FeedService
from services.health import watch
from services.inspection.draws.key import DrawKey
from services.inspection.inspections.signing import CodeKeys
from services.inspection.wiring import services as inspection
from services.notification.service import NotificationService
from services.penalty.service import CaseDesk, PaymentService, PenaltyCaseService
from services.privacy.service import PrivacyService
from services.rectification.service import ProblemService
from services.vault import Vault

HERE = Path(__file__).parent
MIGRATIONS = tuple(
    HERE / name / "migrations"
    for name in (
        "calendar",
        "rectification",
        "penalty",
        "inspection",
        "notification",
        "privacy",
    )
)
GRACE_SECONDS = 10.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeOptions:
    """Typed configuration of the services; `clock` is rules.Clock as text, empty for real time.

    Without a `master_key`, a file as of MasterKeyFile, what has personal data in it is UNAVAILABLE; without a
    `draw_key`, another such file, draws are; without a `code_key`, a file as of CodeKeys, inspection codes.
    """

    database_url: str
    address: str
    jwks: str
    issuer: str
    evidence_url: str
    roles_file: Path = ROLES_FILE
    rules_dir: Path | None = None
    clock: str = ""
    master_key: Path | None = None
    draw_key: Path | None = None
    code_key: Path | None = None
    evidence_most_bytes: int = MOST_BYTES
    upload_seconds: float = MOST_SECONDS


async def migrate(database_url: str) -> None:
    """Bring the log's and the views' schemas up to date."""
    await migrate_schemas(database_url, *MIGRATIONS)


async def serve(options: ServeOptions, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then let calls under way finish. `ready` is told the port.

    Raises what keeps the calendars from being followed: deadlines would be counted by old ones.
    """
    await migrate(options.database_url)
    stores = {
        domain: EventStore(engine_for(options.database_url, f"bihuan_{domain}"))
        for domain in (
            "rectification",
            "penalty",
            "inspection",
            "notification",
            "calendar",
            "privacy",
            "reader",
            "writer",
        )
    }
    try:
        shelf = CalendarShelf(stores["calendar"], RuleBook.load(options.rules_dir))
        await shelf.catch_up()
        server = _server(options, stores, shelf)
        ready(await server.start())
        try:
            await _until(stop, shelf.follow(), watch(options.database_url, server.report))
        finally:
            await server.stop(GRACE_SECONDS)
    finally:
        for store in stores.values():
            await store.close()
            await store.engine.dispose()


async def _until(stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, which has no end of its own, until `stop` is set; raises what ended any of it."""
    tasks = [asyncio.create_task(endless) for endless in work]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for each in (stopping, *tasks):
            each.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)


def _server(options: ServeOptions, stores: dict[str, EventStore], shelf: CalendarShelf) -> Server:
    if options.master_key is None:
        log.warning("there is no master key: what has personal data in it is UNAVAILABLE")
    if options.code_key is None:
        log.warning("there is no key that signs inspection codes: they are UNAVAILABLE")
    vault = Vault(stores["writer"].engine, MasterKeyFile(options.master_key))
    return Server(
        _services(options, stores, shelf, vault),
        TokenVerifier(options.jwks, options.issuer),
        Permissions.load(options.roles_file),
        address=options.address,
        translate=_translate,
        open_personal=vault.opened,
    )


def _services(
    options: ServeOptions, stores: dict[str, EventStore], shelf: CalendarShelf, vault: Vault
) -> list[Service]:
    clock = Clock.parse(options.clock)
    files = EvidenceFiles(options.evidence_url, options.evidence_most_bytes)
    desk = CaseDesk(stores["penalty"], shelf, files, clock, vault)
    return [
        Service(
            ProblemService(stores["rectification"], shelf, files, clock, vault),
            problem_service_pb2_grpc.add_ProblemServiceServicer_to_server,
            problem_service_pb2.DESCRIPTOR.services_by_name["ProblemService"],
        ),
        Service(
            PenaltyCaseService(desk),
            penalty_case_service_pb2_grpc.add_PenaltyCaseServiceServicer_to_server,
            penalty_case_service_pb2.DESCRIPTOR.services_by_name["PenaltyCaseService"],
        ),
        Service(
            PaymentService(desk),
            payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
            payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"],
        ),
        *inspection(
            stores["inspection"],
            shelf,
            files,
            clock,
            DrawKey(options.draw_key),
            CodeKeys(options.code_key),
        ),
        Service(
            NotificationService(stores["notification"], clock),
            notice_pb2_grpc.add_NotificationServiceServicer_to_server,
            notice_pb2.DESCRIPTOR.services_by_name["NotificationService"],
        ),
        Service(
            CalendarService(stores["calendar"], shelf, clock),
            calendar_service_pb2_grpc.add_CalendarServiceServicer_to_server,
            calendar_service_pb2.DESCRIPTOR.services_by_name["CalendarService"],
        ),
        Service(
            PrivacyService(stores["privacy"], clock),
            privacy_service_pb2_grpc.add_PrivacyServiceServicer_to_server,
            privacy_service_pb2.DESCRIPTOR.services_by_name["PrivacyService"],
        ),
        Service(
            EvidenceService(files, options.upload_seconds),
            evidence_service_pb2_grpc.add_EvidenceServiceServicer_to_server,
            evidence_service_pb2.DESCRIPTOR.services_by_name["EvidenceService"],
        ),
        Service(
            FeedService(stores["reader"]),
            feed_service_pb2_grpc.add_FeedServiceServicer_to_server,
            feed_service_pb2.DESCRIPTOR.services_by_name["FeedService"],
        ),
    ]


def _translate(error: Exception) -> StatusError | None:
    if is_unavailable(error):
        return unavailable("DATABASE_UNAVAILABLE", "the event store is away for now; try again")
    if isinstance(error, UnknownEvent):
        # Not UNIMPLEMENTED: the method is there, and this is mended by a newer build, not by the caller.
        return failed_precondition(
            "UNKNOWN_EVENT",
            str(error),
            type=error.type,
            stream=error.stream,
            version=str(error.version),
        )
    if isinstance(error, MasterKeyMissing):
        text = "personal data can be neither sealed nor opened: the master key is not to be had"
        return unavailable("MASTER_KEY_UNAVAILABLE", text)
    return None
