"""Fails unless JSON files that `pyrec train --json` wrote hold the same metrics, to four digits."""

import json
import math
import sys
from pathlib import Path

METRICS = [
    f"{name}@20"
    for name in ("precision", "recall", "ndcg", "hit", "mrr", "map", "coverage", "novelty", "gini")
]

paths = [Path(name) for name in sys.argv[1:]]
results = {path.stem: json.loads(path.read_text()) for path in paths}
first, *others = results
wrong = [
    f"{metric}: {results[first][metric]} on {first}, {results[other][metric]} on {other}"
    for other in others
    for metric in METRICS
    if not math.isclose(results[first][metric], results[other][metric], rel_tol=0, abs_tol=5e-5)
]
if wrong:
    sys.exit("processors differ:\n" + "\n".join(wrong))
print(f"processors: recall@20 {results[first]['recall@20']:.4f} on each of {', '.join(results)}")
