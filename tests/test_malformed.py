"""Malformed input never crashes the process: every entry point answers, or raises an error of a type it promises.

Hypothesis makes the few cases of the suite, always the same, and shrinks what fails. ``PYREC_CASES`` asks for so many
an entry point, drawn by a seeded generator that costs less; ``tests/nightly/malformed.sh`` wants 20,000, also of the
kernels built for AddressSanitizer and UndefinedBehaviorSanitizer.
"""

import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from entry_points import entry_points
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import CLASSES

from pyrec import _core
from pyrec.errors import ConfigError, PyrecError

ENTRY_POINTS = entry_points()
CASES = int(os.environ.get("PYREC_CASES", "0"))
SEED = int(os.environ.get("PYREC_SEED", "0"))
TYPED = (PyrecError, TypeError, ValueError, MemoryError)  # the last of NumPy, for 2^40 ids
NO_INPUT = {
    *("isa", "isa_levels", "cuda_info", "num_threads", "topk_has_codes"),
    *("cache_info", "fetch_ahead_bytes", "topk_block_bytes"),
}
ANY_INPUT = {"use_huge_pages"}  # advice to the system about addresses, which takes any numbers


class Case:
    """Malformed arguments in the place of one or two sound ones.

    Attributes:
        chosen: The class of each, by the argument.
    """

    def __init__(self, name: str, choose: Callable[[Sequence[Any]], Any]) -> None:
        """Make one of an entry point; ``choose`` takes one of several things."""
        self._call, sound = ENTRY_POINTS[name]
        self._arguments = sound()
        self.chosen: dict[str, str] = {}
        for _ in range(choose(range(1, min(2, len(self._arguments)) + 1))):
            argument = choose(sorted(self._arguments.keys() - self.chosen.keys()))
            value = self._arguments[argument]
            fitting = [kind for kind, malformed in CLASSES.items() if malformed.applies(value)]
            self.chosen[argument] = choose(fitting)
            self._arguments[argument] = CLASSES[self.chosen[argument]].make(value)

    def run(self) -> None:
        """Call it; an answer is as good as an error that is promised."""
        with suppress(*TYPED):
            self._call(**self._arguments)


@pytest.mark.skipif(CASES > 0, reason="many cases are drawn without hypothesis")
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_malformed_arguments_are_typed_errors(name: str) -> None:
    @settings(max_examples=25, database=None, derandomize=True)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        Case(name, lambda several: data.draw(st.sampled_from(several))).run()

    check()


@pytest.mark.skipif(CASES == 0, reason="PYREC_CASES asks for many cases")
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_many_malformed_arguments(name: str) -> None:
    choose = random.Random(SEED).choice
    for number in range(CASES):
        case = Case(name, choose)
        try:
            case.run()
        except Exception as error:
            raise AssertionError(f"case {number}: {case.chosen}") from error


# No arguments are sound on a CPU: one takes a graph of the module's own, the other is a device's.
NEVER_SOUND = {"_core: propagate_pieces", "_core: topk_lengths"}
# What some instruction sets lack, and what tells it of the one in use.
LACKED = {"_core: topk_codes": _core.topk_has_codes}


@pytest.mark.parametrize("name", sorted(ENTRY_POINTS.keys() - NEVER_SOUND - LACKED.keys()))
def test_sound_arguments_are_no_error(name: str) -> None:
    call, sound = ENTRY_POINTS[name]
    if "Popularity.similar_items" in name:
        pytest.skip("popularity compares no items")
    call(**sound())


@pytest.mark.parametrize("name", LACKED)
def test_what_an_instruction_set_lacks_is_an_error_that_names_the_set(name: str, isa: str) -> None:
    call, sound = ENTRY_POINTS[name]
    if LACKED[name]():
        call(**sound())
        return
    with pytest.raises(ConfigError, match=f"but {isa} "):
        call(**sound())


def test_every_binding_is_covered() -> None:
    functions = {name for name in dir(_core) if callable(getattr(_core, name)) and not name.startswith("_")}
    covered = {name.split(": ")[1] for name in ENTRY_POINTS if name.startswith("_core")}
    assert functions - covered == NO_INPUT | ANY_INPUT


def test_there_are_at_least_40_classes() -> None:
    assert len(CLASSES) >= 40
