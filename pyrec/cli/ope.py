"""``pyrec ope``."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from pyrec.cli.family import refuse_news
from pyrec.cli.grouped_help import DATA, MEASURING, GroupedCommand, grouped
from pyrec.cli.options import json_option, quiet_option, set_threads, threads_option, unknown_option
from pyrec.cli.output import note, print_json
from pyrec.data import read_bandit_log
from pyrec.data.read.bandit import BanditColumns
from pyrec.data.read.reading import IdType
from pyrec.evaluate.ope import ESTIMATORS, OffPolicyEvaluation, ope
from pyrec.evaluate.policies import EpsilonGreedyPolicy, SoftmaxPolicy, TopKPolicy
from pyrec.models import Recommender

HELP: Final = """Estimate what the model in RUN_DIR would earn, from LOG: what another policy showed, and how probable
that was.

LOG is text with a header, or Parquet, a row a round: user, item, reward (or click), propensity (or propensity_score)
and, if there are several, position. Open Bandit's files are read as they are. The model has to have learned from other
rounds.

\b
Examples:

\b
  pyrec ope log.csv --model run
  pyrec ope log.parquet --model run --columns user=customer,reward=bought,propensity=p --epsilon 0.1"""


def _columns_value(ctx: click.Context, param: click.Parameter, value: str | None) -> BanditColumns | None:  # noqa: ARG001
    """Read ``user=a+b,item=3,position=`` as what `read_bandit_log` takes; a click callback."""
    if value is None:
        return None
    columns: dict[str, Any] = {}
    for part in value.split(","):
        role, equals, names = part.partition("=")
        if not equals or role in columns:
            raise click.BadParameter(f"{value!r} is no list such as item=product,reward=3")
        chosen = [int(name) if name.isdecimal() else name for name in names.split("+")]
        columns[role] = None if not names else chosen[0] if len(chosen) == 1 else chosen
    return columns


@click.command("ope", cls=GroupedCommand, help=HELP)
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--model", "run_dir", required=True, type=click.Path(path_type=Path), metavar="RUN_DIR")
@grouped(
    DATA,
    "--columns",
    callback=_columns_value,
    metavar="ROLE=COLUMN,...",
    help="Which columns are the user, item, reward, propensity and position, by name or number; user=a+b for several "
    "that are the user together, position= for none.",
)
@grouped(
    DATA, "--top", type=int, metavar="N", help="The number of the first position. [default: the smallest]"
)
@grouped(
    DATA,
    "--id-type",
    type=click.Choice(["auto", "int", "str"]),
    default="auto",
    show_default=True,
    help="Whether ids of text are all integers or all text.",
)
@unknown_option
@grouped(
    MEASURING,
    "--k",
    type=int,
    metavar="K",
    help="Length of the list. [default: the log's number of positions]",
)
@grouped(
    MEASURING,
    "--estimators",
    metavar="NAME,NAME",
    help=f"Which, of {', '.join(ESTIMATORS)}. [default: all]",
)
@grouped(
    MEASURING,
    "--reward-model",
    type=click.Choice(["item", "score"]),
    default="item",
    show_default=True,
    help="What predicts rewards: means by item and position, or these and the model's scores.",
)
@grouped(MEASURING, "--epsilon", type=float, metavar="P", help="Show any item with this probability.")
@grouped(MEASURING, "--temperature", type=float, metavar="T", help="Draw items by exp(score / T).")
@grouped(MEASURING, "--filter-seen", is_flag=True, help="Leave out what a user had in training.")
@grouped(
    MEASURING,
    "--interval",
    type=click.Choice(["normal", "bootstrap"]),
    default="normal",
    show_default=True,
    help="Where intervals are from: standard errors, or resampled rounds.",
)
@grouped(
    MEASURING, "--seed", type=int, default=0, show_default=True, metavar="N", help="Of folds and resampling."
)
@threads_option
@quiet_option
@json_option
def command(
    log: Path,
    run_dir: Path,
    columns: BanditColumns | None,
    top: int | None,
    id_type: IdType,
    estimators: str | None,
    epsilon: float | None,
    temperature: float | None,
    filter_seen: bool,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Load, estimate and print."""
    set_threads(threads)
    if epsilon is not None and temperature is not None:
        raise click.UsageError("--epsilon and --temperature are two policies; give one of them")
    names = ESTIMATORS if estimators is None else [name.strip() for name in estimators.split(",")]
    refuse_news(run_dir, "pyrec ope", "pyrec evaluate measures it on impressions")
    model = Recommender.load(run_dir)
    policy = TopKPolicy(model, filter_seen)
    if epsilon is not None:
        policy = EpsilonGreedyPolicy(model, filter_seen, epsilon)
    elif temperature is not None:
        policy = SoftmaxPolicy(model, filter_seen, temperature)
    rounds = read_bandit_log(log, columns, top=top, id_type=id_type)
    for text in rounds.notes:
        note(f"note: {text}")
    found = ope(rounds, policy, names, **options)
    print_json(_as_json(found)) if as_json else click.echo(found.summary())


def _as_json(found: OffPolicyEvaluation) -> dict[str, Any]:
    """Return the outcome for programs; null where nothing matched."""
    return {name: _plain(value) for name, value in asdict(found).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
