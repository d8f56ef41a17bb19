"""`python -m jaxpad` is the `jaxpad` command, where the package is not installed."""

import sys

from jaxpad.cli import main

sys.exit(main())
