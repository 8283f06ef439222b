"""What is sealed opens for its key, subject and field, and for nothing else."""

import asyncio
import os
import stat
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.envelope import (
    DataKey,
    MasterKeyFile,
    MasterKeyMissing,
    NotWhole,
    fingerprint,
    key_id,
    seal,
    unseal,
)

KEY = DataKey(uuid4(), os.urandom(32))
# As protobuf has them: no lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=."


@given(TEXTS, TEXTS, TEXTS)
def test_what_is_sealed_opens_again(subject: str, field: str, text: str) -> None:
    token = seal(KEY, subject, field, text)
    assert key_id(token) == KEY.id
    assert unseal(KEY, subject, field, token) == text
    assert seal(KEY, subject, field, text) != token, "a nonce was used twice"


@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS), TEXTS)
def test_a_token_moved_to_another_subject_or_field_does_not_open(
    sealed_for: tuple[str, str], moved_to: tuple[str, str], text: str
) -> None:
    token = seal(KEY, *sealed_for, text)
    if sealed_for == moved_to:
        assert unseal(KEY, *moved_to, token) == text
        return
    with pytest.raises(NotWhole):
        unseal(KEY, *moved_to, token)


@given(TEXTS, st.data())
def test_a_token_of_which_anything_was_changed_does_not_open(
    text: str, data: st.DataObject
) -> None:
    token = seal(KEY, "subject", "field", text)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda letter: letter != token[at]))
    cut = data.draw(st.booleans())
    changed = token[:at] if cut else token[:at] + other + token[at + 1 :]
    with pytest.raises(NotWhole):
        unseal(KEY, "subject", "field", changed)


@pytest.mark.parametrize(
    "key", [DataKey(KEY.id, bytes(32)), DataKey(UUID(int=1), KEY.secret)], ids=["secret", "id"]
)
def test_a_token_does_not_open_by_another_key(key: DataKey) -> None:
    with pytest.raises(NotWhole):
        unseal(key, "subject", "field", seal(KEY, "subject", "field", "text"))


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_marks_are_equal_for_equal_values_of_one_key_only(
    subject: str, field: str, one: str, other: str
) -> None:
    mark = fingerprint(KEY, subject, field, one)
    assert (mark == fingerprint(KEY, subject, field, other)) == (one == other)
    assert mark != fingerprint(DataKey(KEY.id, bytes(32)), subject, field, one)


async def test_the_master_key_s_file_is_for_its_owner_alone_and_never_overwritten(
    tmp_path: Path,
) -> None:
    path = tmp_path / "master.key"
    file = MasterKeyFile.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        MasterKeyFile.create(path)
    wrapped = await file.wrap(KEY.secret)
    assert KEY.secret not in wrapped
    assert await MasterKeyFile(path).unwrap(wrapped) == KEY.secret
    for n in range(len(wrapped)):
        with pytest.raises((NotWhole, MasterKeyMissing)):
            await file.unwrap(wrapped[:n] + bytes([wrapped[n] ^ 1]) + wrapped[n + 1 :])


async def test_a_new_master_key_wraps_at_once_and_the_old_one_unwraps_until_it_is_retired(
    tmp_path: Path,
) -> None:
    path = tmp_path / "master.key"
    MasterKeyFile.create(path)
    elsewhere = MasterKeyFile(path)
    old = await elsewhere.wrap(KEY.secret)
    MasterKeyFile(path).rotate()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    new = await elsewhere.wrap(KEY.secret)
    assert (elsewhere.is_current(old), elsewhere.is_current(new)) == (False, True)
    assert await asyncio.gather(*map(elsewhere.unwrap, (old, new))) == [KEY.secret] * 2
    MasterKeyFile(path).retire()
    assert await elsewhere.unwrap(new) == KEY.secret
    with pytest.raises(MasterKeyMissing, match="does not hold master key"):
        await elsewhere.unwrap(old)


@pytest.mark.parametrize("content", [None, "", "c2hvcnQ=\n", "not base64\n"])
async def test_a_file_without_a_key_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "master.key"
    if content is not None:
        path.write_text(content)
    for file in (MasterKeyFile(path), MasterKeyFile(None)):
        with pytest.raises(MasterKeyMissing):
            await file.wrap(KEY.secret)
