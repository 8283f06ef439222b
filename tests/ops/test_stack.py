"""A stack of real servers keeps its data whatever is killed, and stops without a trace."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from ops.home import AlreadyUp, addresses
from ops.ports import PortTaken
from ops.settings import Settings
from ops.supervisor import EMBEDDED, Stack
from tests.ops.conftest import LeftRunning

STAGES = {"Stage": "Keyword", "Due": "Datetime"}


def embedded(home: Path, said: list[str] | None = None) -> Stack:
    lines = [] if said is None else said
    return Stack(Settings(), home=home, parts=EMBEDDED, search_attributes=STAGES, say=lines.append)


async def notes(stack: Stack) -> list[str]:
    """What was noted in the database; a new connection each time, as PostgreSQL gets killed."""
    connection = await asyncpg.connect(stack.database_url)
    rows = await connection.fetch("SELECT text FROM note ORDER BY text")
    await connection.close()
    return [row["text"] for row in rows]


async def note(stack: Stack, text: str) -> None:
    connection = await asyncpg.connect(stack.database_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
    await connection.execute("INSERT INTO note VALUES ($1)", text)
    await connection.close()


async def loop(stack: Stack) -> WorkflowExecutionStatus | None:
    client = await Client.connect(stack.temporal_address)
    return (await client.get_workflow_handle("loop/1").describe()).status


async def test_killed_servers_come_back_with_their_data(
    home: Path, left_running: LeftRunning
) -> None:
    said: list[str] = []
    async with embedded(home, said) as stack:
        await note(stack, "before")
        client = await Client.connect(stack.temporal_address)
        await client.start_workflow("Loop", id="loop/1", task_queue="nobody")
        for name in EMBEDDED:
            first = stack.part(name).pid
            await stack.kill(name)
            await stack.wait_ready(name)
            assert stack.part(name).pid != first
        await note(stack, "between")
        assert await notes(stack) == ["before", "between"]
        assert await loop(stack) == WorkflowExecutionStatus.RUNNING
        assert mode(home) & 0o007 == 0, "the home is its owner's"
        kept = addresses(home)
        assert kept is not None
        assert kept.ui_url == stack.ui_url
    assert not left_running()
    assert addresses(home) is None
    async with embedded(home) as stack:
        assert await notes(stack) == ["before", "between"]
        assert await loop(stack) == WorkflowExecutionStatus.RUNNING


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


KILLED = """
import asyncio, pathlib, sys
from ops.settings import Settings
from ops.supervisor import Stack

async def main():
    async with Stack(Settings(), home=pathlib.Path(sys.argv[1]), parts=("postgres",)) as stack:
        print(stack.part("postgres").pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_after_a_killed_supervisor_the_next_one_starts(home: Path) -> None:
    postmaster = start_and_kill(home)
    assert addresses(home) is None
    async with Stack(Settings(), home=home, parts=("postgres",)) as stack:
        assert stack.part("postgres").pid != postmaster
        await note(stack, "here")


def start_and_kill(home: Path) -> int:
    """Kill a supervisor that has PostgreSQL up, and return that one's pid."""
    command = [sys.executable, "-c", KILLED, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        postmaster = int(process.stdout.readline())
        process.kill()
    return postmaster


async def test_one_stack_a_home(home: Path) -> None:
    async with Stack(Settings(), home=home, parts=()):
        with pytest.raises(AlreadyUp, match=f"already up in {home} .process {os.getpid()}"):
            async with Stack(Settings(), home=home, parts=()):
                pass
    async with Stack(Settings(), home=home, parts=()):
        pass


async def test_a_long_path_gets_its_socket_in_a_short_one(home: Path) -> None:
    home = home / ("深" * 40)
    async with Stack(Settings(), home=home, parts=("postgres",)) as stack:
        await note(stack, "here")
        sockets = Path(stack.database_url.partition("host=")[2])
        assert len(str(sockets)) < 80
        assert mode(sockets) == 0o700
    os.rmdir(sockets)


async def test_a_port_chosen_on_purpose_stops_the_start_if_taken(
    home: Path, left_running: LeftRunning
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(BIHUAN_UI_PORT=port)
        with pytest.raises(PortTaken, match="BIHUAN_UI_PORT"):
            async with Stack(settings, home=home, parts=EMBEDDED, search_attributes=STAGES):
                pass
    assert not left_running()


def test_up_starts_all_and_stops_all(home: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "ops", "up"],
        env=os.environ | {"BIHUAN_HOME": str(home), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert up.stdout is not None
    said = []
    for line in up.stdout:
        said.append(line)
        if "all is up" in line:
            break
    else:
        pytest.fail("".join(said))
    children = psutil.Process(up.pid).children(recursive=True)
    up.terminate()
    assert up.wait(30) == 0, up.stdout.read()
    up.stdout.close()
    ready = {line.split()[0] for line in said if " is ready at " in line}
    assert ready == {"postgres", "temporal", "service", "worker", "relay", "sealer", "page"}
    assert any("/namespaces/default/workflows?query=Overdue=true" in line for line in said)
    assert len(children) >= 6
    assert not [child for child in children if child.is_running()]
