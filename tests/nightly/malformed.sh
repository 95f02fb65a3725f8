#!/usr/bin/env bash
# Malformed input, 20,000 cases an entry point, about 10 minutes: tests/nightly/malformed.sh [CASES] [address]
# With `address` on the kernels that tests/nightly/sanitize.sh builds. PYREC_SEED chooses other cases.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYREC_CASES=${1:-20000}
if [ "${2:-}" = address ]; then
  exec tests/nightly/sanitize.sh address tests/test_malformed.py -v
fi
exec python -m pytest -v -p no:cacheprovider tests/test_malformed.py
