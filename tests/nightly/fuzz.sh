#!/usr/bin/env bash
# Fuzzes every reader and loader with atheris: tests/nightly/fuzz.sh [RUNS_A_TARGET] [TARGET ...]
# New inputs go to build/fuzz/corpus/TARGET; to be replayed by the suite they are merged into tests/fuzz/corpus by hand.
# Needs `pip install atheris`, the kernels built, and PYTHONPATH at the source folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=${1:-1000000}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(cd tests/fuzz && python -c 'from targets import TARGETS; print("\n".join(TARGETS))')
fi
mkdir -p build/fuzz
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"
  python tests/fuzz/fuzz.py "$target" "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" \
    "-runs=$runs" -max_len=4096 -timeout=30 -rss_limit_mb=4096 "-artifact_prefix=build/fuzz/$target-" \
    >"build/fuzz/$target.log" 2>&1 || { tail -40 "build/fuzz/$target.log"; exit 1; }
  echo "$target: $(grep -E '^Done|^stat::number_of_executed' "build/fuzz/$target.log" | tail -1)"
done
