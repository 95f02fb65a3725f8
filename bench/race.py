"""Races: ours and the rivals on the same arrays, answers compared first, then one round of each in turn.

Taking turns makes a machine that drifts hurt all alike; who goes first changes from round to round. Every contender
is a row of pytest-benchmark: its test replays the rounds measured here on a clock of their own.
"""

from __future__ import annotations

import ctypes
import gc
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

Call = Callable[[], Any]
SETTLE_SECONDS = 0.02
"""A pause before each round, in which threads of the round before stop spinning."""
WARM_BELOW_SECONDS = 0.1
"""A contender faster than this is called once before each timed call: its threads wake, its tables are cached."""


def close(theirs: Any, ours: Any) -> None:
    """The check of most races: the same numbers within rounding."""
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-6)


@dataclass(frozen=True)
class Race:
    """One workload and who runs it.

    Attributes:
        group: Name of the workload, the same from run to run.
        problem: Makes the arrays that all contenders share.
        contenders: Ours first. Each takes the problem, prepares, and returns what a round calls. It may skip
            itself by ``pytest.skip`` or ``pytest.importorskip``.
        check: Compares a rival's answer with ours (theirs, ours); None where answers are not comparable.
        proofs: Calls whose answers are compared, and which warm up: more than one where a call changes a state.
        rounds: Rounds of each contender, unless it has used up ``seconds``.
        seconds: Time after which a contender runs no further round; the first always runs.
        scale: By contender: the whole is that many times the part it runs.
        quick: Whether the race belongs to the quick selection.
        memory: Whether to measure the bytes that a call allocates, besides those it keeps (``kept_bytes``).
        info: More to keep in the results.
    """

    group: str
    problem: Callable[[], Any]
    contenders: Mapping[str, Callable[[Any], Call]]
    check: Callable[[Any, Any], None] | None = close
    proofs: int = 1
    rounds: int = 15
    seconds: float = 4.0
    scale: Mapping[str, float] = field(default_factory=dict)
    quick: bool = False
    memory: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What became of a contender: the seconds of its rounds, or why there are none."""

    seconds: list[float] = field(default_factory=list)
    bytes: int | None = None
    skipped: str | None = None
    failure: Exception | None = None


class ReplayClock:
    """The timer of the replayed rounds."""

    __name__ = "interleaved_perf_counter"

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Lets that much time pass."""
        self.now += seconds


CLOCK = ReplayClock()
_finished: dict[str, dict[str, Outcome]] = {}


def row(benchmark: Any, race: Race, contender: str) -> None:
    """The row of one contender; the race is run when the first of them asks."""
    if race.group not in _finished:
        _finished[race.group] = run(race)
        gc.collect()
    outcome = _finished[race.group][contender]
    if outcome.skipped is not None:
        pytest.skip(f"{contender}: {outcome.skipped}")
    if outcome.failure is not None:
        raise outcome.failure
    scale = race.scale.get(contender, 1.0)
    benchmark.extra_info |= {"race": race.group, "contender": contender, "scale": scale, **race.info}
    benchmark.extra_info["ours"] = contender == next(iter(race.contenders))
    if outcome.bytes is not None:
        benchmark.extra_info["bytes"] = outcome.bytes
    rounds = iter(outcome.seconds)
    benchmark.pedantic(lambda: CLOCK.advance(scale * next(rounds)), rounds=len(outcome.seconds))


def run(race: Race) -> dict[str, Outcome]:
    """Prepares all contenders, compares their answers with ours, and takes the rounds in turn."""
    outcomes = {name: Outcome() for name in race.contenders}
    with _lenient():
        calls = _prepare(race, outcomes)
        for name, call in calls.items() if race.memory else ():
            grown = growth(call)
            outcomes[name].bytes = None if grown is None else call.kept_bytes + grown
        _take_turns(race, calls, outcomes)
    return outcomes


def _prepare(race: Race, outcomes: dict[str, Outcome]) -> dict[str, Call]:
    """The calls of those whose answers are right."""
    problem, calls, expected = race.problem(), {}, None
    for name, make in race.contenders.items():
        try:
            call = make(problem)
            answers = [call() for _ in range(race.proofs)]
            if expected is None:
                expected = answers
            elif race.check is not None:
                for theirs, ours in zip(answers, expected, strict=True):
                    race.check(theirs, ours)
        except pytest.skip.Exception as reason:
            outcomes[name].skipped = str(reason)
        except Exception as failure:
            if expected is None:  # without an answer of ours there is no race
                raise
            outcomes[name].failure = failure
        else:
            calls[name] = call
    return calls


def _take_turns(race: Race, calls: dict[str, Call], outcomes: dict[str, Outcome]) -> None:
    names = list(calls)
    for first in range(race.rounds):
        start = first % len(names)
        for name in names[start:] + names[:start]:
            seconds = outcomes[name].seconds
            if sum(seconds) < race.seconds:
                time.sleep(SETTLE_SECONDS)
                if seconds and seconds[-1] < WARM_BELOW_SECONDS:
                    calls[name]()
                seconds.append(_timed(calls[name]))


def _timed(call: Call) -> float:
    started = time.perf_counter()
    answer = call()
    seconds = time.perf_counter() - started
    del answer  # outside of the time taken
    return seconds


@contextmanager
def _lenient() -> Iterator[None]:
    """No garbage collection, and rivals may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
        gc.disable()
        try:
            yield
        finally:
            gc.enable()


def growth(call: Call) -> int | None:
    """The bytes that the process grew by at the peak of a call; None where Linux does not tell."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:  # memory that was freed, but kept, would hide what a call takes
        return None
    trim(0)
    try:
        reset.write_text("5")  # the peak becomes what is in use
    except OSError:
        return None
    before = _kilobytes(status, "VmRSS")
    answer = call()
    grown = _kilobytes(status, "VmHWM") - before
    del answer
    return 1024 * max(grown, 0)


def _kilobytes(status: Path, name: str) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])
