"""What has happened to a draw, folded from its events. Pure."""

from typing import TypeAlias

from bihuan.inspection.v1 import draw_events_pb2 as ev
from bihuan.inspection.v1 import draw_pb2 as pb

Event: TypeAlias = (
    ev.DrawCommitted
    | ev.DrawInputsListed
    | ev.ContributionMade
    | ev.DrawMade
    | ev.LotsDrawn
    | ev.DrawVoided
)


def evolve(draw: pb.Draw, event: Event) -> pb.Draw:
    """The draw after `event`. Never fails; `draw` itself is left as it was."""
    after = pb.Draw()
    after.CopyFrom(draw)
    occurrence = event.occurrence
    after.state = occurrence.state
    after.update_time.CopyFrom(occurrence.occur_time)
    match event:
        case ev.DrawCommitted():
            _commit(after, event)
        case ev.DrawInputsListed():
            after.candidates.extend(event.candidates)
            after.inspectors.extend(event.inspectors)
            after.candidate_count = len(after.candidates)
        case ev.ContributionMade():
            after.contributions.append(event.contribution)
        case ev.DrawMade():
            after.secret, after.seed = event.secret, event.seed
            after.draw_time.CopyFrom(occurrence.occur_time)
        case ev.LotsDrawn():
            after.lots.extend(event.lots)
        case ev.DrawVoided():
            after.void_reason = event.reason
    return after


def _commit(after: pb.Draw, event: ev.DrawCommitted) -> None:
    after.name, after.department, after.title = event.name, event.department, event.title
    after.from_date.CopyFrom(event.from_date)
    after.to_date.CopyFrom(event.to_date)
    after.quotas.extend(event.quotas)
    after.inspectors_each = event.inspectors_each
    after.commitment, after.inputs_digest = event.commitment, event.inputs_digest
    after.committer = event.occurrence.actor
    after.commit_time.CopyFrom(event.occurrence.occur_time)
