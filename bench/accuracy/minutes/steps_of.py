"""What a contender's process does whose run takes days: some steps are timed, and multiplied by those of a run.

``python CONTENDER.py FOLDER OUT.npy PARAMS``, as in `lists_of`; PARAMS has the run's ``epochs``, and the ``recall`` and
``ndcg`` that were published for it. OUT is not written.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

STEPS = 5
BATCH = 2048


def tell(seconds_a_step: Callable[[Path], tuple[float, int]]) -> None:
    """Prints the figures as a line of JSON on the standard error, where `contenders.run` reads it.

    Args:
        seconds_a_step: Of a folder the median of some steps, and the number of training interactions.
    """
    folder, _, params = sys.argv[1:]
    given = json.loads(params)
    step, interactions = seconds_a_step(Path(folder).resolve())
    steps = given["epochs"] * math.ceil(interactions / BATCH)
    told = {"seconds": round(step * steps), "seconds_a_step": round(step, 4), "scaled": True}
    print(json.dumps({**told, "recall@20": given["recall"], "ndcg@20": given["ndcg"]}), file=sys.stderr)
