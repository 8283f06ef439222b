"""Carries out commands and queries on inspections, for InspectionService and CodeService."""

from dataclasses import replace
from typing import Any, get_args

from uuid_utils.compat import uuid7

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from eventstore import EventStore
from rpc.errors import failed_precondition, invalid_argument, not_found, permission_denied
from rpc.identity import current_identity, require_unscoped
from rules import Clock, UnknownRule
from services import paging
from services.aggregate import ATTEMPTS, Aggregate, Commands
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.inspection.inspections import views
from services.inspection.inspections.acting import require_department
from services.inspection.inspections.decide import decide
from services.inspection.inspections.documents import document
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.inspections.known import LOADS, known
from services.inspection.inspections.proceeding import Known, Proceeding
from services.inspection.inspections.recording import stamp
from services.inspection.inspections.sight import shown
from services.inspection.inspections.signing import CodeKeys
from services.masks import masked

INSPECTION = Aggregate(
    category="inspection.inspection",
    blank=lambda name: pb.Inspection(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
    stamp=stamp,
)


class Moved(Exception):
    """The inspection changed after what its command needs to know was read."""


class InspectionDesk:
    """Carries out commands and queries on inspections. `keys` sign codes."""

    def __init__(
        self,
        store: EventStore,
        shelf: CalendarShelf,
        files: EvidenceFiles,
        clock: Clock,
        keys: CodeKeys,
    ) -> None:
        self.store = store
        self.shelf = shelf
        self.commands = Commands(store, INSPECTION)
        self.clock = clock
        self._files = files
        self.keys = keys

    async def open(self, command: rpc_pb.OpenInspectionRequest) -> pb.Inspection:
        """A new inspection. PERMISSION_DENIED for whoever is held to an enterprise."""
        require_unscoped()
        name = f"inspections/{uuid7()}"
        found = await self.known(pb.Inspection(name=name), command)
        require_department(pb.Inspection(), command)
        district = found.target.district if found.target else ""
        done = await self.commands.create(
            name,
            command,
            lambda inspection: decide(self.proceeding(inspection, found, district), command),
        )
        return shown(done)

    async def execute(self, command: Any, name: str = "") -> pb.Inspection:
        """The inspection `name`, or else the one that the command names, after the command.

        What it needs to know is read again if the inspection changed meanwhile. Raises as
        Commands.execute, NOT_FOUND for an enterprise that does not know of it, PERMISSION_DENIED for a
        department that acts for another.
        """
        name = name or command.name
        if current_identity().enterprise:
            await self.get(name)
        if hasattr(command, "entries"):
            await self._files.require([file for each in command.entries for file in each.evidence])
        for _ in range(ATTEMPTS):
            try:
                return shown(await self._execute(name, command))
            except Moved:
                continue
        return shown(await self._execute(name, command))

    async def _execute(self, name: str, command: Any) -> pb.Inspection:
        found, etag = Known(mint=self.keys.mint), ""
        if type(command) in LOADS:
            before = await self.found(name)
            found, etag = await self.known(before, command), before.etag

        def decided(inspection: pb.Inspection) -> list[Event]:
            if etag not in ("", inspection.etag):
                raise Moved
            require_department(inspection, command)
            return decide(self.proceeding(inspection, found), command)

        return await self.commands.execute(name, command, decided)

    async def known(self, inspection: pb.Inspection, command: Any) -> Known:
        """What the command needs to know of other rooms, and what signs codes."""
        async with self.store.engine.connect() as conn:
            return replace(await known(conn, inspection, command), mint=self.keys.mint)

    def proceeding(
        self, inspection: pb.Inspection, found: Known | None = None, district: str = ""
    ) -> Proceeding:
        """The inspection at this moment, under the law of its place, or of `district`."""
        actor, now = current_identity().subject, self.clock.now()
        place = district or inspection.enterprise.district
        rules = self.shelf.rules.at(place) if place else self.shelf.rules
        return Proceeding(inspection, actor, rules, now, found or Known(mint=self.keys.mint))

    async def get(self, name: str) -> pb.Inspection:
        """The inspection as the caller may see it. NOT_FOUND."""
        return shown(await self.found(name))

    async def document(self, request: rpc_pb.GetDocumentRequest) -> rpc_pb.Document:
        """A paper of the inspection, as the caller may see it. Raises as documents.document; NOT_FOUND;
        PERMISSION_DENIED for an enterprise that asks for the approval form.
        """
        inspection = await self.get(request.name)
        internal = request.kind == rpc_pb.DOCUMENT_KIND_APPROVAL_FORM
        if internal and current_identity().enterprise:
            raise permission_denied(
                "INTERNAL_DOCUMENT", "the approval form stays in the departments"
            )
        rules = self.shelf.rules.at(inspection.enterprise.district)
        try:
            return document(inspection, request, rules)
        except UnknownRule as error:
            raise failed_precondition("NO_RULE_IN_FORCE", str(error)) from error

    async def found(self, name: str) -> pb.Inspection:
        """The inspection as it is. NOT_FOUND."""
        async with self.store.engine.connect() as conn:
            inspection = await views.get(conn, name)
        if inspection is None:
            raise not_found("bihuan.dev/Inspection", name)
        return inspection

    async def of_code(self, code: str) -> pb.Inspection | None:
        """The inspection that a code was issued for, as it is; None for one that never was issued."""
        async with self.store.engine.connect() as conn:
            return await views.of_code(conn, code)

    async def page(self, request: rpc_pb.ListInspectionsRequest) -> rpc_pb.ListInspectionsResponse:
        """A page of inspections."""
        own = _own(request.filter.enterprise)
        async with self.store.engine.connect() as conn:
            found, more = await views.page(conn, request.filter, own, paging.span(request))
        token = paging.token(request, views.key(found[-1])) if more else ""
        seen = masked(pb.Inspection, [shown(each) for each in found], request.read_mask)
        return rpc_pb.ListInspectionsResponse(inspections=seen, next_page_token=token)


def _own(wanted: str) -> str:
    """The enterprise that the caller is of; INVALID_ARGUMENT if it wants another's inspections."""
    own = current_identity().enterprise
    if own and wanted not in ("", own):
        raise invalid_argument(
            "OTHER_ENTERPRISE",
            "an enterprise sees its own inspections only",
            [("filter.enterprise", f"must be {own} or empty")],
        )
    return own
