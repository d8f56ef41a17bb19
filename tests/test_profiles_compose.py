"""What with-profile makes of an environment, and where each flag is from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import run

import pytest

from jaxpad import profiles
from jaxpad.core.results import UsageError
from jaxpad.machine import facts
from jaxpad.profiles import Composed, EnvVar, Flag, Origin, Profile

WHY = ("w", "https://example.org")
MINE = Profile(
    "mine",
    Path("mine.toml"),
    "d",
    flags=(Flag("xla_a", "1", *WHY), Flag("xla_b", "2", *WHY)),
    env=(EnvVar("NCCL_X", "9", *WHY),),
)


def compose(environ: Mapping[str, str], profile: Profile | None = MINE) -> Composed:
    return profiles.compose(profile, environ, "0.12.0")


def test_profile_alone() -> None:
    composed = compose({"HOME": "/h"})
    assert composed.xla_flags == "--xla_a=1 --xla_b=2"
    assert composed.environ["JAXPAD_PROFILE"] == "mine"
    assert composed.environ["NCCL_X"] == "9"
    assert composed.environ["HOME"] == "/h"
    assert {o.origin for o in composed.origins} == {"profile mine"}


def test_user_after_profile() -> None:
    composed = compose({"XLA_FLAGS": " --xla_a=3\n", "XLA_FLAGS_APPEND": "--xla_c='x y'"})
    assert composed.xla_flags == "--xla_a=1 --xla_b=2 --xla_a=3 --xla_c='x y'"
    assert composed.origins == (
        Origin("xla_b", "2", "profile mine"),
        Origin("xla_a", "3", "XLA_FLAGS"),
        Origin("xla_c", "x y", "XLA_FLAGS_APPEND"),
    )


def test_baked_replaced() -> None:
    baked = {"XLA_FLAGS": " --xla_z=1", profiles.BAKED: "--xla_z=1"}
    assert compose(baked).xla_flags == "--xla_a=1 --xla_b=2"
    changed = baked | {"XLA_FLAGS": "--xla_z=2"}
    assert compose(changed).xla_flags == "--xla_a=1 --xla_b=2 --xla_z=2"


def test_user_variable_stays() -> None:
    assert compose({"NCCL_X": "0"}).environ["NCCL_X"] == "0"


def test_none_clears_baked() -> None:
    baked = {"XLA_FLAGS": "--xla_z=1", profiles.BAKED: "--xla_z=1"}
    assert compose(baked, profiles.load("none")).xla_flags == ""


def test_lists_add_up() -> None:
    words = "--xla_l=A,B --xla_l=C --xla_l=+D --xla_l=-C --xla_n=3 --xla_n=-1"
    origins = compose({"XLA_FLAGS": words}, profiles.load("none")).origins
    assert [(o.name, o.value) for o in origins] == [
        ("xla_l", "C"),
        ("xla_l", "+D"),
        ("xla_l", "-C"),
        ("xla_n", "-1"),
    ]
    twice = "--xla_disable_hlo_passes=a --xla_disable_hlo_passes=b"
    assert len(compose({"XLA_FLAGS": twice}, profiles.load("none")).origins) == 2


@pytest.mark.parametrize("name", ["XLA_FLAGS", "XLA_FLAGS_APPEND"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("--xla_a=1 oops --xla_b=2", "has the stray token 'oops', at which XLA stops reading"),
        ("flags.txt", "is 'flags.txt', which XLA would open as a file"),
        ("--xla_a='1", "ends inside the quoted value of xla_a"),
    ],
)
def test_user_refused(name: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{name} {sentence}"):
        compose({name: text})


def test_nested_innermost_wins() -> None:
    other = Profile("other", Path("other.toml"), "d", flags=(Flag("xla_a", "7", *WHY),))
    outer = compose({"XLA_FLAGS": "--xla_u=1", "XLA_FLAGS_APPEND": "--xla_v=1"})
    inner = compose(outer.environ, other)
    assert inner.xla_flags == "--xla_a=7 --xla_u=1 --xla_v=1"
    assert "NCCL_X" not in inner.environ
    assert compose(inner.environ).xla_flags == outer.xla_flags


def test_nested_user_change_stays() -> None:
    outer = compose({}).environ | {"XLA_FLAGS": "--xla_u=1", "NCCL_X": "8"}
    inner = compose(outer)
    assert inner.xla_flags == "--xla_a=1 --xla_b=2 --xla_u=1"
    assert inner.environ["NCCL_X"] == "8"


def test_no_profile_only_tells() -> None:
    environ = {"XLA_FLAGS": "--xla_a=1 oops --xla_b=2", "XLA_FLAGS_APPEND": "--xla_c"}
    told = compose(environ, None)
    assert told.environ == environ
    assert told.origins == (Origin("xla_a", "1", "XLA_FLAGS"),)
    baked = compose({"XLA_FLAGS": "--xla_a=1", profiles.BAKED: "--xla_a=1 "}, None)
    assert baked.origins == (Origin("xla_a", "1", "the image"),)


def test_no_profile_tells_layers() -> None:
    composed = compose({"XLA_FLAGS": "--xla_u=1"}, profiles.load("fsdp"))
    told = compose(composed.environ, None)
    assert told.origins == composed.origins
    assert {o.origin for o in told.origins} == {"profile base", "profile fsdp", "XLA_FLAGS"}


IMAGE = {
    "XLA_FLAGS": " --xla_a=0 --xla_gpu_enable_latency_hiding_scheduler=true",
    profiles.BAKED: " --xla_a=0 --xla_gpu_enable_latency_hiding_scheduler=true",
    profiles.BAKED_PROFILE: "base",
    profiles.BASE: " --xla_a=0",
}


def test_base_image_lowest() -> None:
    composed = compose(IMAGE | {"XLA_FLAGS_APPEND": "--xla_c"})
    assert composed.xla_flags == "--xla_a=0 --xla_a=1 --xla_b=2 --xla_c"
    assert composed.origins[0] == Origin("xla_a", "1", "profile mine")
    nothing = compose(IMAGE, profiles.load("none"))
    assert nothing.origins == (Origin("xla_a", "0", "base image"),)
    with pytest.raises(UsageError, match=f"^{profiles.BASE} has the stray token 'x'"):
        compose({profiles.BASE: "--a x"})


def test_image_told_by_flag() -> None:
    scheduler = "xla_gpu_enable_latency_hiding_scheduler"
    told = compose(IMAGE, None).origins
    assert told == (
        Origin("xla_a", "0", "base image"),
        Origin(scheduler, "true", "profile base"),
    )
    assert compose(compose(IMAGE, profiles.load("base")).environ, None).origins == told


@pytest.mark.parametrize("changed", [{profiles.BAKED_PROFILE: "gone"}, {profiles.BASE: "--xla_z"}])
def test_image_told_less(changed: dict[str, str]) -> None:
    """A profile that is not there, or does not come to the image's flags, tells nothing."""
    told = compose(IMAGE | changed, None).origins
    assert {flag.origin for flag in told} == {"the image"}


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "base"),
        ({"JAXPAD_PROFILE": "none"}, "none"),
        ({"JAXPAD_PROFILE": ""}, "base"),
        ({"XLA_FLAGS": "--xla_mine"}, None),
        ({profiles.BAKED_PROFILE: ""}, None),
    ],
)
def test_in_force(changed: dict[str, str], name: str | None) -> None:
    assert profiles.in_force(IMAGE | changed) == name
    assert facts.gather("cpu", IMAGE | changed).profile == name
    assert facts.gather("cpu", IMAGE | changed, "asked").profile == "asked"


@pytest.mark.parametrize(
    "record",
    [
        {"JAXPAD_COMPOSED": "--other", "JAXPAD_COMPOSED_OVER": "--old"},
        {"JAXPAD_COMPOSED_OVER": "--old", "JAXPAD_COMPOSED_SET": "NCCL_X=7"},
        {"JAXPAD_COMPOSED": "", "JAXPAD_COMPOSED_SET": "\n=\nNCCL_X\nNCCL_X=8\nnccl=1\n{}"},
    ],
)
def test_broken_record(record: dict[str, str]) -> None:
    """What does not fit the environment undoes nothing, and does not stay."""
    before = {"NCCL_X": "7", "nccl": "1", "XLA_FLAGS": "--xla_u"}
    assert compose(before | record).environ == compose(before).environ


@pytest.mark.parametrize("module", ["jaxpad.profiles", "jaxpad.flags"])
def test_imports_no_jax(module: str) -> None:
    code = f"import sys, {module}; print({{'jax', 'jaxlib', 'numpy'}} & sys.modules.keys())"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
