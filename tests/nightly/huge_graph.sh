#!/usr/bin/env bash
# 4.4 billion edges, more than 2^31 interactions: 18 GB of addresses, 20 MB of pages, about a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYREC_HUGE_SIDE=${1:-47104} python -m pytest -v -p no:cacheprovider tests/test_wide_indices.py
