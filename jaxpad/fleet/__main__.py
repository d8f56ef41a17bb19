"""A worker of the fleet: names come in by stdin, digests go out by stdout."""

from __future__ import annotations

import gc
import pickle
import sys

from jaxpad.fleet.digest import read


def main() -> None:
    """Answer until stdin ends."""
    gc.disable()  # a report holds no circles, and is gone when its digest is made
    while True:
        try:
            names = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started us
        except EOFError:
            return
        pickle.dump(read(sys.argv[1], names), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
