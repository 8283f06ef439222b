"""Checkpoints: what the log publishes about itself has one form, and only the log's key makes it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from eventstore import note
from eventstore.checkpoint import Checkpoint, parse, sign, verify
from eventstore.merkle import EMPTY_ROOT
from eventstore.note import NoteInvalid, SigningKey, VerifierKey

# Published by the checksum database of Go's modules on 2024-09-23, and the key it publishes.
GO_KEY = VerifierKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
GO_CHECKPOINT = (
    "go.sum database tree\n"
    "30055305\n"
    "mXfgRcJ0bG0j3CPdKwgGWtUzBUbX67saZGRmFuJGGsM=\n"
    "\n"
    "— sum.golang.org Az3grpgEild5qw7+5dtV13Kf1C2Xurm8q4fhdxvcsDHnqNTaxL2AFjBY+2TyGKevucFcAAlWFJJY"
    "le3EJlDCrQ+y3A8=\n"
)
ORIGIN = "bureau.example/log"
KEY = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_a_checkpoint_published_by_another_log_verifies() -> None:
    found = verify(GO_CHECKPOINT, "go.sum database tree", [GO_KEY])
    assert (found.origin, found.size) == ("go.sum database tree", 30055305)
    assert found.root.hex() == "9977e045c2746c6d23dc23dd2b08065ad5330546d7ebbb1a64646616e2461ac3"
    assert str(found) == GO_CHECKPOINT.partition("\n\n")[0] + "\n"


def test_its_text_is_origin_size_and_root() -> None:
    assert str(Checkpoint(ORIGIN, 0, EMPTY_ROOT)) == f"{ORIGIN}\n0\n{ROOT}\n"


@given(st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_signed_verifies_and_says_the_same(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert verify(sign(checkpoint, KEY), ORIGIN, [KEY.verifier]) == checkpoint
    assert parse(sign(checkpoint, KEY)) == checkpoint


@given(st.integers(0, 2**63), st.integers(0, 255))
def test_a_key_vouches_for_one_size_and_one_root_alone(size: int, bit: int) -> None:
    signed = sign(Checkpoint(ORIGIN, 7, EMPTY_ROOT), KEY)
    root = bytes(b ^ (1 << bit % 8 if n == bit // 8 else 0) for n, b in enumerate(EMPTY_ROOT))
    changes = [signed.replace(ROOT, note.to_base64(root))]
    if size != 7:
        changes.append(signed.replace("\n7\n", f"\n{size}\n"))
    for changed in changes:
        with pytest.raises(NoteInvalid, match="is false"):
            verify(changed, ORIGIN, [KEY.verifier])


def test_another_logs_checkpoint_is_refused_even_if_signed_with_the_key() -> None:
    signed = sign(Checkpoint("bureau.example/other", 7, EMPTY_ROOT), KEY)
    with pytest.raises(NoteInvalid, match=r"of log bureau\.example/other, not"):
        verify(signed, ORIGIN, [KEY.verifier])


def test_after_a_change_of_keys_either_key_verifies() -> None:
    new = SigningKey.generate(ORIGIN)
    signed = sign(Checkpoint(ORIGIN, 7, EMPTY_ROOT), KEY, new)
    for keys in ([KEY.verifier], [new.verifier], [KEY.verifier, new.verifier]):
        assert verify(signed, ORIGIN, keys).size == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{ORIGIN}\n7\n", "on a line"),
        (f"\n7\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n\n7\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n07\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n00\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n+7\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n-7\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n 7\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n7 \n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n7_0\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n７\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n{10**18}\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n\n{ROOT}\n", "on a line"),
        (f"{ORIGIN}\n7\n{ROOT} \n", "on a line"),
        (f"{ORIGIN}\n7\n{ROOT}\n\n", "on a line"),
        (f"{ORIGIN}\n7\n{ROOT}\nan extension\n", "on a line"),
        (f"{ORIGIN}\n7\n{ROOT[:-1]}\n", "on a line"),
        # The last letter's two spare bits, the alphabet for addresses, and 33 and 31 bytes.
        (f"{ORIGIN}\n7\n{ROOT.replace('FU=', 'FV=')}\n", "not base64"),
        (f"{ORIGIN}\n7\n{ROOT.replace('+', '-')}\n", "not base64"),
        (f"{ORIGIN}\n7\n{ROOT.replace('=', 'A')}\n", "33 bytes"),
        (f"{ORIGIN}\n7\n{ROOT.replace('FU=', 'A==')}\n", "31 bytes"),
    ],
)
def test_a_form_that_is_not_canonical_is_refused_though_it_is_signed(text: str, why: str) -> None:
    with pytest.raises(NoteInvalid, match=why):
        verify(note.sign(text, KEY), ORIGIN, [KEY.verifier])


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 7, EMPTY_ROOT),
        Checkpoint("two\nlines", 7, EMPTY_ROOT),
        Checkpoint(ORIGIN, -1, EMPTY_ROOT),
        Checkpoint(ORIGIN, 10**18, EMPTY_ROOT),
        Checkpoint(ORIGIN, 7, EMPTY_ROOT[:31]),
    ],
)
def test_what_could_not_be_verified_is_not_signed(checkpoint: Checkpoint) -> None:
    with pytest.raises(NoteInvalid):
        sign(checkpoint, KEY)
