"""The options of a uniform set: read, kept with a run, read again, and refused where they mean nothing."""

import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from command_line import refuse, run

from pyrec import EASE
from pyrec.cli.run_data import source_of
from pyrec.cli.sources import Source, describe, describe_debiasing, file_options, uniform_options
from pyrec.data import load_data, load_with_uniform
from pyrec.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of ratings 1 to 5: each user's chosen items, and 40 random pairs of which some are chosen ones."""
    random = np.random.default_rng(0)
    chosen = [(user, item, random.integers(1, 6)) for user in range(20) for item in range(user % 4, 12, 3)]
    uniform = random.permutation(20 * 12)[:40]
    (tmp_path / "user.txt").write_text("".join(f"{u},{i},{r}\n" for u, i, r in chosen))
    (tmp_path / "random.txt").write_text("".join(f"{p // 12},{p % 12},{1 + p % 5}\n" for p in uniform))
    return tmp_path


def taken(*words: object) -> Source:
    """The source that the words of a command line mean."""
    found: list[Source] = []

    @click.command()
    @file_options
    @click.option("--split", type=float)
    @click.option("--split-seed", type=int)
    @click.option("--all", "everything", is_flag=True)
    @uniform_options
    def command(**options: object) -> None:
        found.append(Source.take(options))

    result = CliRunner().invoke(command, list(map(str, words)))
    if result.exit_code:
        raise click.UsageError(result.output)
    return found[0]


def test_a_file_and_a_uniform_file(folder: Path) -> None:
    words = (folder / "user.txt", "--uniform", folder / "random.txt")
    found = taken(*words, "--uniform-split", "20/30/50").load_debiasing()
    assert found.name == "user"
    assert len(found.interactions) == len((folder / "user.txt").read_text().splitlines())
    assert [len(part) for part in found.uniform] == [8, 12, 20]
    for part in (found.interactions, *found.uniform):
        assert part.labels.tolist() == (part.ratings >= 4).tolist()
        assert part.user_ids.tolist() == found.interactions.user_ids.tolist()
    other = taken(*words, "--uniform-split", "20/30/50", "--split-seed", "1").load_debiasing()
    assert other.uniform.train.users.tolist() != found.uniform.train.users.tolist()
    strict = taken(*words, "--positive", "rating>4", "--shared", "drop").load_debiasing()
    assert strict.interactions.labels.tolist() == (strict.interactions.ratings > 4).tolist()
    assert sum(map(len, strict.uniform)) < 40


def test_a_folder_holds_both(folder: Path) -> None:
    source = taken(folder)
    assert source.has_uniform
    assert not source.is_one_file
    found = source.load_debiasing()
    assert found.name == folder.name
    assert [len(part) for part in found.uniform] == [2, 2, 36]
    assert not taken(folder / "user.txt").has_uniform
    with pytest.raises(
        DataError, match=r"has no train.txt, but user.txt and random.txt, a biased and a uniform set"
    ):
        load_data(folder)


def test_a_run_keeps_what_was_said(folder: Path) -> None:
    told = {
        "columns": {"user": 1, "item": 2, "rating": 3},
        "uniform_columns": {"user": 1, "item": 2, "rating": 3},
    }
    sources = [
        Source(str(folder)),
        Source(
            str(folder / "user.txt"), uniform=str(folder / "random.txt"), shared="drop", positive="rating>3"
        ),
        Source(
            str(folder / "user.txt"),
            uniform=str(folder / "random.txt"),
            uniform_split=(0.1, 0.2, 0.7),
            **told,
        ),
    ]
    for source in sources:
        kept = json.loads(json.dumps(source.as_json()))
        assert (kept["split"], kept["split_seed"]) == (None, 0)
        assert kept["uniform_split"] == list(source.uniform_split or (0.05, 0.05, 0.9))
        assert Source.from_json(kept, "it") == source
        assert taken(*source.arguments()) == source
        assert source.load_debiasing().interactions.origin == source.as_json()
    plain = Source(str(folder / "user.txt")).as_json()
    assert (plain["split"], plain["uniform_split"], plain["uniform"]) == (0.8, None, None)
    older = {
        name: value
        for name, value in plain.items()
        if "uniform" not in name and name not in ("positive", "shared")
    }
    assert Source.from_json(older, "it") == Source(str(folder / "user.txt"))


def test_origins_from_python_are_those_of_the_command_line(folder: Path) -> None:
    paths = str(folder / "user.txt"), str(folder / "random.txt")
    by_hand = load_with_uniform(
        *paths, shares=(0.2, 0.3, 0.5), shared="drop", seed=4, positive=4
    ).interactions.origin
    source = Source(
        paths[0], uniform=paths[1], uniform_split=(0.2, 0.3, 0.5), shared="drop", split_seed=4, positive=4
    )
    assert by_hand == source.as_json()


def test_other_data_are_read_as_the_run_was(folder: Path) -> None:
    own = Source(str(folder), positive="rating>3", uniform_split=(0.2, 0.3, 0.5), shared="drop", split_seed=7)
    other = Source(str(folder / "user.txt"), uniform=str(folder / "random.txt"))
    assert other.or_as(own) == replace(own, data=other.data, uniform=other.uniform)
    said = replace(other, shared="keep", min_rating=4)
    assert said.or_as(own).positive is None
    assert said.or_as(own).shared == "keep"
    liked = replace(own, positive=None, min_rating=4, dislikes="seen")
    assert other.or_as(liked).min_rating is None
    (folder / "implicit.csv").write_text("user,item\n1,2\n3,4\n")
    assert replace(other, data=str(folder / "implicit.csv")).or_as(own).positive == "rating>3"
    timed = Source(str(folder / "user.txt"), time_format="%d/%m/%Y")
    assert Source(str(folder)).or_as(timed).time_format is None
    alone = Source(str(folder / "user.txt")).or_as(own)
    assert (alone.positive, alone.uniform_split, alone.shared) == ("rating>3", None, None)
    least = Source(str(folder / "user.txt"), min_rating=3, dislikes="seen")
    assert Source(str(folder / "user.txt"), positive="4").or_as(least) == Source(
        str(folder / "user.txt"), positive="4"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--uniform-split", "5/5/80"], "three percentages that sum to 100.*but sums to 90"),
        (["--uniform-split", "5/95"], "three percentages"),
        (["--uniform-split", "a/5/90"], "three percentages"),
        (["--uniform-split", "-5/15/90"], "three percentages"),
        (["--uniform-split", "nan/5/95"], "three percentages"),
        (["--shared", "some"], "'some' is not one of 'keep', 'drop', 'error'"),
        (["--uniform-columns", "user"], "is no list such as"),
    ],
)
def test_malformed_options(folder: Path, words: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=rf"(?s){message}"):
        taken(folder, *words)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (
            ["--split", "0.5"],
            ConfigError,
            "split is 0.5, but beside a uniform set every interaction is learned from",
        ),
        (["--min-rating", "4"], ConfigError, "min_rating = 4, but a model learns .* positive = 'rating>=4'"),
        (["--all"], ConfigError, "--all beside a uniform set"),
        (["--positive", "rating>>4"], ConfigError, "positive is 'rating>>4'; it is a rule"),
        (["--positive", "4", "--min-rating", "4"], ConfigError, "both say what the ratings mean"),
        (["--positive", "rating>5"], DataError, "no rating reaches positive = 'rating>5'"),
        (["--uniform-split", "1/9/90"], DataError, "the train part, 0.01 of 40 uniform pairs, is empty"),
        (["--split-seed", "-1"], ConfigError, "seed"),
        (["--shared", "error"], DataError, "of 40 uniform pairs are among the biased ones"),
    ],
)
def test_options_that_do_not_fit(
    folder: Path, words: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        taken(folder, *words).load_debiasing()


def test_a_uniform_set_that_is_not_read_is_refused(folder: Path) -> None:
    file = str(folder / "user.txt")
    for told, shown in (
        ({"uniform": "x.txt"}, "--uniform x.txt"),
        ({"uniform_split": (0.1, 0.2, 0.7)}, "--uniform-split 10/20/70"),
        ({"shared": "drop"}, "--shared drop"),
        ({"uniform_columns": {"user": 1}}, "--uniform-columns user=1"),
    ):
        for load in (Source.load, Source.load_training, Source.load_everything):
            with pytest.raises(ConfigError, match=f"{shown}, but no uniform set is read"):
                load(Source(file, **told))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there is no uniform set; name its file"):
        Source(file).load_debiasing()
    with pytest.raises(ConfigError, match="name the interactions as DATA"):
        Source(train=file, test=file, uniform=file).load_debiasing()
    with pytest.raises(ConfigError, match="name the interactions as DATA"):
        Source(uniform=file).load_debiasing()


def test_what_is_said_of_the_data(folder: Path) -> None:
    found = Source(str(folder)).load_debiasing()
    text = describe_debiasing(found)
    positive = int((found.interactions.ratings >= 4).sum())
    assert f"{len(found.interactions)} training interactions ({positive} positive, " in text
    assert "uniform pairs: 2 to learn from, 2 to validate, 36 to test (" in text
    assert "of the tested pairs are training interactions, too" in text
    dropped = describe_debiasing(Source(str(folder), shared="drop").load_debiasing())
    assert "training interactions, too" not in dropped
    split = Source(str(folder / "user.txt"), positive="4").load()
    assert describe(*split).splitlines()[0].count(" positive, ") == 2


def test_statistics_count_labels_and_shared_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "data", "stats", folder, "--json")
    stats = json.loads(out)
    assert list(stats) == [folder.name, f"{folder.name}, uniform"]
    biased, uniform = stats.values()
    assert biased["num_positives"] + biased["num_negatives"] == biased["num_interactions"]
    assert uniform["num_interactions"] == 40
    assert any("uniform pairs are among the biased ones" in note for note in uniform["notes"])
    out, _ = run(capsys, "data", "stats", folder / "user.txt", "--positive", "rating>4")
    assert "positives" in out
    out, _ = run(capsys, "data", "stats", folder / "user.txt")
    assert "positives" not in out
    assert "no uniform set is read" in refuse(
        capsys, "data", "stats", folder / "user.txt", "--shared", "drop"
    )


def test_a_uniform_set_that_came_through_a_pipe_is_kept_as_the_standard_input(folder: Path) -> None:
    kept = Source(str(folder / "user.txt"), uniform="/dev/null").as_json()
    assert kept["uniform"] == "-"
    run_folder = folder / "run"
    run_folder.mkdir()
    EASE().fit(load_with_uniform(folder).interactions).save(run_folder)
    config = json.loads((run_folder / "config.json").read_text())
    config["run"]["data"] = kept
    (run_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="was trained on what came through a pipe; name the data again"):
        source_of(run_folder)
