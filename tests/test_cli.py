"""The command line: exit codes, and what `--list` costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad import profiles


def run(
    *arguments: str, module: str = "jaxpad", **variables: str
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", module, *arguments]
    return subprocess.run(argv, env=environ(**variables), cwd=HOME, capture_output=True, text=True)


def test_list_is_the_same_from_invoke() -> None:
    listed = [line.split()[0] for line in run("--list").stdout.splitlines() if line[:3] == "  l"]
    invoked = run("--list", module="invoke").stdout
    assert listed == ["launch", "lint", "lock"]
    assert all(f"  {name} " in invoked for name in [*listed, "smoke", "profile.check"])


def test_list_imports_no_jax() -> None:
    script = (
        "import sys; from jaxpad.cli.main import main; sys.argv = ['jaxpad', '--list']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('jax', 'jaxlib', 'numpy', 'rich', 'pytest') if m in sys.modules])"
    )
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_smoke_from_a_folder_below(tmp_path: Path) -> None:
    """Not installed and not in the checkout's root: the children find the package all the same."""
    bare = environ()
    del bare["PYTHONPATH"]
    argv = [sys.executable, "-m", "invoke", "smoke", "-k", "starts", "--out", str(tmp_path)]
    done = subprocess.run(argv, env=bare, cwd=HOME / "docs", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    driver = json.loads((tmp_path / "smoke.json").read_text())["versions"]["driver"]
    assert driver["value"] or driver["reason"].startswith("NVMLError")


def test_mistyped_task_is_usage() -> None:
    done = run("smok")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "smok" in done.stderr


def test_own_crash_is_inconclusive() -> None:
    script = (
        "import sys, jaxpad.smoke.local as s; from jaxpad.cli.main import main\n"
        "s.smoke = lambda options: 1 / 0\n"
        "sys.argv = ['jaxpad', 'smoke']; sys.exit(main())"
    )
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr


def test_profile_list_as_json() -> None:
    names = [row["name"] for row in json.loads(run("profile.list", "--json").stdout)]
    assert {"none", "base", "fsdp-hopper"} <= set(names)


def test_profile_show_names_origins() -> None:
    shown = run("profile.show", "--profile", "fsdp").stdout
    assert "profile base" in shown
    assert "profile fsdp" in shown


def test_profile_show_tells_the_callers_flags() -> None:
    """With what XLA never sees of them, and with the caller's own value of a variable."""
    done = run(
        "profile.show",
        XLA_FLAGS="--xla_gpu_autotune_level=0 # x --xla_gpu_ftz=true",
        XLA_FLAGS_APPEND="--xla_dump_to=/tmp/x",
    )
    assert done.returncode == 0
    assert re.search(r"flag +xla_gpu_autotune_level +0 +XLA_FLAGS$", done.stdout, re.M)
    assert re.search(r"flag +xla_dump_to +/tmp/x +XLA_FLAGS_APPEND$", done.stdout, re.M)
    assert "profile base" in done.stdout
    assert done.stderr.endswith(
        "XLA stops reading XLA_FLAGS at '#' and never sees: --xla_gpu_ftz=true\n"
    )


def test_profile_show_in_an_image_is_not_the_callers() -> None:
    """What the image put into XLA_FLAGS is its own, and another profile takes its place."""
    baked = "--xla_gpu_autotune_level=3"
    image = {"JAXPAD_BAKED_XLA_FLAGS": baked, "JAXPAD_BAKED_PROFILE": "x"}
    done = run("profile.show", "--profile", "base", XLA_FLAGS=f"{baked} --xla_dump_to=/y", **image)
    assert done.returncode == 0, done.stderr
    assert "xla_gpu_autotune_level" not in done.stdout
    assert re.search(r"flag +xla_dump_to +/y +XLA_FLAGS$", done.stdout, re.M)


@pytest.mark.parametrize(("level", "code"), [("O1", 0), ("O9", 2)])
def test_profile_check_reads_variables_as_jax_does(level: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "level.toml"
    entry = f'{{value = "{level}", why = "w", source = "https://x.org"}}'
    file.write_text(f'description = "a level"\n[env]\nJAX_OPTIMIZATION_LEVEL = {entry}\n')
    done = run("profile.check", "--profile", str(file))
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)
    assert not code or "jax does not start with JAX_OPTIMIZATION_LEVEL=O9" in done.stderr


@pytest.mark.parametrize(
    ("name", "architecture", "said"),
    [
        ("fsdp", "hopper", "ampere, ada and blackwell, not for hopper: take fsdp-hopper"),
        ("fsdp-hopper", "ampere", "profile fsdp-hopper is for hopper, not for ampere: take fsdp"),
        ("moe", "hopper", "not for hopper: no profile here is for that and the same programs"),
        ("fsdp", "blackwell", ""),
        ("base", "hopper", ""),
    ],
)
def test_profile_that_is_for_another_gpu(name: str, architecture: str, said: str) -> None:
    found = profiles.better_for(profiles.load(name), architecture)
    assert found.endswith(said) if said else found == ""


def test_profile_check_of_a_dead_flag(tmp_path: Path) -> None:
    """One sentence that names the flag, its neighbours and when it was last known."""
    file = tmp_path / "dead.toml"
    file.write_text(
        'description = "dead"\n[[flag]]\nname = "xla_gpu_graph_level"\nvalue = 0\n'
        'why = "copied"\nsource = "https://example.org"\n'
    )
    done = run("profile.check", "--profile", str(file))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "xla_gpu_graph_level" in done.stderr
    assert "0.6.2" in done.stderr


def test_docs_are_up_to_date() -> None:
    done = run("docs", "--check")
    assert done.returncode == 0, f"renew them with invoke docs: {done.stderr}"


def test_nagios_takes_no_2_for_a_slip() -> None:
    """To Nagios 2 is a fault of the node; an option mistyped in its configuration is none."""
    done = run("health", "--nagios", "--no-such-option")
    assert done.returncode == 3
    assert done.stdout.startswith("JAXPAD UNKNOWN - unknown option --no-such-option of health")
