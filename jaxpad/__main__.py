"""`python -m jaxpad` is the `jaxpad` command, where the package is not installed."""

import sys

from jaxpad.cli.main import main

sys.exit(main())
