"""Signed notes: whoever has a key's text can tell what its owner signed, and nothing else passes."""

import stat
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import assume, given
from hypothesis import strategies as st

from eventstore.note import (
    MAX_SIGNATURES,
    NoteInvalid,
    SigningKey,
    VerifierKey,
    sign,
    split,
    verify,
)

# The example of C2SP signed-note, and those in the documentation of Go's package sumdb/note.
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
    "RKuwHjG1Yu72IneyaQM=\n"
)
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR"
    "Zb6KE6RyyBwJnAM=\n"
)
GO_OTHER_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
GO_OTHER_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)
KEY = SigningKey("bureau.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey("court.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
NOTE = sign("one\n\ntwo\n", KEY, OTHER)
LINE = sign("one\n", KEY).split("\n\n")[1]


def test_the_published_examples_verify() -> None:
    assert verify(C2SP_NOTE, [VerifierKey.parse(C2SP_KEY)]) == "This is an example message.\n"
    assert verify(GO_NOTE, [VerifierKey.parse(GO_KEY)]) == GO_TEXT
    for key in (GO_KEY, GO_OTHER_KEY):
        assert verify(GO_NOTE + GO_OTHER_LINE, [VerifierKey.parse(key)]) == GO_TEXT


def test_the_published_key_signs_to_the_published_note() -> None:
    private = Ed25519PrivateKey.from_private_bytes(b64decode(GO_PRIVATE)[1:])
    key = SigningKey("PeterNeumann", private)
    assert str(key.verifier) == GO_KEY
    assert sign(GO_TEXT, key) == GO_NOTE


def test_a_text_with_blank_lines_is_signed_whole() -> None:
    assert verify(NOTE, [KEY.verifier]) == "one\n\ntwo\n"
    assert split(NOTE)[0] == "one\n\ntwo\n"


def test_one_known_key_is_enough_and_others_are_ignored() -> None:
    unknown = "— who.example AAAAAAAA\n"
    assert verify(f"one\n\n{unknown}{LINE}{unknown}", [KEY.verifier]) == "one\n"
    with pytest.raises(NoteInvalid, match="no known key"):
        verify(f"one\n\n{unknown}", [KEY.verifier])
    with pytest.raises(NoteInvalid, match="no known key"):
        verify(NOTE, [])


def test_a_false_signature_by_a_known_key_is_refused_beside_a_true_one() -> None:
    false = sign("two\n", OTHER).split("\n\n")[1]
    keys = [KEY.verifier, OTHER.verifier]
    with pytest.raises(NoteInvalid, match=r"by court\.example is false"):
        verify(f"one\n\n{LINE}{false}", keys)


def test_a_key_of_the_same_name_with_another_id_is_another_key() -> None:
    namesake = SigningKey(KEY.name, OTHER.private)
    with pytest.raises(NoteInvalid, match="no known key"):
        verify(sign("one\n", namesake), [KEY.verifier])
    assert verify(sign("one\n", namesake, KEY), [KEY.verifier]) == "one\n"


@pytest.mark.parametrize("character", "\n =+A0")
def test_no_character_can_be_changed_added_or_taken(character: str) -> None:
    note = sign("one\n\ntwo\n", KEY)
    for at in range(len(note) + 1):
        for changed in (
            note[:at] + character + note[at + 1 :],
            note[:at] + character + note[at:],
            note[:at] + note[at + 1 :],
        ):
            if changed != note:
                with pytest.raises(NoteInvalid):
                    verify(changed, [KEY.verifier])


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("", "a note is a text"),
        ("one\n", "a note is a text"),
        ("one\n\n", "a note is a text"),
        (f"one\n{LINE}", "a note is a text"),
        (f"one\n\n{LINE[:-1]}", "a note is a text"),
        (f"one\n\n{LINE}\n", "a note is a text"),
        (f"one\n\n{LINE}— \n", "a note is a text"),
        (f"one\n\n{LINE} \n", "a note is a text"),
        (f"one\n\n{LINE.replace('—', '-')}", "a note is a text"),
        (f"one\n\n{LINE.replace(' ', '  ')}", "a note is a text"),
        (f"one\n\n{LINE.replace('=', ' =')}", "a note is a text"),
        (f"one\r\n\r\n{LINE}", "control characters"),
        (f"one\t\n\n{LINE}", "control characters"),
        (f"one\udc80\n\n{LINE}", "UTF-8"),
        (f"one\n\n{LINE}{LINE}", "twice"),
        (f"one\n\n{LINE}— a+b AAAAAAAA\n", "cannot name"),
        (f"one\n\n{LINE}— a\u3000b AAAAAAAA\n", "cannot name"),
        (f"one\n\n{LINE}— a AAAA\n", "too short"),
        (f"one\n\n{LINE}— a AAAAAAA\n", "not base64"),
        (f"one\n\n{LINE}— a AAAAAAB=\n", "not base64"),
        (f"one\n\n{LINE}— a AAA_AAAA\n", "not base64"),
        (f"one\n\n{LINE}— a AAAAAAAA====\n", "not base64"),
        (f"one\n\n{LINE}— a AAAAAAAé\n", "not base64"),
        (f"one\n\n{LINE}" + "— a AAAAAAAA\n" * MAX_SIGNATURES, "more than 64"),
    ],
)
def test_what_could_be_written_otherwise_is_refused(note: str, why: str) -> None:
    assert verify(f"one\n\n{LINE}", [KEY.verifier]) == "one\n"
    with pytest.raises(NoteInvalid, match=why):
        verify(note, [KEY.verifier])


def test_sixteen_signatures_are_accepted() -> None:
    keys = [SigningKey.generate(f"key{n}") for n in range(16)]
    assert verify(sign("one\n", *keys), [keys[-1].verifier]) == "one\n"


@pytest.mark.parametrize("text", ["", "one", "one\r\n", "\ud800\n"])
def test_what_no_note_can_say_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="a note"):
        sign(text, KEY)


def test_nothing_is_signed_without_a_key() -> None:
    with pytest.raises(ValueError, match="a signature"):
        sign("one\n")


def test_a_verifier_key_comes_back_from_its_text() -> None:
    for text in (C2SP_KEY, GO_KEY, GO_OTHER_KEY, str(KEY.verifier)):
        assert str(VerifierKey.parse(text)) == text
    assert VerifierKey.parse(str(KEY.verifier)) == KEY.verifier


@given(st.integers(0, len(GO_KEY) - 1), st.characters(codec="ascii"))
def test_a_verifier_key_with_a_character_changed_is_refused(at: int, character: str) -> None:
    assume(GO_KEY[at] != character)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part it hits
        VerifierKey.parse(GO_KEY[:at] + character + GO_KEY[at + 1 :])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no Ed25519 key"),
        ("PeterNeumann", "no Ed25519 key"),
        ("PeterNeumann+c74f20a3", "no Ed25519 key"),
        (GO_KEY.replace("c74f20a3", "C74F20A3"), "does not fit"),
        (GO_KEY.replace("c74f20a3", "c74f20a4"), "does not fit"),
        (GO_KEY + "\n", "not canonical"),
        (GO_KEY + "=", "not canonical"),
        # A key for cosignatures.
        ("a+00000000+" + b64encode(b"\x04" + bytes(32)).decode(), "no Ed25519 key"),
    ],
)
def test_what_is_no_ed25519_verifier_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        VerifierKey.parse(text)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        VerifierKey("a", bytes(31))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\x00b"])
def test_a_name_that_would_break_the_form_names_no_key(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a key"):
        VerifierKey(name, KEY.verifier.public)


class TestKeyFile:
    def test_a_key_comes_back_from_its_file(self, tmp_path: Path) -> None:
        key = SigningKey.generate("局.example/log")
        key.write(tmp_path / "log.key")
        read = SigningKey.read(tmp_path / "log.key")
        assert read.verifier == key.verifier
        assert verify(sign("one\n", read), [key.verifier]) == "one\n"

    def test_only_its_owner_may_read_it_and_everybody_its_public_half(self, tmp_path: Path) -> None:
        KEY.write(tmp_path / "log.key")
        assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600
        assert (tmp_path / "log.key").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
        assert (tmp_path / "log.key.pub").read_text() == f"{KEY.verifier}\n"

    @pytest.mark.parametrize("name", ["log.key", "log.key.pub"])
    def test_a_key_is_never_overwritten(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("precious")
        with pytest.raises(FileExistsError):
            KEY.write(tmp_path / "log.key")
        assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]

    def test_a_key_without_a_proper_name_is_not_written(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="cannot name a key"):
            SigningKey("two words", KEY.private).write(tmp_path / "log.key")
        assert list(tmp_path.iterdir()) == []

    def test_halves_of_two_keys_are_refused(self, tmp_path: Path) -> None:
        KEY.write(tmp_path / "log.key")
        (tmp_path / "log.key.pub").write_text(f"{OTHER.verifier}\n")
        with pytest.raises(ValueError, match="not of one key"):
            SigningKey.read(tmp_path / "log.key")

    def test_a_key_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        KEY.write(tmp_path / "log.key")
        pem = generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        (tmp_path / "log.key").write_bytes(pem)
        with pytest.raises(ValueError, match="no Ed25519 key"):
            SigningKey.read(tmp_path / "log.key")

    def test_the_private_half_is_never_shown(self) -> None:
        assert "private" not in repr(KEY)
