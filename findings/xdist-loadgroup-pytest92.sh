#!/usr/bin/env bash
# pytest-xdist 3.8.0 on pytest 9.2.0: `--dist loadgroup` keeps no group together.
# Guess: six tests marked xdist_group("one") run on one worker of two, as the option's help says.
# Seen: both workers run some of them, without a word. The same with pytest 9.0.2: one worker.
# xdist appends "@group" to an item's name by setting a private attribute, and pytest 9.2 keeps the
# name in another one. `--dist loadscope` and loadfile are not touched.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >test_group.py <<'PY'
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.3)
PY

# Prints how many workers ran the six tests.
workers() {
    python3 -m venv "venv-$1"
    "venv-$1/bin/python" -m pip install --quiet "pytest==$1" pytest-xdist==3.8.0
    "venv-$1/bin/python" -m pytest -p no:cacheprovider -n 2 --dist loadgroup -v test_group.py |
        grep -oE '^\[gw[0-9]\]' | sort -u | wc -l
}

before=$(workers 9.0.2)
after=$(workers 9.2.0)
echo "workers that ran one group: pytest 9.0.2: $before, pytest 9.2.0: $after"
[ "$before" = 1 ] && [ "$after" = 2 ]
