"""``python -m pyrec.cli``, the same as the command ``pyrec``."""

import sys

from pyrec.cli import main

sys.exit(main())
