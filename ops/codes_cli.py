"""The command about the key of inspection codes: rotate-code-key."""

import typer
from rich.console import Console

from ops import settings as configuration

out = Console(highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(rotate_code_key)


def rotate_code_key() -> None:
    """Change the key that signs inspection codes; codes that the old one signed stay genuine.

    Services take the new one up by themselves. Wherever they run with a copy of the file, copy it and
    the `.old` file beside it, which holds the public halves of the keys before.

    Example: `bihuan rotate-code-key`

    Next: `docs/inspection-code.md` says how anybody checks a code.
    """
    from ops import codes

    out.print(f"codes are signed by a new key in {codes.rotate_code_key(configuration.load())}")
