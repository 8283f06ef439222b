"""Takes the pictures of the Temporal Web UI that the README shows, with headless Chromium.

Run by hand while a demo runs: `python docs/screenshot.py http://127.0.0.1:8233 docs/web-ui.png` for the list
of loops; for what one says of itself, while `bihuan demo dongguan` runs,
`python docs/screenshot.py http://127.0.0.1:8233 docs/plan.png --loop payment-plan`, and while
`python -m examples.joint --keep` runs,
`python docs/screenshot.py http://127.0.0.1:8233 docs/joint.png --loop inspection --height 1500`.
Needs what the project itself does not: `apt install chromium fonts-noto-cjk`, `pip install playwright`.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

COLUMNS = (
    "Status", "Stage", "WaitingFor", "Due", "Overdue", "Risk", "Enterprise", "Workflow ID",
)  # fmt: skip
QUIET = (
    "--no-sandbox",  # Chromium's own sandbox refuses root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
REMEMBERED = "namespace-workflow-table-columns"


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(description="Take a picture of the list of loops, or of one.")
    parser.add_argument("url", help="of the Web UI")
    parser.add_argument("file", type=Path)
    parser.add_argument("--loop", help="how the id of the loop begins, for example payment-plan")
    parser.add_argument("--height", type=int, default=1100, help="of the picture of one loop")
    arguments = parser.parse_args()
    browser = shutil.which("chromium") or sys.exit("no Chromium found: apt install chromium")
    take(arguments.url, arguments.file, browser, arguments.loop, arguments.height)


def take(url: str, file: Path, browser: str, loop: str | None, height: int) -> None:
    """Write the picture: of the list with the search attributes among its columns, or of one loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(QUIET))
        page = chromium.new_page(
            viewport={"width": 1600, "height": height if loop else 560},
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
        )
        page.goto(f"{url}/namespaces/default/workflows")
        columns = json.dumps({"default": [{"label": label} for label in COLUMNS]})
        page.evaluate("([key, value]) => localStorage.setItem(key, value)", [REMEMBERED, columns])
        page.reload()
        if loop:
            page.locator(f'a[href*="workflows/{loop}"]').first.click()
            page.get_by_text("User Metadata").first.click()
        else:
            page.get_by_text("整改中").first.wait_for()
        page.wait_for_timeout(1500)
        page.screenshot(path=file)
        chromium.close()


if __name__ == "__main__":
    main()
