"""GPU descriptions: they load, tell GPUs apart, and say of XLA's figures what XLA says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import message_factory, text_format

from jaxpad import flags, gpus
from jaxpad.core.results import UsageError
from jaxpad.flags import installed
from jaxpad.gpus import description

NAMES = (
    *("a10", "a100-pcie-40", "a100-pcie-80", "a100-sxm-40", "a100-sxm-80", "b200", "b300"),
    *("gb200", "gb300", "gh200", "h100-nvl", "h100-pcie", "h100-sxm", "h200", "l4", "l40s"),
    *("rtx-3090", "rtx-4090", "rtx-5090", "rtx-pro-6000", "t4"),
    *("v100-pcie-16", "v100-pcie-32", "v100-sxm-16", "v100-sxm-32"),
)
ARCHITECTURES = {
    "7.0": "volta",
    "7.5": "turing",
    "8.0": "ampere",
    "8.6": "ampere",
    "8.9": "ada",
    "9.0": "hopper",
    "10.0": "blackwell",
    "10.3": "blackwell",
    "12.0": "blackwell",
}
PROTO = "xla/stream_executor/device_description.proto"


def test_names() -> None:
    assert gpus.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_load(name: str) -> None:
    gpu = gpus.load(name)
    assert gpu.name == name
    assert gpu.architecture == ARCHITECTURES[gpu.compute_capability]
    assert gpus.load(str(gpu.path)) == gpu
    assert (gpu.target.origin == "upstream") == (not gpu.target.edited)
    assert gpus.recognise(None, gpu.target.name) == gpu


@pytest.mark.parametrize("name", NAMES)
def test_rates_fit_together(name: str) -> None:
    """Dense rates: a wrong row or a number with sparsity would break these."""
    peak = {dtype: rate.value for dtype, rate in gpus.load(name).peak.items() if rate.value}
    if "bf16" in peak:
        assert peak["bf16"] == peak["fp16"]
        assert peak["bf16"] / peak["tf32"] == pytest.approx(2, rel=0.02)
    if {"bf16", "fp8"} <= peak.keys():
        assert peak["fp8"] / peak["bf16"] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_bandwidth_near_target(name: str) -> None:
    gpu = gpus.load(name)
    told = float(gpu.target.figures["memory_bandwidth"]) / 1e9
    assert gpu.memory.bandwidth_gb_per_s.value == pytest.approx(told, rel=0.06)


def test_each_answers_to_its_own() -> None:
    found = [gpus.load(name) for name in NAMES]
    for all_of_them in ([d for g in found for d in g.pci], [n for g in found for n in g.names]):
        assert len(all_of_them) == len(set(all_of_them))
    assert all(gpus.recognise(device, None) == gpu for gpu in found for device in gpu.pci)
    assert all(gpus.recognise(None, name) == gpu for gpu in found for name in gpu.names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L40", None),
        ("NVIDIA A10", "a10"),
        ("NVIDIA A10G", None),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm-40"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80"),
        ("A100-SXM4-80GB", "a100-sxm-80"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80"),
        ("NVIDIA A100-SXM-64GB", None),
        ("NVIDIA A800-SXM4-80GB", None),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA H100", None),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA H20", None),
        ("NVIDIA GH200 480GB", "gh200"),
        ("NVIDIA GH200 120GB", "gh200"),
        ("NVIDIA GH200 144G HBM3e", None),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA B300 SXM6 AC", "b300"),
        ("NVIDIA GB300", "gb300"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", None),
        ("NVIDIA RTX 6000 Ada Generation", None),
        ("Tesla T4", "t4"),
        ("NVIDIA T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100-sxm-16"),
        ("Tesla V100-SXM2-32GB", "v100-sxm-32"),
        ("Tesla V100S-PCIE-32GB", None),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 3090 Ti", None),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 5090", "rtx-5090"),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "a100-sxm-80"),
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", "h100-sxm"),
        ("NVIDIA", None),
        ("", None),
        ("cpu", None),
    ],
)
def test_recognise_name(name: str, expected: str | None) -> None:
    found = gpus.recognise(None, name)
    assert (found and found.name) == expected


@pytest.mark.parametrize("spelling", ["2330", "0x2330", "10de:2330", "10DE:2330", "0x233010DE"])
def test_recognise_device_first(spelling: str) -> None:
    found = gpus.recognise(spelling, "NVIDIA L4")
    assert found
    assert found.name == "h100-sxm"


def test_recognise_other_device() -> None:
    """An id that no description has says nothing: the name does."""
    found = gpus.recognise("0xffff", "NVIDIA L4")
    assert found
    assert found.name == "l4"
    assert gpus.recognise("2757", "NVIDIA GeForce RTX 4090 Laptop GPU") is None
    assert gpus.recognise(None, None) is None


def shipped() -> dict[str, Any]:
    """The target configs that the installed plugin carries as text, by their GPU's name."""
    library, descriptor = flags.plugin_library(), None
    if library is not None:
        descriptor = installed._message(PROTO, "stream_executor.GpuTargetConfigProto")
    if library is None or descriptor is None:
        return {}
    found, data = {}, library.read_bytes()
    for part in data.split(b"\ngpu_device_info {")[1:]:
        text = "gpu_device_info {" + part[: part.index(b"\0")].decode(errors="replace")
        if 'platform_name: "CUDA"' in text:
            config: Any = message_factory.GetMessageClass(descriptor)()
            try:
                text_format.Parse(text, config)
            except text_format.ParseError:
                continue  # a topology around a config, or one that this release cannot read
            found[config.device_description_str] = config
    return found


def told(config: Any) -> dict[str, Any]:
    """What a config tells of the figures that a description may have."""
    info = config.gpu_device_info
    known = {*description.KINDS, *description.COMMON} & set(info.DESCRIPTOR.fields_by_name)
    units = {which: getattr(info, f"{which}_description") for which in description.UNITS}
    capability = info.cuda_compute_capability
    return {
        **{name: getattr(info, name) for name in known},
        **{which: str(unit) for which, unit in units.items()},
        "compute_capability": (capability.major, capability.minor),
        "feature_extension": capability.feature_extension,
        "active_links": info.device_interconnect_info.active_links,
        "name": config.device_description_str,
    }


def test_targets_are_xlas() -> None:
    """`upstream` is XLA's own figures, and `edited` names exactly what is not."""
    configs = shipped()
    if not configs:
        pytest.skip(f"jaxlib {flags.jaxlib_version()}'s plugin carries no target configs")
    device = {"a6000": "NVIDIA RTX A6000"}
    found = [gpus.load(name) for name in NAMES]
    device |= {gpu.target.config: gpu.target.name for gpu in found if not gpu.target.edited}
    for gpu in found:
        base = configs[device[gpu.target.config]]
        ours, xlas = told(text_format.Parse(gpus.text_proto(gpu), type(base)())), told(base)
        assert {key for key in xlas if ours[key] != xlas[key]} == set(gpu.target.edited), gpu.name


GOOD = (gpus.FOLDER / "l4.toml").read_text()


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = \n", "not TOML: Invalid value"),
        ("[peek]\n" + GOOD, "unknown key 'peek'; did you mean peak?"),
        (changed('architecture = "ada"', 'architecture = "adda"'), "'adda', which is not known"),
        (changed('compute_capability = "8.9"', ""), "compute_capability is missing"),
        (changed('"8.9"\n\n', '"89"\n\n'), "compute_capability is '89', expected one such as"),
        (changed('"27b8"', '"27B8"'), "[recognise]: pci has '27B8', expected 4 digits"),
        (changed('"27b8"', ""), "[recognise]: pci or names is empty"),
        (changed("bf16 = 121", "bf61 = 121"), "[peak]: unknown key 'bf61'; did you mean bf16"),
        (changed("bf16 = 121", 'bf16 = "121"'), "[peak]: bf16 is a string, expected a number"),
        (changed("bf16 = 121", "bf16 = -1"), "[peak]: bf16 is -1, expected a number above 0"),
        (changed("bf16 = 121", "bf16 = nan"), "[peak]: bf16 is nan, expected a number above 0"),
        (changed("sources = { int8", "sources = { int4"), "[peak] sources: unknown key 'int4'"),
        (changed("size_gb = 24", ""), "[memory]: size_gb is missing; give a number or"),
        (changed("tdp_watts = 72", "watts = 72"), "[power]: unknown key 'watts'"),
        (changed("width = 16\nsource", "width = 16\n#"), "[pcie]: source is missing"),
        (changed('"edited by hand"', '"upstream"'), "[target]: origin is 'upstream', expected"),
        (changed("core_count = 58", ""), "[target]: core_count is missing; XLA needs it"),
        (changed("core_count = 58", "core_count = 0"), "core_count is 0; expected a finite"),
        (changed("core_count = 58", "core_count = 5.8"), "core_count is a number, expected a who"),
        (changed('"NONE"', '"SOME"'), "[target]: feature_extension is 'SOME', expected NONE,"),
        (changed("[target.edited]", "[target.edit]"), "[target]: unknown key 'edit'; did you mean"),
        (changed('\ncore_count = "', '\ncore = "'), "[target.edited]: unknown key 'core'"),
    ],
    ids=lambda text: text[:40],
)
def test_load_refuses(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refusal:
        gpus.load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_load_unconfirmed(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(changed("bf16 = 121", 'bf16 = "unconfirmed"'))
    gpu = gpus.load(path)
    assert gpu.peak["bf16"] == gpus.Figure(None, None)
    assert gpu.peak["fp16"].confirmed
    assert not gpu.peak["bf16"].confirmed


def test_load_no_name() -> None:
    with pytest.raises(UsageError, match=r"no GPU is called 'h100-sx' .*did you mean h100-sxm"):
        gpus.load("h100-sx")
