"""Commands for the results of a run: a report on them, and the comparison of models worm by worm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skworm.cli.choices import NameList
from skworm.cli.options import this_call
from skworm.cli.output import JSON, show, user_errors

_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "mse", "r2", "correlation", "rmse")


class _Condition(click.ParamType):
    name = "COLUMN=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        column, separator, wanted = str(value).partition("=")
        if not separator or not column:
            self.fail(f"{value!r} is not of the form COLUMN=VALUE, such as step=8", param, ctx)
        return column, wanted


@click.command(short_help="Write one HTML page on the results of a run.")
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page, a .html file; replaced if it is there.  [default: report.html in RESULTS]",
)
@click.option(
    "--baseline",
    metavar="MODEL",
    help="Model that the others are compared with, in the results of a script.  [default: the first of the run]",
)
@JSON
def report(results: Path, out: Path | None, baseline: str | None, as_json: bool) -> None:
    """Write one HTML page on the RESULTS of a run, to be read, sent or printed.

    RESULTS is a folder that `skworm reproduce TARGET --out` or `skworm reproduce all --out` wrote, or that a script
    passed to cross_validate_worms as out. The page holds settings, data, splits, tables with intervals over worms,
    figures, what remembering the moment is worth, versions and what to cite. It needs no other file and no network.
    """
    with user_errors():
        page = results / "report.html" if out is None else out
        if page.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"--out {page} is no name of a page; let it end in .html")
        from skworm.experiments.html_report import write_report

        write_report(results, page, command=this_call()[0], baseline=baseline)
        show({"report": str(page)}, as_json, str(page))


@click.command(short_help="Compare the models of a run, worm by worm.")
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--baseline", metavar="MODEL", help="Model that the others are compared with.  [default: the first of the run]"
)
@click.option(
    "--evaluation",
    type=NameList("unseen_worms", "held_out_windows"),
    default="unseen_worms",
    show_default=True,
    metavar="NAME",
    help="What to compare on: unseen_worms, held_out_windows, or the name of external recordings.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="A model to compare; may be given several times.  [default: all but clock and majority]",
)
@click.option(
    "--score",
    type=NameList(*_SCORES),
    metavar="NAME",
    help="What to compare.  [default: accuracy; mse for forecasts, r2 for behaviour]",
)
@click.option(
    "--where",
    "conditions",
    type=_Condition(),
    multiple=True,
    help="Take only rows with this value in a column, such as step=8 or block='4 states'; may be given several times.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
@JSON
def compare(
    results: Path,
    baseline: str | None,
    evaluation: str,
    models: tuple[str, ...],
    score: str | None,
    conditions: tuple[tuple[str, str], ...],
    seed: int,
    as_json: bool,
) -> None:
    """Compare the models of a run with one of them, worm by worm.

    RESULTS is a folder that `skworm reproduce TARGET --out` wrote, or that a script passed to cross_validate_worms as
    out; or a .csv file with the table of cross_validate_worms. For each model: mean over worms and its 95 % interval,
    the difference to the baseline and its interval, the worms on which it is better, and the p of a sign-flip test
    across worms before and after Holm's correction, with the smallest p that so many worms allow.

    The first model of the run is the baseline unless --baseline names another. Name it before you look.
    """
    with user_errors():
        from skworm.experiments.comparing import compare_results

        compared = compare_results(
            results,
            baseline=baseline,
            evaluation=evaluation,
            models=models,
            score=score,
            conditions=conditions,
            random_state=seed,
        )
        show(compared.facts, as_json, compared.text)
