"""Lists of nodes as Slurm writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from jaxpad.core.hostlist import compress, expand
from jaxpad.core.results import UsageError

LISTS = {
    "n7": ["n7"],
    "n[0-3],n7": ["n0", "n1", "n2", "n3", "n7"],
    "n[1-3],m": ["n1", "n2", "n3", "m"],
    "n[08-11]": ["n08", "n09", "n10", "n11"],
    "r[1-2]n[0-1]": ["r1n0", "r1n1", "r2n0", "r2n1"],
    "r[1-2]n[0,4]": ["r1n0", "r1n4", "r2n0", "r2n4"],
    "a, b\n c": ["a", "b", "c"],
    "a[1-2]-ib.cluster": ["a1-ib.cluster", "a2-ib.cluster"],
    "n[1,3-4].example.org": ["n1.example.org", "n3.example.org", "n4.example.org"],
    "n1,n1": ["n1"],
    "rack_1": ["rack_1"],
}


@pytest.mark.parametrize("text", LISTS)
def test_list_is_expanded(text: str) -> None:
    assert list(expand(text)) == LISTS[text]


@pytest.mark.parametrize(
    "text",
    [
        *("", " , ", "n[", "n]", "n[0-3", "n0-3]", "n[]", "n[a-b]", "n[3-1]", "n[[0]]"),
        *("n[0-999999999]", "n[0-999]x[0-999]", "n[0-99999,0-99999]", "\x1b[31m"),
    ],
)
def test_list_that_is_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand(text)
    assert str(caught.value).isprintable()


def test_long_list_is_cut_in_the_message() -> None:
    with pytest.raises(UsageError, match=r"…': a bracket is not closed, at '\[nnn+…'; write"):
        expand("[" + "n" * 5000)


names = st.from_regex(r"[a-z]{1,3}-?[0-9]{0,4}[a-z]?", fullmatch=True).filter(
    lambda name: not name.endswith("-")
)


@given(st.lists(names, min_size=1, unique=True))
def test_compressed_comes_back(found: list[str]) -> None:
    assert set(expand(compress(found))) == set(found)


def test_compressed_is_short() -> None:
    assert compress(f"n{at:05}" for at in range(10_000)) == "n[00000-09999]"
    assert compress(f"n{at:03}" for at in range(200)) == "n[000-199]"
    assert compress(f"n{at}" for at in range(120)) == "n[0-119]"
    assert compress(["n08", "n9", "n09", "n10", "n0"]) == "n[0,9],n[08-10]"
    assert compress(["n3", "n1", "n2", "login", "n10"]) == "login,n[1-3,10]"
