"""`python -m miner.cli`: the same as `swap-miner`."""

import sys

from miner.cli.main import main

sys.exit(main())
