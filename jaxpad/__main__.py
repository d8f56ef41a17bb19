"""`python -m jaxpad` is the `jaxpad` command, where the package is not installed."""

import sys

if not sys.flags.safe_path:  # Python has put the current folder first, whose files are not ours
    sys.path.pop(0)

try:
    from jaxpad.cli.main import main

    code = main()
except KeyboardInterrupt:  # before it could say so
    code = 130

sys.exit(code)
