"""How GPUs get into containers: toolkit, CDI, --gpus, and what a daemon reload does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jaxpad.nvml import Driver
from test_doctor_machine import Machine

DIRS = ["/etc/cdi", "/var/run/cdi"]
# As nvidia-ctk writes it, shortened.
YAML = """---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  hooks:
  - args:
    - nvidia-cdi-hook
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{version}
    hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{version}
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/{node}
      permissions: rw
  name: all
kind: nvidia.com/gpu
"""


def spec(version: str = "580.95.05", node: str = "nvidia0") -> str:
    return YAML.format(version=version, node=node)


def spec_json(node: dict[str, str], kind: str = "nvidia.com/gpu") -> str:
    library = "/usr/lib/libnvidia-ml.so.580.95.05"
    mounts = [{"hostPath": library, "containerPath": library}]
    device = {"name": "all", "containerEdits": {"deviceNodes": [node], "mounts": mounts}}
    return json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": [device]})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A GPU and its driver, with no engine and no toolkit yet."""
    machine = Machine(tmp_path)
    machine.gpus()
    return machine


def test_toolkit_missing(machine: Machine) -> None:
    found = machine.ask("toolkit")
    assert (found.verdict, "nvidia-container-toolkit" in found.remedy) == ("fail", True)


def test_toolkit_not_on_path_but_used(machine: Machine) -> None:
    machine.write("etc/cdi/nvidia.yaml", spec())
    assert machine.ask("toolkit").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("program", "said", "found"),
    [
        ("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.18.0", "version 1.18.0"),
        ("nvidia-container-cli", "cli-version: 1.17.8", "version 1.17.8"),
    ],
)
def test_toolkit_version(machine: Machine, program: str, said: str, found: str) -> None:
    machine.program(program, f"echo '{said}'")
    assert machine.ask("toolkit").found == found


def test_toolkit_broken(machine: Machine) -> None:
    machine.program("nvidia-ctk", "echo 'libnvidia-container.so.1: not found' >&2; exit 127")
    found = machine.ask("toolkit")
    assert (found.verdict, "not found" in found.found) == ("inconclusive", True)


def test_cdi_fits(machine: Machine) -> None:
    machine.write("var/run/cdi/nvidia.yaml", spec())
    machine.write("etc/cdi/other.json", spec_json({"path": "/dev/gone"}, kind="vendor.com/net"))
    found = machine.ask("cdi")
    assert (found.verdict, found.found) == ("pass", "/var/run/cdi/nvidia.yaml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("nvidia.yaml", spec(version="570.133.20"), "driver 570.133.20, and 580.95.05 is loaded"),
        ("nvidia.yaml", spec(node="nvidia7"), "names /dev/nvidia7, which is not there"),
        ("nvidia.json", spec_json({"path": "/dev/nvidia7"}), "/dev/nvidia7"),
        ("nvidia.json", "{", "not valid"),
        ("nvidia.json", "[]", "not valid"),
    ],
)
def test_cdi_stale(machine: Machine, name: str, text: str, words: str) -> None:
    machine.write(f"etc/cdi/{name}", text)
    found = machine.ask("cdi")
    assert (found.verdict, words in found.found) == ("fail", True), found
    assert "nvidia-ctk cdi generate" in found.remedy


def test_cdi_node_of_another_name_on_the_host(machine: Machine) -> None:
    """`hostPath` is where the node is here; `path` is its name in the container."""
    machine.write("dev/null")
    node = {"path": "/dev/nvidia7", "hostPath": "/dev/null"}
    machine.write("etc/cdi/nvidia.json", spec_json(node))
    assert machine.ask("cdi").verdict == "pass"


@pytest.mark.parametrize("nodes", ["hostPath first", "path first"])
def test_cdi_fields_in_any_order(machine: Machine, nodes: str) -> None:
    machine.write("run/nvidia/driver/dev/nvidia9")
    fields = ["hostPath: /run/nvidia/driver/dev/nvidia9", "path: /dev/nvidia9"]
    first, second = fields if nodes == "hostPath first" else fields[::-1]
    text = f"kind: nvidia.com/gpu\ndeviceNodes:\n  - {first}\n    permissions: rw\n    {second}\n"
    machine.write("etc/cdi/nvidia.yaml", text)
    assert machine.ask("cdi").verdict == "pass"


def test_rootless_docker_sets_no_cgroups(machine: Machine) -> None:
    machine.toolkit()
    machine.docker(SecurityOptions=["name=rootless"])
    found = machine.ask("gpu access")
    assert (found.verdict, "no-cgroups" in found.remedy) == ("inconclusive", True)
    machine.write("etc/nvidia-container-runtime/config.toml", "no-cgroups = true\n")
    assert machine.ask("gpu access").verdict == "pass"


def test_cdi_wanted_by_podman_alone(machine: Machine) -> None:
    machine.docker()
    assert machine.ask("cdi").verdict == "not applicable"
    machine.podman()
    assert machine.ask("cdi").verdict == "fail"


def test_way_of_docker(machine: Machine) -> None:
    """What launch says: --gpus, also where docker reads CDI."""
    machine.toolkit()
    machine.docker("28.2.2", CDISpecDirs=DIRS)
    machine.write("etc/cdi/nvidia.yaml", spec())
    found = machine.ask("gpu access")
    assert (found.verdict, found.found) == ("pass", "docker: --gpus all")


@pytest.mark.parametrize(
    ("version", "dirs", "verdict"),
    [("28.2.2", DIRS, "inconclusive"), ("25.0.0", [], "fail"), ("20.10.24+dfsg1", None, "fail")],
)
def test_way_without_hook(
    machine: Machine, version: str, dirs: list[str] | None, verdict: str
) -> None:
    """CDI in docker is there by hand, where it is switched on; launch's --gpus wants the hook."""
    machine.docker(version, CDISpecDirs=dirs)
    machine.write("etc/cdi/nvidia.yaml", spec())
    found = machine.ask("gpu access")
    assert (found.verdict, "by hand" in found.found) == (verdict, bool(dirs))
    assert "runtime configure --runtime=docker" in found.remedy


def test_way_of_podman(machine: Machine) -> None:
    machine.podman()
    assert "cdi generate" in machine.ask("gpu access").remedy
    machine.write("etc/cdi/nvidia.yaml", spec())
    found = machine.ask("gpu access")
    assert (found.verdict, found.found) == ("pass", "podman: CDI, --device nvidia.com/gpu=all")


def test_way_by_registered_runtime(machine: Machine) -> None:
    machine.docker("20.10.24", Runtimes={"nvidia": {"path": "nvidia-container-runtime"}})
    assert machine.ask("gpu access").found == "docker: --gpus all"


def test_ways_differ(machine: Machine) -> None:
    machine.toolkit()
    machine.docker()
    machine.podman()
    found = machine.ask("gpu access")
    assert found.verdict == "fail"
    assert found.found == "docker: --gpus all; podman: no way to give a container a GPU"


def test_reload_harmless_with_cgroupfs(machine: Machine) -> None:
    machine.docker(CgroupDriver="cgroupfs")
    assert machine.ask("reload").verdict == "pass"


def test_reload_threatens_gpus(machine: Machine) -> None:
    """Links in /dev/char do not save a container that the hook gave its GPUs."""
    machine.toolkit()
    machine.docker(CgroupDriver="systemd")
    assert "no link to nvidia0, nvidiactl" in machine.ask("reload").found
    link_nodes(machine)
    found = machine.ask("reload")
    assert (found.verdict, "native.cgroupdriver=cgroupfs" in found.remedy) == ("inconclusive", True)


def test_reload_harmless_with_cdi(machine: Machine) -> None:
    machine.docker(CgroupDriver="systemd", CDISpecDirs=DIRS)
    assert machine.ask("reload").verdict == "not applicable"
    machine.write("etc/cdi/nvidia.yaml", spec())
    found = machine.ask("reload")
    assert (found.verdict, "create-dev-char-symlinks" in found.remedy) == ("inconclusive", True)
    link_nodes(machine)
    assert machine.ask("reload").verdict == "pass"


def link_nodes(machine: Machine) -> None:
    char = machine.root / "dev/char"
    char.mkdir()
    (char / "195:0").symlink_to("../nvidia0")
    (char / "195:255").symlink_to("../nvidiactl")


def test_reload_has_bitten(machine: Machine) -> None:
    machine.write(".dockerenv")
    machine.driver = Driver(error="NVMLError_Unknown: Unknown Error")
    found = machine.ask("reload")
    assert (found.verdict, "start this docker container anew" in found.remedy) == ("fail", True)


def test_reload_unknown_while_docker_is_down(machine: Machine) -> None:
    machine.docker_down("Cannot connect to the Docker daemon")
    assert machine.ask("reload").verdict == "inconclusive"


def test_reload_says_cgroup_version(machine: Machine) -> None:
    machine.docker()
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
    assert machine.ask("reload").found == "cgroup 2, kept by cgroupfs"
