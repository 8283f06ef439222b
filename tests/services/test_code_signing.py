"""Codes that nobody can make up: no double among many, and no changed character passes."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from bihuan.inspection.v1 import inspection_pb2 as pb
from rpc.errors import StatusError
from services.inspection.inspections.signing import (
    ALPHABET,
    LENGTH,
    CodeKeys,
    as_text,
    code_id,
    from_text,
    genuine,
    key_id,
)
from tests.services import inspections as req

DOCS = Path(__file__).parents[2] / "docs" / "inspection-code.md"


def issued() -> pb.Code:
    case = req.Case()
    case.do(*req.READY)
    return case.inspection.codes[0]


CODE, KEYS = issued(), req.keys().trusted()


def test_a_hundred_thousand_codes_without_a_double() -> None:
    moment = 1_788_000_000_000  # all in one millisecond: by chance alone they differ
    codes = {code_id(moment) for _ in range(100_000)}
    assert len(codes) == 100_000
    assert len({code[:10] for code in codes}) == 1
    assert {len(code) for code in codes} == {LENGTH}
    assert set("".join(codes)) == set(ALPHABET)


def test_codes_say_when_they_were_made_in_order() -> None:
    first, second = code_id(1_788_000_000_000), code_id(1_788_000_000_001)
    assert first[:10] < second[:10]
    number = 0
    for character in first[:10]:
        number = number * 32 + ALPHABET.index(character)
    assert number == 1_788_000_000_000
    now = datetime.now(UTC).timestamp() * 1000
    assert code_id()[:7] == code_id(int(now))[:7]


def test_what_was_signed_is_genuine() -> None:
    assert genuine(CODE, KEYS)


@pytest.mark.parametrize("field", ["id", "signature", "key", "statement"])
def test_any_changed_character_is_refused(field: str) -> None:
    text = getattr(CODE, field)
    for place, character in enumerate(text):
        for other in {"A", "0", "z", "\n", " ", chr(ord(character) ^ 1)} - {character}:
            changed = text[:place] + other + text[place + 1 :]
            assert not genuine(_with(field, changed), KEYS), (place, other)


@given(st.sampled_from(["id", "signature", "key", "statement"]), st.data())
def test_anything_added_left_out_or_swapped_is_refused(field: str, data: st.DataObject) -> None:
    text = getattr(CODE, field)
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    changed = text[:first] + data.draw(st.text(max_size=3)) + text[last:]
    assert genuine(_with(field, changed), KEYS) == (changed == text)


def test_the_last_character_of_a_signature_has_one_form() -> None:
    """It holds two bits of 64 bytes: sixteen characters would decode alike."""
    alike = [
        CODE.signature[:-1] + each
        for each in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    ]
    assert [each for each in alike if genuine(_with("signature", each), KEYS)] == [CODE.signature]
    assert as_text(from_text(CODE.signature)) == CODE.signature


def test_a_statement_is_of_its_own_code_and_its_own_days() -> None:
    other = issued()
    mixed = pb.Code()
    mixed.CopyFrom(CODE)
    mixed.statement, mixed.signature = other.statement, other.signature
    assert genuine(other, KEYS)
    assert not genuine(mixed, KEYS)
    for field in ("from_time", "to_time"):
        moved = pb.Code()
        moved.CopyFrom(CODE)
        getattr(moved, field).seconds += 86400
        assert not genuine(moved, KEYS)


def test_another_key_s_signature_is_none_even_under_our_key_s_id(tmp_path: Path) -> None:
    theirs = CodeKeys.create(tmp_path / "theirs.pem")
    rest = CODE.statement.split("\n", 2)[2].removesuffix("\n")
    forged = theirs.mint(rest)
    forged.from_time.CopyFrom(CODE.from_time)
    forged.to_time.CopyFrom(CODE.to_time)
    assert genuine(forged, theirs.trusted())
    assert not genuine(forged, KEYS)
    [ours] = KEYS
    forged.key = ours
    assert not genuine(forged, KEYS)
    assert not genuine(CODE, {})


def test_a_new_key_signs_and_the_old_one_s_codes_stay_genuine(tmp_path: Path) -> None:
    keys = CodeKeys.create(tmp_path / "code.pem")
    rest = CODE.statement.split("\n", 2)[2].removesuffix("\n")
    old = keys.mint(rest)
    keys.rotate()
    new = keys.mint(rest)
    assert old.key != new.key
    assert list(keys.trusted()) == [new.key, old.key]
    for each in (old, new):
        each.from_time.CopyFrom(CODE.from_time)
        each.to_time.CopyFrom(CODE.to_time)
        assert genuine(each, keys.trusted())
    keys.rotate()
    assert list(keys.trusted())[1:] == [old.key, new.key]
    assert os.stat(tmp_path / "code.pem").st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        CodeKeys.create(tmp_path / "code.pem")


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nxx\n"])
def test_without_a_key_that_can_be_used_nothing_is_signed(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "code.pem"
    if content is not None:
        path.write_bytes(content)
    for keys in (CodeKeys(path), CodeKeys(None)):
        with pytest.raises(StatusError) as refusal:
            keys.mint("x")
        assert refusal.value.code == code_pb2.UNAVAILABLE
        assert refusal.value.reason == "CODE_KEY_UNAVAILABLE"
        assert str(path) not in refusal.value.message


def test_a_certificate_cannot_add_a_line_to_the_statement() -> None:
    case = req.Case()
    case.do(*req.APPROVED)
    named = case.inspection.participants[0].inspectors[0].inspector
    case.known.inspectors[named].certificates[0].number = "苏1\ndepartments/x\n- 苏2"
    case.do(req.code)
    lines = case.inspection.codes[0].statement.splitlines()
    assert lines[6:] == [req.ECOLOGY, "- 江苏省人民政府 苏1 departments/x - 苏2", lines[8]]


def test_whoever_reads_the_documentation_can_check_a_code(tmp_path: Path) -> None:
    """The lines of Python in the documentation, run as they stand."""
    program = DOCS.read_text("utf-8").split("```python\n")[1].split("```")[0]
    assert len([line for line in program.splitlines() if line]) <= 10
    script = tmp_path / "check.py"
    script.write_text(program, "utf-8")
    [public] = KEYS.values()
    assert key_id(public) == CODE.key
    statement = tmp_path / "statement.txt"

    def check(text: str, signature: str) -> str:
        statement.write_bytes(text.encode())
        command = [sys.executable, str(script), public.hex(), signature, str(statement)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    assert check(CODE.statement, CODE.signature) == f"genuine {CODE.id}"
    assert check(CODE.statement.replace(req.FIRM, req.uscc(5)), CODE.signature) == "forged"
    Ed25519PublicKey.from_public_bytes(public)


def _with(field: str, text: str) -> pb.Code:
    changed = pb.Code()
    changed.CopyFrom(CODE)
    setattr(changed, field, text)
    return changed
