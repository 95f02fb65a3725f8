"""Malformed input never crashes the process: every entry point answers, or raises an error of a type it promises.

``PYREC_CASES`` says how many cases an entry point gets; ``tests/nightly/malformed.sh`` asks for 20,000, with the
kernels built for AddressSanitizer and UndefinedBehaviorSanitizer, too. Without it the cases are always the same.
"""

import os
from contextlib import suppress

import pytest
from entry_points import entry_points
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import CLASSES

from pyrec import _core
from pyrec.errors import PyrecError

ENTRY_POINTS = entry_points()
CASES = int(os.environ.get("PYREC_CASES", "25"))
SAME_CASES = "PYREC_CASES" not in os.environ
TYPED = (PyrecError, TypeError, ValueError, MemoryError)  # the last of NumPy, for 2^40 ids
NO_INPUT = {"isa", "isa_levels", "cuda_info", "num_threads", "topk_has_codes"}
ANY_INPUT = {"use_huge_pages"}  # advice to the system about addresses, which takes any numbers


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_malformed_arguments_are_typed_errors(name: str) -> None:
    call, sound = ENTRY_POINTS[name]

    @settings(max_examples=CASES, database=None, derandomize=SAME_CASES)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        arguments = sound()
        count = data.draw(st.integers(1, min(2, len(arguments))))
        for argument in data.draw(st.permutations(sorted(arguments)))[:count]:
            value = arguments[argument]
            fitting = [kind for kind, malformed in CLASSES.items() if malformed.applies(value)]
            arguments[argument] = CLASSES[data.draw(st.sampled_from(fitting))].make(value)
        with suppress(*TYPED):
            call(**arguments)

    check()


@pytest.mark.parametrize("name", [name for name in ENTRY_POINTS if "propagate_pieces" not in name])
def test_sound_arguments_are_no_error(name: str) -> None:
    call, sound = ENTRY_POINTS[name]
    if "Popularity.similar_items" in name:
        pytest.skip("popularity compares no items")
    call(**sound())


def test_every_binding_is_covered() -> None:
    functions = {name for name in dir(_core) if callable(getattr(_core, name)) and not name.startswith("_")}
    covered = {name.split(": ")[1] for name in ENTRY_POINTS if name.startswith("_core")}
    assert functions - covered == NO_INPUT | ANY_INPUT


def test_there_are_at_least_40_classes() -> None:
    assert len(CLASSES) >= 40
