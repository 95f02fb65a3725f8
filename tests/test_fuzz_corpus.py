"""Replays the fuzzer's corpus: every input ends in an answer or an error of pyrec's. See ``tests/nightly/fuzz.sh``."""

import importlib.util
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"


def _targets():
    spec = importlib.util.spec_from_file_location("fuzz_targets", FUZZ / "targets.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_targets"] = module
    spec.loader.exec_module(module)
    return module.TARGETS


TARGETS = _targets()


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_ends_in_answers_or_typed_errors(name: str) -> None:
    inputs = sorted((FUZZ / "corpus" / name).iterdir())
    assert inputs, "tests/fuzz/seeds.py writes the first ones"
    for path in inputs:
        TARGETS[name](path.read_bytes())
