"""The proof file: with the log's public key alone it shows one event, its position, and no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from eventstore import Metadata, RecordedEvent, canonical, checkpoint
from eventstore.checkpoint import Checkpoint
from eventstore.merkle import leaf_hash
from eventstore.note import SigningKey, from_base64, to_base64
from eventstore.proof import Proof, ProofInvalid, check, parse, write
from eventstore.tiles import Frontier, Tiles, grow

KEY = SigningKey("bureau.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey("bureau.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
EVENTS = [
    RecordedEvent(
        UUID(int=position),
        f"shop.order-{position}",
        1,
        "shop.v1.Placed",
        b"%d" % position,
        *Metadata("王", UUID(int=7)),
        datetime(2026, 1, 2, tzinfo=UTC) + timedelta(microseconds=position),
        position,
    )
    for position in range(1, 301)
]
TREE = Tiles(grow(Frontier(), [leaf_hash(canonical.encode(event)) for event in EVENTS])[0])
SIZES = st.integers(1, len(EVENTS))


def signed(size: int) -> str:
    return checkpoint.sign(Checkpoint(KEY.name, size, TREE.root(size)), KEY)


def proof_of(position: int, size: int) -> str:
    return write(EVENTS[position - 1], TREE.inclusion(position - 1, size), signed(size))


def reason(text: str) -> str:
    with pytest.raises(ProofInvalid) as invalid:
        check(text, KEY.verifier)
    return invalid.value.reason


TEXT = proof_of(6, 11)
LINES = TEXT.split("\n")


def test_the_file_has_the_form_of_tlog_proof() -> None:
    extra = to_base64(canonical.encode(EVENTS[5]))
    path = "".join(f"{to_base64(value)}\n" for value in TREE.inclusion(5, 11))
    form = f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex 5\n{path}\n{signed(11)}"
    assert form == TEXT
    proof = Proof(canonical.encode(EVENTS[5]), 5, tuple(TREE.inclusion(5, 11)), signed(11))
    assert parse(TEXT) == proof


@given(SIZES, SIZES)
def test_every_event_of_a_tree_can_be_proven(position: int, size: int) -> None:
    assume(position <= size)
    assert check(proof_of(position, size), KEY.verifier) == EVENTS[position - 1]


def test_the_only_event_of_a_log_can_be_proven() -> None:
    assert check(proof_of(1, 1), KEY.verifier) == EVENTS[0]


def test_a_checkpoint_that_others_signed_too_proves_as_well() -> None:
    assert check(f"{TEXT}— witness.example AAAAAAAA\n", KEY.verifier) == EVENTS[5]


@pytest.mark.parametrize("character", "\n =+A0")
def test_no_character_can_be_changed_added_or_taken(character: str) -> None:
    for at in range(len(TEXT) + 1):
        for changed in (
            TEXT[:at] + character + TEXT[at + 1 :],
            TEXT[:at] + character + TEXT[at:],
            TEXT[:at] + TEXT[at + 1 :],
        ):
            if changed != TEXT:
                assert reason(changed)


@given(st.data())
def test_no_bit_of_the_event_or_of_a_hash_can_be_changed(data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([1, *range(3, 3 + len(TREE.inclusion(5, 11)))]))
    before, _, encoded = LINES[line].rpartition(" ")
    content = bytearray(from_base64(encoded))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = f"{before} {to_base64(bytes(content))}".lstrip()
    assert reason("\n".join([*LINES[:line], changed, *LINES[line + 1 :]])) in {"EVENT", "INCLUSION"}


@given(st.integers(0, 10**18 - 1))
def test_an_event_cannot_be_shown_at_another_position(index: int) -> None:
    assume(index != 5)
    assert reason(TEXT.replace("\nindex 5\n", f"\nindex {index}\n")) == "INCLUSION"


@given(SIZES)
def test_the_checkpoint_of_another_size_does_not_fit(size: int) -> None:
    assume(size != 11)
    assert reason(TEXT.replace(signed(11), signed(size))) == "INCLUSION"


def test_another_event_does_not_fit() -> None:
    forged = EVENTS[5]._replace(data=b"forged")
    assert reason(write(forged, TREE.inclusion(5, 11), signed(11))) == "INCLUSION"


def test_a_hash_more_or_less_does_not_fit() -> None:
    for line in range(3, 3 + len(TREE.inclusion(5, 11))):
        assert reason("\n".join(LINES[:line] + LINES[line + 1 :])) == "INCLUSION"
        assert reason("\n".join([*LINES[:line], LINES[line], *LINES[line:]])) == "INCLUSION"


def test_leaves_that_are_no_events_prove_nothing() -> None:
    contents, frontier = grow(Frontier(), [leaf_hash(b"no event")])
    head = checkpoint.sign(Checkpoint(KEY.name, 1, frontier.root()), KEY)
    extra = to_base64(b"no event")
    assert reason(f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex 0\n\n{head}") == "EVENT"
    assert Tiles(contents).root(1) == frontier.root()


def test_the_checkpoint_of_a_stranger_or_of_another_log_is_refused() -> None:
    head = Checkpoint(KEY.name, 11, TREE.root(11))
    path = TREE.inclusion(5, 11)
    assert reason(write(EVENTS[5], path, checkpoint.sign(head, OTHER))) == "CHECKPOINT"
    another = replace(head, origin="bureau.example/other")
    assert reason(write(EVENTS[5], path, checkpoint.sign(another, KEY))) == "CHECKPOINT"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("\nextra ", "\n"),
        "\n".join([LINES[0], *LINES[2:]]),
        "\n".join([LINES[0], LINES[2], LINES[1], *LINES[3:]]),
        TEXT.replace("index 5", "index 05"),
        TEXT.replace("index 5", "index -5"),
        TEXT.replace("index 5", "index  5"),
        TEXT.replace("index 5", "index ５"),
        TEXT.replace("index 5", "index 5 "),
        TEXT.replace("index 5", f"index {10**18}"),
        TEXT.replace(LINES[3], LINES[3] + " "),
        TEXT.replace(LINES[3], "*" + LINES[3][1:]),
        TEXT.replace(LINES[1], LINES[1] + "===="),
        TEXT.replace("\n", "\r\n"),
        TEXT.partition("\n\n")[0],
        "\n" + TEXT,
    ],
)
def test_another_form_is_refused(text: str) -> None:
    assert reason(text) == "FORM"


def test_an_event_without_position_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="has no position"):
        write(EVENTS[0]._replace(position=None), [], signed(1))
