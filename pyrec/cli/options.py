"""Small pieces that several commands share: cut-offs, lists and threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import torch
from click.core import ParameterSource

from pyrec._atomic import check_writable
from pyrec.cli.grouped_help import DATA, MEASURING, OUTPUT, RUNNING, grouped
from pyrec.cli.output import QUIET
from pyrec.evaluate.metric_name import DEFAULT_CUTOFF, read_metric
from pyrec.evaluate.ranking import USER_METRICS
from pyrec.look import plots
from pyrec.models.fallback import FALLBACKS

Command = TypeVar("Command", bound=Callable[..., Any])


def number_list(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:  # noqa: ARG001
    """Read an option's value ``10,20`` as whole numbers; a click callback."""
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 10,20") from None


def picture_option(told: str) -> Callable[[Command], Command]:
    """Return the option ``--picture``; what could not be drawn in the end is refused before anything is computed."""
    return grouped(
        OUTPUT,
        "--picture",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_drawable,
        metavar="FILE.png",
        help=told,
    )


def _drawable(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:  # noqa: ARG001
    if path is None:
        return None
    if path.suffix.lower() != ".png":
        raise click.UsageError(f"--picture {path}: pictures are PNG files; name one .png")
    if not plots.available():
        raise click.UsageError("--picture needs matplotlib: pip install '.[plots]'")
    check_writable(path.parent)
    return path


def cutoffs_option(default: str) -> Callable[[Command], Command]:
    """Return the option ``--k`` with this default."""
    return grouped(
        MEASURING,
        "--k",
        callback=number_list,
        default=default,
        show_default=True,
        metavar="K,K",
        help="Cut-offs of the metrics.",
    )


def metric_option(group: str) -> Callable[[Command], Command]:
    """Return the option ``--metric``, whose value is a `MetricName`."""
    return grouped(
        group,
        "--metric",
        callback=lambda ctx, param, value: read_metric(value),  # noqa: ARG005
        default="ndcg",
        metavar="NAME@K",
        help=f"What to choose by: {', '.join(USER_METRICS)}, at this cut-off. [default: ndcg@{DEFAULT_CUTOFF}]",
    )


def cutoffs_that_fit(k: list[int], num_items: int) -> list[int]:
    """Return the cut-offs; of those that nobody asked for, the ones beyond the number of items become that number."""
    asked = click.get_current_context().get_parameter_source("k") is not ParameterSource.DEFAULT
    return k if asked else sorted({min(cutoff, num_items) for cutoff in k})


threads_option = grouped(
    RUNNING, "--threads", type=int, metavar="N", help="Threads to use. [default: torch's choice]"
)
unknown_option = grouped(
    DATA,
    "--unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="What to do about users and items that the model does not know: stop, or leave them out and say so.",
)


def _be_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001
    ctx.meta[QUIET] = value


quiet_option = grouped(
    OUTPUT,
    f"--{QUIET}",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_be_quiet,
    help="Print the result and errors alone, without notes and progress.",
)
fallback_option = grouped(
    MEASURING,
    "--fallback",
    type=click.Choice(FALLBACKS),
    default="popularity",
    show_default=True,
    help="What users without a history get: the most popular items, or what the model makes of nothing.",
)
json_option = grouped(OUTPUT, "--json", "as_json", is_flag=True, help="Print only JSON on stdout.")


def set_threads(threads: int | None) -> None:
    """Set the number of threads of torch, which the kernels follow.

    Raises:
        click.UsageError: If it is below 1 or beyond 64 for each processor.
    """
    if threads is None:
        return
    bound = 64 * (os.cpu_count() or 1)
    if not 1 <= threads <= bound:
        raise click.UsageError(f"--threads {threads} is outside 1 to {bound}")
    torch.set_num_threads(threads)
