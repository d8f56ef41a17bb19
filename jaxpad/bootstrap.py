"""From a plain Python to a task: make an environment from the pins, then run the task in it.

    python3 -m jaxpad.bootstrap smoke    # the packages this machine calls for
    python3 -m jaxpad.bootstrap test     # the development packages

Standard library only: it runs before anything is installed. Each set of packages has an
environment of its own, `.venv-<set>`, renewed when its pins or the Python change.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - said in one sentence before any newer syntax is met
    sys.exit(
        f"jaxpad needs Python 3.11 or newer and this is {sys.version.split()[0]}: "
        "install one and start this with it, for example python3.12 -m jaxpad.bootstrap"
    )

import argparse
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import socket
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from jaxpad.core import host

HOME = Path(__file__).resolve().parent.parent
SETS = ("cpu", "cuda12", "cuda13", "proof", "dev")
DEVELOPMENT_TASKS = ("test", "lint", "lock", "docs", "site")
DOCKER_SOCKET = Path("/var/run/docker.sock")
SBIN = (Path("/usr/sbin"), Path("/sbin"))
# A package of each part of a cluster on one machine, and a program by which it is known.
SLURM = {"slurm-wlm": "slurmd", "munge": "munged", "iproute2": "ip", "util-linux": "nsenter"}
BROWSERS = ("chromium", "chromium-browser")
CUDA = ("cuda12", "cuda13")  # a project made from jaxpad has the one that it chose
# A project made from jaxpad: its own code under src/, and what that imports beside JAX.
COPY = HOME / "configs" / "project.toml"
PROJECT = "project"
STAMP = "jaxpad-pins"  # in the environment: what was installed into it


def main() -> NoReturn:
    """Set up and become the task; a failure to set up is one sentence and exit code 2."""
    options = _arguments()
    packages = options.packages or choose(options.task)
    try:
        provide(lacking(options.task))
        python = prepare(packages)
        if options.task == "test" and not COPY.is_file():
            provide_browser(python)
    except (OSError, subprocess.CalledProcessError) as error:
        _give_up(f"could not set up requirements/{packages}.txt: {error}; see the lines above")
    os.chdir(HOME)
    argv = [str(python), "-m", "jaxpad", options.task, *options.rest]
    _say(argv)
    chosen = ["--packages", options.packages] if options.packages else []
    os.environ["JAXPAD_STARTED_AS"] = shlex.join(["python3", "-m", "jaxpad.bootstrap", *chosen])
    os.execv(python, argv)  # noqa: S606 - become the task: signals and exit code are its own


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m jaxpad.bootstrap",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--packages", choices=SETS, help="which requirements/*.txt to install")
    parser.add_argument("task", help="the invoke task to run, with its options after it")
    ours, rest = _split(sys.argv[1:])
    return parser.parse_args(ours, argparse.Namespace(rest=rest))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Up to the task, and what is the task's: argparse would take the `--` out of that."""
    valued = [index + 1 for index, word in enumerate(words) if word == "--packages"]
    for index, word in enumerate(words):
        if not word.startswith("-") and index not in valued:
            return words[: index + 1], words[index + 1 :]
    return words, []


def choose(task: str) -> str:
    """The set a task needs here: development tools, CUDA where a GPU shows, else CPU."""
    if task in DEVELOPMENT_TASKS:
        return "dev"
    there = [name for name in CUDA if _pins(name).is_file()]
    return there[0] if there and host.gpu_evidence() else "cpu"


def prepare(packages: str) -> Path:
    """Make or renew `.venv-<packages>` and return its Python.

    Raises OSError or CalledProcessError if pip or the folder fails.
    """
    folder = HOME / f".venv-{packages}"
    python = folder / "bin" / "python"
    pins = _files(packages)
    stamp = folder / STAMP
    text = b"".join(file.read_bytes() for file in pins)
    wanted = f"{sys.version}\n{hashlib.sha256(text).hexdigest()}\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    names = " and ".join(f"requirements/{file.name}" for file in pins)
    _note(f"making {folder.name} from {names}; the first time takes a minute or two")
    venv.create(folder, clear=True, with_pip=True)
    words = [word for file in pins for word in ("-r", str(file))]
    _call([str(python), "-m", "pip", "install", "--require-hashes", *words])
    if COPY.is_file():
        _add_source(folder)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _pins(packages: str) -> Path:
    return HOME / "requirements" / f"{packages}.txt"


def _files(packages: str) -> list[Path]:
    """The pins to install together; `dev` holds the project's own already."""
    more = COPY.is_file() and packages != "dev"
    return [_pins(name) for name in (packages, *([PROJECT] if more else []))]


def _add_source(folder: Path) -> None:
    """Make src/ importable, by a .pth file (https://docs.python.org/3/library/site.html)."""
    site = next(folder.glob("lib/python3.*/site-packages"))
    (site / "project.pth").write_text(f"{HOME / 'src'}\n", encoding="utf-8")


def lacking(task: str) -> list[str]:
    """The Debian packages a task needs and this machine lacks.

    Debian and Ubuntu keep the part of Python that installs pip in a package of its own. The
    tests open a browser, compile doubles of the driver's libraries, build and run images with
    docker and podman on a base that debootstrap makes, and start a Slurm of several nodes.
    """
    venv_package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    packages = [] if importlib.util.find_spec("ensurepip") else [venv_package]
    if task == "test" and not COPY.is_file():
        packages += [] if _browser() or _ubuntu() else ["chromium"]
        packages += [] if shutil.which("cc") else ["gcc", "libc6-dev"]
        packages += [] if _docker() else ["docker.io", "iptables", "runc"]
        packages += [name for name in ("podman", "debootstrap") if not shutil.which(name)]
        packages += [name for name, program in SLURM.items() if not _daemon(program)]
    return packages


def _daemon(program: str) -> bool:
    """Debian keeps daemons where not everyone's PATH looks."""
    return bool(shutil.which(program) or any((folder / program).exists() for folder in SBIN))


def _docker() -> bool:
    """A daemon is what counts: a client may come from anywhere, a socket may be left over."""
    return _daemon("dockerd") or _listens(DOCKER_SOCKET)


def _listens(path: Path) -> bool:
    """Whether somebody is at a socket, though it may not be us who are let in."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(path))
        except OSError as error:
            return isinstance(error, (PermissionError, BlockingIOError))  # or it is too busy
    return True


def _browser() -> bool:
    return any(map(shutil.which, BROWSERS))


def _ubuntu() -> bool:
    """Ubuntu's own Chromium is a snap, which containers cannot run; Playwright brings one."""
    try:
        return platform.freedesktop_os_release().get("ID") == "ubuntu"
    except OSError:
        return False


def provide_browser(python: Path) -> None:
    """Where the distribution has no usable Chromium, let Playwright install its own."""
    if not _browser() and _ubuntu():
        _call([str(python), "-m", "playwright", "install", "--with-deps", "chromium"])


def provide(packages: Sequence[str]) -> None:
    """Install Debian packages, through sudo where we are not root; else say what is missing."""
    if not packages:
        return
    words = " ".join(packages)
    root = [] if os.geteuid() == 0 else ["sudo"]
    if not all(map(shutil.which, ["apt-get", *root])):
        _give_up(f"this machine lacks {words} and there is no apt-get to ask: install it first")
    _note(f"this machine lacks {words}; installing from the distribution")
    _call([*root, "apt-get", "update"])
    _call([*root, "apt-get", "install", "--yes", "--no-install-recommends", *packages])


def _call(argv: Sequence[str]) -> None:
    _say(argv)
    subprocess.run(argv, check=True)


def _say(argv: Sequence[str]) -> None:
    _note(f"+ {shlex.join(argv)}")


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for people, beside pip's own


def _give_up(sentence: str) -> NoReturn:
    _note(f"jaxpad: {sentence}")
    sys.exit(2)


if __name__ == "__main__":
    main()
