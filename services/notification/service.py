"""NotificationService: translates RPCs to commands and queries on notices."""

from typing import Any, TypeAlias, get_args
from urllib.parse import unquote

from uuid_utils.compat import uuid7

from bihuan.notification.v1 import notice_pb2 as pb
from bihuan.notification.v1 import notice_pb2_grpc
from eventstore import EventStore
from rpc.errors import not_found, permission_denied
from rpc.identity import current_identity
from rules import Clock
from services import paging
from services.aggregate import Aggregate, Commands
from services.notification import model, views

Context: TypeAlias = Any

NOTICE = Aggregate(
    category="notification.notice",
    blank=lambda name: pb.Notice(name=name),
    evolve=model.evolve,
    events=get_args(model.Event),
    project=views.project,
)


class NotificationService(notice_pb2_grpc.NotificationServiceServicer):
    """Callers see their own inboxes only: their enterprise's, their own, their department's, their desks'."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._engine = store.engine
        self._commands = Commands(store, NOTICE)
        self._clock = clock

    async def SendNotice(self, request: pb.SendNoticeRequest, context: Context) -> pb.Notice:
        return await self._commands.create(
            f"notices/{uuid7()}",
            request,
            lambda notice: model.decide(
                notice, request, current_identity().subject, self._clock.now()
            ),
        )

    async def GetNotice(self, request: pb.GetNoticeRequest, context: Context) -> pb.Notice:
        async with self._engine.connect() as conn:
            notice = await views.get(conn, request.name)
        if notice is None or not _owns(notice.recipient):
            raise not_found("bihuan.dev/Notice", request.name)
        return notice

    async def ListNotices(
        self, request: pb.ListNoticesRequest, context: Context
    ) -> pb.ListNoticesResponse:
        if not _owns(request.recipient):
            raise permission_denied(
                "OTHER_INBOX", "this inbox is not the caller's", recipient=request.recipient
            )
        async with self._engine.connect() as conn:
            notices, more = await views.page(conn, request)
        token = paging.token(request, views.key(notices[-1])) if more else ""
        return pb.ListNoticesResponse(notices=notices, next_page_token=token)

    async def ReadNotice(self, request: pb.ReadNoticeRequest, context: Context) -> pb.Notice:
        return await self._execute(request)

    async def AcknowledgeNotice(
        self, request: pb.AcknowledgeNoticeRequest, context: Context
    ) -> pb.Notice:
        return await self._execute(request)

    async def _execute(
        self, command: pb.ReadNoticeRequest | pb.AcknowledgeNoticeRequest
    ) -> pb.Notice:
        def decide(notice: pb.Notice) -> list[model.Event]:
            if not _owns(notice.recipient):
                raise not_found("bihuan.dev/Notice", notice.name)
            return model.decide(notice, command, current_identity().subject, self._clock.now())

        return await self._commands.execute(command.name, command, decide)


def _owns(recipient: str) -> bool:
    identity = current_identity()
    kind, _, whose = recipient.partition("/")
    match kind:
        case "enterprises":
            return identity.enterprise == whose
        case "officers":
            return identity.subject == unquote(whose)
        case "departments":
            # An enterprise's people are nobody's officers, whatever else their token says.
            return identity.agency == whose and not identity.enterprise
        case _:
            return whose in identity.roles
