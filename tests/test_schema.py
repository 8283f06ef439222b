"""What was released of the schema stays: `make lint` refuses what would break readers of old events."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).parents[1]
RELEASED = ROOT / "proto" / "released.binpb"
EVENTS = "bihuan/rectification/v1/events.proto"
Change = Callable[[FileDescriptorProto], object]


def guard(image: Path) -> subprocess.CompletedProcess[str]:
    """The comparison of the Makefile, of another image."""
    [line] = re.findall(r"^UNBROKEN = \$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), re.M)
    program, *arguments = line.replace("gen/bihuan.binpb", str(image)).split()
    command = [str(Path(sys.executable).parent / program), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def message(file: FileDescriptorProto, name: str) -> DescriptorProto:
    return next(each for each in file.message_type if each.name == name)


def renumber(file: FileDescriptorProto) -> None:
    message(file, "ProblemClosed").field[0].number = 99


def retype(file: FileDescriptorProto) -> None:
    message(file, "ProblemReopened").field[0].type = FieldDescriptorProto.TYPE_BOOL


def rename(file: FileDescriptorProto) -> None:
    message(file, "ProblemReported").field[1].name = "headline"


def add(file: FileDescriptorProto) -> None:
    new = message(file, "ProblemClosed").field.add(name="added_since", number=99)
    new.type, new.label, new.json_name = new.TYPE_STRING, new.LABEL_OPTIONAL, "addedSince"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda file: message(file, "ProblemClosed").field.pop(0), 'field "1" with name'),
        (renumber, 'field "1" with name'),
        (
            rename,
            'changed name from "title" to "headline"',
        ),
        (retype, "changed type"),
        (lambda file: file.message_type.remove(message(file, "DeadlineMissed")), "DeadlineMissed"),
        (add, ""),
        (lambda file: file.message_type.add(name="ProblemForwarded"), ""),
    ],
    ids=["remove", "renumber", "rename", "retype", "remove an event", "add", "add an event"],
)
def test_a_change_that_breaks_what_was_released_is_refused(
    tmp_path: Path, change: Change, complaint: str
) -> None:
    image = FileDescriptorSet.FromString(RELEASED.read_bytes())
    change(next(file for file in image.file if file.name == EVENTS))
    changed = tmp_path / "changed.binpb"
    changed.write_bytes(image.SerializeToString())
    found = guard(changed)
    assert bool(found.returncode) is bool(complaint), found.stdout + found.stderr
    if complaint:
        assert re.search(complaint, found.stdout), found.stdout


def test_the_schema_of_now_breaks_nothing_released() -> None:
    found = guard(ROOT / "gen" / "bihuan.binpb")
    assert not found.returncode, found.stdout + found.stderr
    assert "$(UNBROKEN)" in (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
