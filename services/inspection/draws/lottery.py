"""The draw itself, byte by byte as docs/draw.md says it, so that anybody can make it again. Pure."""

import hashlib
from collections.abc import Iterable, Sequence

from bihuan.inspection.v1 import draw_pb2 as pb
from rules import as_date


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4)."""
    return hashlib.sha256(data).digest()


def inputs_digest(draw: pb.Draw) -> bytes:
    """What binds everything that is drawn from: SHA-256 of lines of text."""
    first, last = as_date(draw.from_date), as_date(draw.to_date)
    lines = ["bihuan draw v1", draw.name, draw.department, draw.title, f"{first}/{last}"]
    lines += [f"inspectors_each {draw.inspectors_each}"]
    lines += [f"quota {each.stratum} {each.count}" for each in draw.quotas]
    lines += [f"candidate {each.enterprise} {each.stratum}" for each in draw.candidates]
    for each in draw.inspectors:
        lines.append(f"inspector {each.inspector} {each.capacity} {','.join(each.recused)}")
    return sha256("".join(f"{line}\n" for line in lines).encode())


def seed(secret: bytes, inputs: bytes, contributions: Iterable[pb.Contribution]) -> bytes:
    """What decides: SHA-256 of the secret, the digest of the inputs and what witnesses added."""
    parts = [secret, inputs]
    for each in contributions:
        for text in (each.witness.encode(), each.text.encode()):
            parts += [len(text).to_bytes(4, "big"), text]
    return sha256(b"".join(parts))


def lots(draw: pb.Draw, seed: bytes) -> list[pb.Lot]:
    """Whom to inspect, pool by pool, and by whom, in the order in which they are drawn."""
    drawn: list[str] = []
    for quota in draw.quotas:
        pool = [each.enterprise for each in draw.candidates if each.stratum == quota.stratum]
        drawn += sorted(pool, key=lambda uscc: sha256(seed + b"\0" + uscc.encode()))[: quota.count]
    left = {each.inspector: each.capacity or len(drawn) for each in draw.inspectors}
    return [_lot(draw, seed, uscc, left) for uscc in drawn]


def _lot(draw: pb.Draw, seed: bytes, uscc: str, left: dict[str, int]) -> pb.Lot:
    free = [i.inspector for i in draw.inspectors if left[i.inspector] and uscc not in i.recused]
    by = seed + b"\1" + uscc.encode() + b"\0"
    who: Sequence[str] = sorted(free, key=lambda name: sha256(by + name.encode()))
    who = who[: draw.inspectors_each]
    for name in who:
        left[name] -= 1
    return pb.Lot(enterprise=uscc, inspectors=who, missing=draw.inspectors_each - len(who))
