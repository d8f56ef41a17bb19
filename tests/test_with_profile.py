"""docker/with-profile: the shell does to an environment what `profiles.compose` does."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from helpers import HOME
from jaxpad import profiles
from jaxpad.core.results import UsageError

VERSION = "0.12.0"
WHY = 'why = "w"\nsource = "https://example.org"\n'
PROFILES = {
    "base": f'description = "d"\n[[flag]]\nname = "xla_a"\nvalue = 1\n{WHY}',
    "child": f"""description = "d"
extends = ["base"]
[[flag]]
name = "xla_b"
value = "+X,-Y"
{WHY}[env]
NCCL_X = {{ value = "9", why = "w", source = "https://example.org" }}
NCCL_Y = {{ value = "a  *? [b] $(id) `id` \\"'\\\\ Á=\\u00c8", why = "w", \
source = "https://example.org" }}
NCCL_EMPTY = {{ value = "", why = "w", source = "https://example.org" }}
""",
    "empty": 'description = "d"\n',
    "hopper": 'description = "d"\n[requires]\narchitecture = ["hopper"]\n',
    "hopper-fsdp": """description = "d"
[requires]
architecture = ["hopper"]
workload = ["fsdp"]
""",
    "wide": 'description = "d"\n[requires]\narchitecture = ["ampere", "hopper"]\n',
}
SHELLS_OWN = "PWD"  # dash adds it to every command's environment


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The profile files."""
    folder = tmp_path_factory.mktemp("source")
    for name, text in PROFILES.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def script(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """with-profile where an image has it, beside its rendered profiles."""
    prefix = tmp_path_factory.mktemp("prefix")
    (prefix / "bin").mkdir()
    profiles.write(prefix / "share/jaxpad/profiles", VERSION, source)
    return Path(shutil.copy(HOME / "docker/with-profile", prefix / "bin"))


def run(script: Path, *argv: str, **environ: str) -> CompletedProcess[str]:
    """Run with-profile under nothing but `environ` and a PATH."""
    command, path = [str(script), *argv], {"PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=path | environ, capture_output=True, text=True)


def by_shell(script: Path, profile: str, environ: dict[str, str]) -> dict[str, str] | str:
    """The environment a command gets, or the refusal."""
    done = subprocess.run(
        [script, profile, "--", "/usr/bin/env", "-0"], env=environ, capture_output=True
    )
    if done.returncode == 2 and not done.stdout:
        return os.fsdecode(done.stderr)
    assert (done.returncode, done.stderr) == (0, b"")
    entries = [os.fsdecode(entry).partition("=") for entry in done.stdout.split(b"\0")[:-1]]
    return {name: value for name, _, value in entries if name != SHELLS_OWN}


def by_python(source: Path, profile: str, environ: dict[str, str]) -> dict[str, str] | str:
    try:
        loaded = profiles.load(profile, source)
        return profiles.compose(loaded, environ, VERSION).environ
    except UsageError as error:
        return f"jaxpad: {error}\n"


def agree(script: Path, source: Path, profile: str, environ: dict[str, str]) -> dict[str, str]:
    """Hold the shell to Python; what both make of it, empty where both refuse.

    The refusals open alike, up to what they quote.
    """
    shell, python = by_shell(script, profile, environ), by_python(source, profile, environ)
    if isinstance(shell, str) or isinstance(python, str):
        assert isinstance(shell, str), (environ, python)
        assert isinstance(python, str), (environ, shell)
        assert shell.count("\n") == 1
        assert shell.split()[:3] == python.split()[:3]  # variable and kind
        return {}
    assert shell == python
    return shell


BASE = " --xla_base=1 --xla_gpu_x=+A"
IMAGE = {
    profiles.BASE: BASE,
    profiles.BAKED: f"{BASE} --xla_a=1",
    profiles.BAKED_PROFILE: "base",
}
ENVIRONS: list[dict[str, str]] = [
    {},
    {"XLA_FLAGS": ""},
    {"XLA_FLAGS": " \t\n\r"},
    {"XLA_FLAGS": "--xla_c=1"},
    {"XLA_FLAGS": "\r\n --xla_c='x  y'\t\n--xla_d \r"},
    {"XLA_FLAGS": "--xla_c", "XLA_FLAGS_APPEND": " --xla_d=$(id)*?[a]`id`\\"},
    {"XLA_FLAGS_APPEND": '--xla_d="a\\"b \\\\ c" --xla_e=\'*\''},
    IMAGE,
    IMAGE | {"XLA_FLAGS": IMAGE[profiles.BAKED]},
    IMAGE | {"XLA_FLAGS": f"\r{IMAGE[profiles.BAKED]}\n\t"},
    IMAGE | {"XLA_FLAGS": f"{IMAGE[profiles.BAKED]} --xla_more=1 "},
    IMAGE | {"XLA_FLAGS": f"{IMAGE[profiles.BAKED]}\r --xla_more=1"},
    IMAGE | {"XLA_FLAGS": f"{IMAGE[profiles.BAKED]}0 --xla_more=1"},
    IMAGE | {"XLA_FLAGS": "--xla_mine=1", "XLA_FLAGS_APPEND": "--xla_last"},
    IMAGE | {profiles.BASE: "stray"},
    IMAGE | {profiles.BASE: "--a stray"},
    {"NCCL_X": "mine", "NCCL_EMPTY": "", "NCCL_Y": ""},
    {"JAXPAD_PROFILE": "../x", "HOME": "/h", "a": "b=\n c"},
    {"JAXPAD_COMPOSED": ""},
    {"JAXPAD_COMPOSED": "", "XLA_FLAGS": "", "JAXPAD_COMPOSED_OVER": "--xla_over"},
    {"JAXPAD_COMPOSED": "--x", "XLA_FLAGS": "--x", "JAXPAD_COMPOSED_OVER": "--xla_over"},
    {"JAXPAD_COMPOSED": "--x", "XLA_FLAGS": "--y", "JAXPAD_COMPOSED_OVER": "--xla_over"},
    {"JAXPAD_COMPOSED_OVER": "--xla_over", "JAXPAD_COMPOSED_SET": "NCCL_X=1", "NCCL_X": "1"},
    {"JAXPAD_COMPOSED": "", "JAXPAD_COMPOSED_SET": "A=1\nB=2\n\nC=a b=*\nD\n", "A": "1", "B": "1"},
    {
        "JAXPAD_COMPOSED": "",
        "JAXPAD_COMPOSED_SET": "C=a b=*\nD\nE=",
        "C": "a b=*",
        "D": "",
        "E": "",
    },
    {"JAXPAD_COMPOSED": "", "JAXPAD_COMPOSED_SET": "\n=1\nx y=1\nX;id=1\n$(id)=1\na=1", "a": "1"},
    {"JAXPAD_COMPOSED": "", "JAXPAD_COMPOSED_SET": "XLA_FLAGS=--x", "XLA_FLAGS": "--x"},
    {"JAXPAD_COMPOSED": "--x", "JAXPAD_COMPOSED_SET": "[A-Z]*=1\n*=1\nA}=1\nA-B=1", "A": "1"},
    {"XLA_FLAGS": "flags.txt"},
    {"XLA_FLAGS": "/etc/x\n\033[31m"},
    {"XLA_FLAGS": "--a stray --b"},
    {"XLA_FLAGS": "--a *"},
    {"XLA_FLAGS": "--a # why\n--b"},
    {"XLA_FLAGS": "--a='open"},
    {"XLA_FLAGS_APPEND": '--a="open\\"'},
    {"XLA_FLAGS_APPEND": '--a="open\\'},
    {"XLA_FLAGS": "\v--a"},
    {"XLA_FLAGS": "--a\v--b\f\x01"},
]


@pytest.mark.parametrize("profile", ["base", "child", "empty"])
@pytest.mark.parametrize("environ", ENVIRONS, ids=str)
def test_as_python(script: Path, source: Path, profile: str, environ: dict[str, str]) -> None:
    agree(script, source, profile, environ)


PIECES = [
    *("--a", "--b=", "--c=1", "--c='", '--c="', "-", "--", "---z", "--z.z", "--Á=", "=", "#"),
    *(
        "'",
        '"',
        "\\",
        "\\'",
        '\\"',
        "{",
        "}",
        "x y",
        "w",
        "Á\u0088",
        ",",
        "+",
        "$(id)",
        "`id`",
        "$HOME",
    ),
    *("*", "?", "[a-z]", "[!a]", "]", "~", "&", ";", "|", "(", "%%", "${x}", "\udc81", "\udc88"),
    *(" ", " ", "  ", "\t", "\n", "\r", "\v", "\f", "\x01", "\x7f", "\N{NO-BREAK SPACE}"),
]


def flag_text(chance: random.Random) -> str:
    """A string that is XLA_FLAGS more often than chance would make it."""
    words = [f"--f{n}={chance.choice(PIECES)}" for n in range(chance.randrange(3))]
    junk = chance.choices(PIECES, k=chance.choice([0, 0, 1, 2, 4, 8]))
    return chance.choice([" ", "", "\t\r"]).join(["--o", *words, *junk][chance.randrange(2) :])


def some_environ(chance: random.Random) -> dict[str, str]:
    names = ["XLA_FLAGS", "XLA_FLAGS_APPEND", profiles.BASE, profiles.BAKED, "JAXPAD_COMPOSED"]
    names += ["JAXPAD_COMPOSED_OVER", "NCCL_X"]
    weights = [0.8, 0.4, 0.2, 0.3, 0.2, 0.3, 0.3]
    environ = {
        n: flag_text(chance) for n, w in zip(names, weights, strict=True) if chance.random() < w
    }
    for twin in (profiles.BAKED, "JAXPAD_COMPOSED"):
        if twin in environ and chance.random() < 0.5:
            environ[twin] = environ.get("XLA_FLAGS", "")
            environ["XLA_FLAGS"] = environ[twin] + chance.choice(["", "", " --m=1", "\t\r", "x"])
    if "JAXPAD_COMPOSED" in environ:
        environ["JAXPAD_COMPOSED_SET"] = f"NCCL_X={environ.get('NCCL_X', '1')}\nNCCL_Z=1"
    return environ


def test_as_python_at_random(script: Path, source: Path) -> None:
    chance = random.Random(20)
    composed = [agree(script, source, "child", some_environ(chance)) for _ in range(600)]
    assert 100 < sum(map(bool, composed)) < 500  # it tries both: what goes through, what does not


def nested(script: Path, profiles_in_order: list[str], environ: dict[str, str]) -> dict[str, str]:
    """What reaches a command behind several with-profile."""
    argv = [word for name in profiles_in_order for word in (str(script), name, "--")]
    done = run(Path(argv[0]), *argv[1:], "/usr/bin/env", "-0", **environ)
    pairs = [entry.partition("=") for entry in done.stdout.split("\0")[:-1]]
    return {name: value for name, _, value in pairs if name not in (SHELLS_OWN, "PATH")}


USERS = {"XLA_FLAGS": "--xla_u=1", "XLA_FLAGS_APPEND": "--xla_v='a b'", "NCCL_Y": "mine"}


def test_users_addition_comes_last(script: Path) -> None:
    """XLA_FLAGS="$XLA_FLAGS --more": the image's flags in front do not outweigh the profile's."""
    more = IMAGE | {"XLA_FLAGS": f"{IMAGE[profiles.BAKED]} --xla_more=1"}
    flags = nested(script, ["child"], more)["XLA_FLAGS"]
    assert flags == nested(script, ["child"], IMAGE)["XLA_FLAGS"] + " --xla_more=1"
    composed = nested(script, ["base"], IMAGE)
    composed["XLA_FLAGS"] += " --xla_more=1"
    assert nested(script, ["child"], composed)["XLA_FLAGS"] == flags


def test_nested_innermost_wins(script: Path) -> None:
    assert nested(script, ["child", "base"], USERS) == nested(script, ["base"], USERS)
    assert nested(script, ["base", "child", "child"], USERS) == nested(script, ["child"], USERS)


def test_nested_in_python(script: Path, source: Path) -> None:
    """Each undoes what the other composed."""
    outer = profiles.compose(profiles.load("child", source), USERS, VERSION).environ
    assert nested(script, ["base"], outer) == nested(script, ["base"], USERS)
    inner = profiles.compose(
        profiles.load("base", source), nested(script, ["child"], USERS), VERSION
    )
    assert inner.environ == nested(script, ["base"], USERS)


def test_nested_user_change_stays(script: Path, source: Path) -> None:
    outer = nested(script, ["child"], USERS) | {"XLA_FLAGS": "--xla_new=1", "NCCL_X": "8"}
    inner = agree(script, source, "base", outer)
    assert inner["XLA_FLAGS"] == "--xla_a=1 --xla_new=1 --xla_v='a b'"
    assert inner["NCCL_X"] == "8"
    del outer["XLA_FLAGS"]
    assert agree(script, source, "base", outer)["XLA_FLAGS"] == "--xla_a=1 --xla_v='a b'"


def test_arguments_whole(script: Path) -> None:
    words = ["a  b", "*", "$(id)", "`id`", "\\n", "", "--", "'\"", "line\nline", "[a]?"]
    code = "import sys; print(sys.argv[1:])"
    assert run(script, "base", "--", sys.executable, "-c", code, *words).stdout == f"{words}\n"


@pytest.mark.parametrize(
    "name",
    [
        *("nosuch", "../x", "/etc/passwd", "base.flags", "*", "b?se", "[a-z]*", "base child"),
        *("base\nchild", "$(id)", "`id`", "", "-n", "--", "names", "base ", "../profiles/base"),
    ],
)
def test_unknown_refused(script: Path, name: str) -> None:
    done = run(script, name, "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("jaxpad: no profile is called '")
    assert "there are base, child, empty, hopper, hopper-fsdp, wide" in done.stderr


@pytest.mark.parametrize("argv", [[], ["base"], ["base", "true"], ["base", "--"], ["--append"]])
def test_usage(script: Path, argv: list[str]) -> None:
    done = run(script, *argv)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("jaxpad: ")
    assert "usage: with-profile PROFILE -- COMMAND [ARGUMENT...]" in done.stderr


def test_list(script: Path, source: Path) -> None:
    assert run(script, "--list").stdout.split() == list(profiles.names(source))
    assert run(script, "--help").stdout.startswith("usage: ")


def test_command_code(script: Path) -> None:
    assert run(script, "base", "--", "no-such-command").returncode == 127
    assert run(script, "base", "--", "/etc/passwd").returncode == 126
    assert run(script, "base", "--", "sh", "-c", "exit 7").returncode == 7


def test_found_without_slash(script: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "with-profile", "--list"], cwd=script.parent, capture_output=True, text=True
    )
    assert done.stdout.startswith("base\n")


def test_broken_image(tmp_path: Path) -> None:
    lost = Path(shutil.copy(HOME / "docker/with-profile", tmp_path))
    done = run(lost, "base", "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith("jaxpad: there are no profiles in ")


@pytest.mark.parametrize(
    "odd",
    [
        {"IFS": "/-=", "CDPATH": "/tmp", "ENV": "/nonexistent", "PS4": "$(id >&2)"},
        {"PATH": ""},
        {"LC_ALL": "C.UTF-8", "OPTIND": "3", "POSIXLY_CORRECT": "1"},
    ],
    ids=str,
)
def test_odd_environment(script: Path, odd: dict[str, str]) -> None:
    done = run(script, "child", "--", "/usr/bin/printenv", "XLA_FLAGS", **odd, **USERS)
    assert done.stdout == "--xla_a=1 --xla_b=+X,-Y --xla_u=1 --xla_v='a b'\n"
    assert done.stderr == ""


def no_processes() -> None:
    """Root may start processes whatever the limit, so become nobody first."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setuid(12345)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


@pytest.fixture
def open_script(script: Path) -> Iterator[Path]:
    """with-profile where every uid can read it."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(shutil.copytree(script.parent.parent, f"{folder}/prefix"))
        Path(folder).chmod(0o755)
        prefix.chmod(0o755)
        yield prefix / "bin/with-profile"


@pytest.mark.parametrize("profile", ["child", "--append"])
def test_starts_no_process(open_script: Path, profile: str) -> None:
    argv = [str(open_script), profile, "--", "/usr/bin/printenv", "XLA_FLAGS"]
    environ = IMAGE | USERS | {"XLA_FLAGS": '--xla_u=\'a b\' --xla_w="c\\"d"'}
    done = subprocess.run(
        argv, env=environ, preexec_fn=no_processes, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("--xla_u='a b' --xla_w=\"c\\\"d\" --xla_v='a b'\n")


def test_limit_is_a_limit() -> None:
    """The test above would see a process: the shell cannot start one there."""
    done = subprocess.run(
        ["/bin/sh", "-c", "x=$(printf 1)"], preexec_fn=no_processes, capture_output=True
    )
    assert done.returncode != 0


def test_append(script: Path, source: Path) -> None:
    """The entrypoint's mode: the user's own flags, then XLA_FLAGS_APPEND, and no profile."""
    environ = nested(script, ["--append"], IMAGE | USERS)
    assert environ["XLA_FLAGS"] == "--xla_u=1 --xla_v='a b'"
    assert "JAXPAD_PROFILE" not in environ
    assert nested(script, ["--append", "--append"], IMAGE | USERS) == environ
    assert nested(script, ["--append", "child"], USERS) == nested(script, ["child"], USERS)
    told = profiles.compose(None, environ, VERSION).origins
    assert [flag.origin for flag in told] == ["XLA_FLAGS", "XLA_FLAGS_APPEND"]
    baked = IMAGE | USERS | {"XLA_FLAGS": IMAGE[profiles.BAKED]}
    assert nested(script, ["--append"], baked) == nested(script, ["base"], baked)


@pytest.mark.parametrize("text", ["f.txt", "--a stray", "--a='open"])
@pytest.mark.parametrize("name", ["XLA_FLAGS", "XLA_FLAGS_APPEND"])
def test_append_refused(script: Path, name: str, text: str) -> None:
    done = run(script, "--append", "--", "echo", "ran", **(USERS | {name: text}))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"jaxpad: {name} ")


def auto(script: Path, tmp_path: Path, answer: str | None, **environ: str) -> tuple[str, str]:
    """The profile that auto picks and what it says, where nvidia-smi runs a script."""
    if answer is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    environ["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    done = run(script, "auto", "--", "printenv", "JAXPAD_PROFILE", **environ)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize(
    ("answer", "profile", "why"),
    [
        ("echo 9.0; echo 9.0", "hopper", "the GPUs are hopper"),
        ("printf ' 8.6 '", "wide", "the GPUs are ampere"),
        ("echo 8.0; echo 8.7", "wide", "the GPUs are ampere"),
        ("echo 8.9", "base", "no profile is for every workload on ada"),
        ("echo 7.0; echo 7.2", "base", "no profile is for every workload on volta"),
        ("echo 7.5", "base", "no profile is for every workload on turing"),
        (
            "echo 10.0; echo 11.0; echo 12.1",
            "base",
            "no profile is for every workload on blackwell",
        ),
        ("echo 8.0; echo 9.0", "base", "there are ampere and hopper GPUs"),
        ("echo 6.1", "base", "compute capability '6.1' is not known"),
        ("echo '[N/A]'", "base", "compute capability '[N/A]' is not known"),
        ("printf '*\\033[31m\\n'", "base", "compute capability '*?[31m' is not known"),
        ("", "base", "nvidia-smi names no GPU"),
        ("echo 9.0; exit 9", "base", "nvidia-smi fails"),
        (None, "base", "nvidia-smi is not on PATH"),
    ],
)
def test_auto(script: Path, tmp_path: Path, answer: str | None, profile: str, why: str) -> None:
    picked = auto(script, tmp_path, answer)
    assert picked == (profile, f"jaxpad: auto picks profile {profile}: {why}")


def test_auto_asks_for_capability(script: Path, tmp_path: Path) -> None:
    query = '[ "$*" = "--query-gpu=compute_cap --format=csv,noheader" ] && echo 9.0'
    assert auto(script, tmp_path, query)[0] == "hopper"


def test_auto_falls_to_baked(script: Path, tmp_path: Path) -> None:
    assert auto(script, tmp_path, None, JAXPAD_BAKED_PROFILE="child")[0] == "child"


def test_auto_waits_within_reason(script: Path, tmp_path: Path) -> None:
    """A driver in trouble keeps nvidia-smi waiting: the limit is a real `timeout`'s."""
    (tmp_path / "timeout").write_text('#!/bin/sh\n[ "$*" != "${*#-k 1 10 }" ] && exit 124\n')
    (tmp_path / "timeout").chmod(0o755)
    assert auto(script, tmp_path, "sleep 60")[1].endswith("base: nvidia-smi fails")
