#!/usr/bin/env python3
"""Takes the screenshots of docs/page.md, on a phone's screen: a genuine code, a forged one and the figures.

    python docs/screenshot-page.py [FOLDER]      # FOLDER: docs

Needs what the project itself does not: `apt install chromium fonts-noto-cjk`.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from page.app import PageOptions
from page.server import Options, run
from rules import Clock
from tests.page.counter import GENUINE, SIGNATURE, UNKNOWN, counter

# While the code of the samples is valid.
MORNING = Clock(datetime(2026, 9, 8, 1, 30, tzinfo=UTC), datetime.now(UTC))
SHOTS = {
    "page": (f"/c/{GENUINE}?s={SIGNATURE}&lang=zh", (390, 2330)),
    "page-forged": (f"/c/{UNKNOWN}?lang=zh", (390, 844)),
    "statistics": ("/statistics?lang=zh", (1200, 1560)),
}


async def main(folder: Path) -> None:
    browser = shutil.which("chromium") or sys.exit("no Chromium found: apt install chromium")
    with tempfile.TemporaryDirectory() as home:
        async with counter(Path(home)) as desk:
            stop, told = asyncio.Event(), asyncio.get_running_loop().create_future()
            options = Options(
                "127.0.0.1:0",
                desk.target,
                desk.token,
                PageOptions("https://jcm.example.cn", clock=MORNING),
            )
            serving = asyncio.create_task(run(options, told.set_result, stop))
            address = await told
            for name, (path, (width, height)) in SHOTS.items():
                await asyncio.to_thread(
                    subprocess.run,
                    [
                        browser,
                        "--headless",
                        "--no-sandbox",
                        "--hide-scrollbars",
                        "--force-device-scale-factor=1",
                        f"--user-data-dir={home}/browser",
                        f"--window-size={width},{height}",
                        f"--screenshot={folder / name}.png",
                        f"http://{address}{path}",
                    ],
                    check=True,
                    capture_output=True,
                    timeout=60,
                )
            stop.set()
            await serving


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs").absolute()))
