"""Install JAX the way JAX-Toolbox has it: editable, under /opt, with development versions.

    python3 editable.py REQUIREMENTS

The sources are the released ones that REQUIREMENTS pins by hash. jax is its own source
distribution; jaxlib and the plugin are their wheels unpacked, as a build from source leaves them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

SUFFIX = ".dev20260724+selfbuilt"  # of jaxlib and the plugin
JAX_SUFFIX = ".dev20260724+g0a1b2c3"
LIBRARIES = ("jaxlib", "jax-cuda13-plugin", "jax-cuda13-pjrt")
ORDINARY = ("numpy", "scipy", "ml-dtypes", "opt-einsum")
WORK = Path("/tmp/editable")
PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "{version}"
[project.entry-points]
{entry_points}
[tool.setuptools.packages.find]
namespaces = true
"""


def pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *words, "--root-user-action=ignore"], check=True)


def subset(requirements: Path, *names: str) -> str:
    """A file with only the pins of `names`, hashes included."""
    pins = re.split(r"\n(?=\S)", requirements.read_text())
    kept = [pin for pin in pins if pin.split("==")[0] in names]
    file = WORK / f"{names[0]}.txt"
    file.write_text("\n".join(kept) + "\n")
    return str(file)


def download(requirements: Path, *names: str) -> None:
    source = ["--no-binary", "jax"] if names == ("jax",) else []
    pins = ["--require-hashes", "--requirement", subset(requirements, *names)]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", *source, *pins, "--dest", WORK],
        check=True,
    )


def install(folder: Path) -> None:
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(folder))


def jax() -> None:
    """The source tree, made to take its version from the build as one from git does."""
    archive = next(WORK.glob("jax-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall("/opt", filter="data")
    folder = Path("/opt", archive.name.removesuffix(".tar.gz")).rename("/opt/jax")
    version = folder / "jax/version.py"
    text = version.read_text()
    version.write_text(re.sub(r"^_release_version.*$", "_release_version = None", text, flags=re.M))
    os.environ["WHEEL_VERSION_SUFFIX"] = JAX_SUFFIX
    install(folder)


def library(name: str) -> None:
    """A wheel's content as a project of its own."""
    wheel = next(WORK.glob(f"{name.replace('-', '_')}-*.whl"))
    folder = Path("/opt/jaxlibs") / name
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder)
    info = next(folder.glob("*.dist-info"))
    released = wheel.name.split("-")[1]
    for file in folder.glob("**/version.py"):
        file.write_text(file.read_text().replace(f"'{released}'", f"'{released}{SUFFIX}'"))
    project = PROJECT.format(name=name, version=released + SUFFIX, entry_points=_entry_points(info))
    (folder / "pyproject.toml").write_text(project)
    subprocess.run(["rm", "-r", str(info)], check=True)
    install(folder)


def _entry_points(info: Path) -> str:
    file = info / "entry_points.txt"
    text = file.read_text() if file.exists() else ""
    found = re.findall(r"^(\S+) = (\S+)$", text, re.M)
    return "\n".join(f'jax_plugins.{name} = "{target}"' for name, target in found)


def main() -> None:
    requirements = Path(sys.argv[1])
    WORK.mkdir()
    pip("install", "--require-hashes", "--no-deps", "-r", subset(requirements, *ORDINARY))
    for names in (("jax",), LIBRARIES):
        download(requirements, *names)
    for name in LIBRARIES:
        library(name)
    jax()
    subprocess.run(["rm", "-r", str(WORK)], check=True)


if __name__ == "__main__":
    main()
