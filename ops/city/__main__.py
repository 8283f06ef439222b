"""`python -m ops.city` compares the regimes in synthetic cities."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ops.city import assumptions as given
from ops.city.comparison import OneCity, compare
from ops.city.report import as_json as in_json
from ops.city.report import tables


def main(
    seed: Annotated[int, typer.Option(help="First seed; the same seed gives the same city.")] = 1,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="How many seeds, each a city of its own.")
    ] = 1,
    enterprises: Annotated[
        int, typer.Option(min=1, max=300_000, help="How many enterprises a city has.")
    ] = given.ENTERPRISES,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="Another number for an assumption; repeat for more."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for other programs.")
    ] = False,
) -> None:
    """Compare what inspections cost and find in a synthetic Yangzhou (扬州), without any server.

    A city has 12 departments with a year's plans, and violations that nobody knows of. Four regimes: every
    department alone as in the past, merging only, grading only, all mechanisms (merging, grades with caps,
    data before anybody goes). They work by the code of the services and the rules of jurisdiction 321000.

    What to read: *spared* are visits that do not take place, *found* is the share of the year's violations
    that inspectors saw. docs/yangzhou.md says what was assumed.

    Examples: `python -m ops.city` (one city, some seconds)

    `python -m ops.city --seed 1 --seeds 20` (the spread over 20 cities)

    `python -m ops.city --assume SEEN_IN_DATA=0.5 --assume SENSORS=0.2` (if data were worse)

    `python -m ops.city --json | jq .mechanisms`
    """
    err = Console(stderr=True)
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("cities", total=seeds)

        def told(city: OneCity) -> None:
            progress.update(bar, advance=1, description=f"seed {city.seed} done")

        try:
            cities = compare(seed, seeds, enterprises, told, _numbers(assume or []))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    if as_json:
        print(json.dumps(in_json(cities), ensure_ascii=False, indent=2))
    else:
        Console().print(tables(cities))


def _numbers(assumed: list[str]) -> dict[str, float]:
    """NAME=NUMBER taken apart. ValueError says which is not of that form."""
    found = {}
    for each in assumed:
        name, _, number = each.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise ValueError(f"{each} is not NAME=NUMBER") from None
    return found


if __name__ == "__main__":
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(main)
    app()
