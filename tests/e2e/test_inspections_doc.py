"""docs/inspections.md leads from an empty database to a report and its papers, as it is written there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from ops.settings import Settings, variables
from ops.supervisor import Stack
from tests.e2e.conftest import own_ports

DOC = (Path(__file__).parents[2] / "docs" / "inspections.md").read_text("utf-8")
# What it shows, but for the environment that is active here already.
BLOCKS = re.findall(r"```sh\n(.*?)```", DOC, re.DOTALL)
SCRIPT = "\n".join(BLOCKS).replace(". .venv/bin/activate\n", "")
# What the doc takes up: all but the page, whose address it only prints, and the sealer.
PARTS = ("postgres", "temporal", "service", "relay", "worker")
# In the order in which a reader sees them.
SEEN = (
    "departments/11321000MB1234567H",
    '"fire.exits"',
    "PLAN_STATE_PUBLISHED",
    '"jointCount": 1',
    "ANSWER_ACCEPTED",
    "自行监测（",
    "STATE_APPROVED",
    "/c/",
    "STATE_UNDER_WAY",
    "STATE_RECORDED",
    "检查结果告知",
    "依据：生态环境法典",
    '"handedOverTo": "problems/',
    '"inspectionCount": "1"',
    "现场检查笔录",
)


async def test_what_the_doc_shows_leads_from_the_register_to_the_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _, variable in variables():
        monkeypatch.delenv(variable, raising=False)
    async with Stack(Settings(**own_ports()), home=tmp_path / "home", parts=PARTS) as stack:
        program = await asyncio.create_subprocess_exec(
            "bash",
            "-s",
            cwd=tmp_path,
            env=os.environ
            | {
                "BIHUAN_HOME": str(stack.home),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        script = SCRIPT.replace("127.0.0.1:50051", stack.grpc_address)
        told, _ = await asyncio.wait_for(
            program.communicate(f"set -eo pipefail\n{script}".encode()), 120
        )
    out = told.decode()
    assert program.returncode == 0, out[-3000:]
    at = 0
    for each in SEEN:
        assert each in out[at:], f"{each} in {out[at:][:3000]}"
        at = out.index(each, at) + len(each)
