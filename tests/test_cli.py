"""The command line: exit codes, and what `--list` costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from helpers import HOME, environ


def run(*arguments: str, module: str = "jaxpad") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", module, *arguments]
    return subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True)


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
