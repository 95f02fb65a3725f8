"""``pyrec data``: statistics, and named data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pyrec.cli.options import json_option
from pyrec.cli.output import note, print_json
from pyrec.cli.sources import Source, data_help, file_options, uniform_options
from pyrec.data import Interactions, InteractionStats, is_news_folder, read_news
from pyrec.data.named.sets import find_dataset, get_dataset, list_datasets
from pyrec.data.news_stats import NewsStats, describe_news
from pyrec.errors import ConfigError

_NEWS = """

DATA may be a folder of news, too: MIND's files, EB-NeRD's, or articles and impressions in named columns."""


@click.group("data", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look at data sets and fetch named ones."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("stats", help=f"Print counts, density and degrees.{data_help('is not split')}{_NEWS}")
@file_options
@uniform_options
@json_option
def stats(as_json: bool, **options: Any) -> None:
    """Print the statistics of each part."""
    source = Source.take(options)
    if source.data is not None and is_news_folder(source.data):
        found: Mapping[str, NewsStats | InteractionStats] = _news_stats(source)
    else:
        found = {name: part.stats() for name, part in _parts(source).items()}
    if as_json:
        print_json({name: part.as_dict() for name, part in found.items()})
        return
    click.echo("\n\n".join(f"{name}\n{part}" for name, part in found.items()))


@command.command("list")
def list_names() -> None:
    """List the data sets that ``pyrec data get`` knows."""
    for dataset in list_datasets():
        click.echo(f"{dataset.name}\n  {dataset.description}\n  {dataset.terms}")
        click.echo(f"  Checked by {dataset.checked_by}; fetched from {dataset.files[0].host}.")


@command.command("get")
@click.argument("name")
@click.option(
    "--cache",
    "cache_dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where data sets are kept. [default: $PYREC_CACHE, else the user's cache folder]",
)
def get(name: str, cache_dir: Path | None) -> None:
    """Download the data set NAME, once, and print where it lies: what the other commands take as DATA.

    Its terms of use are printed first. What is fetched is checked by a hash that is part of pyrec.
    """
    note(find_dataset(name).terms)
    click.echo(get_dataset(name, cache_dir))


def _news_stats(source: Source) -> Mapping[str, NewsStats]:
    """Return the statistics of a folder of news; candidates without text are articles without words there."""
    assert source.data is not None
    if source != Source(data=source.data):
        raise ConfigError(f"{source.data} is a folder of news, to which the other options mean nothing")
    name, train, test = read_news(source.data, unknown="empty")
    if test is None:
        return {name: describe_news(train)}
    return {f"{name}, training": describe_news(train), f"{name}, test": describe_news(test, train)}


def _parts(source: Source) -> dict[str, Interactions]:
    if source.has_uniform:
        found = replace(source, uniform_split=(0, 0, 1)).load_debiasing()
        return {found.name: found.interactions, f"{found.name}, uniform": found.uniform.test}
    if source.data is not None and source.is_one_file:
        return {source.data: source.read()}
    name, train, test = source.load()
    return {f"{name}, training": train, f"{name}, test": test}
