"""Takes a picture of a web page with headless Chromium: `python docs/screenshot.py URL FILE.png`.

Run by hand, for the pictures in the README. Chinese needs a font: apt install chromium fonts-noto-cjk.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",  # Chromium's own sandbox refuses root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=zh-CN",
)


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(description="Take a picture of a web page.")
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", default="1600x900", help="width x height in CSS pixels")
    parser.add_argument("--scale", default="1", help="device pixels for each CSS pixel")
    parser.add_argument("--wait", type=float, default=5, help="seconds the page may take to load")
    args = parser.parse_args()
    take(args.url, args.file, args.size, args.scale, args.wait)
    print(f"{args.file} ({args.file.stat().st_size // 1024} kB)")


def take(url: str, file: Path, size: str, scale: str, wait: float) -> None:
    """Write the picture. Exits with a line when there is no browser or no picture."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        sys.exit("no Chromium found; on Debian: apt install chromium fonts-noto-cjk")
    file = file.resolve()
    file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(program, *QUIET, f"--user-data-dir={profile}"),
            f"--window-size={size.replace('x', ',')}",
            f"--force-device-scale-factor={scale}",
            f"--virtual-time-budget={int(wait * 1000)}",
            f"--screenshot={file}",
            url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=wait + 60)
    if not file.exists():
        sys.exit(f"Chromium made no picture:\n{done.stderr}")


if __name__ == "__main__":
    main()
