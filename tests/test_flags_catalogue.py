"""The options of the installed XLA, and which releases knew which flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaxpad import flags
from jaxpad.core.results import UsageError
from jaxpad.flags import schema
from jaxpad.flags.schema import dig, fields


def test_catalogue_size() -> None:
    assert len(flags.catalogue()) > 250
    assert all(name == option.name for name, option in flags.catalogue().items())


@pytest.mark.parametrize(
    ("name", "kind", "default"),
    [
        ("xla_gpu_enable_latency_hiding_scheduler", "bool", "false"),
        ("xla_gpu_autotune_level", "int32", "4"),
        ("xla_gpu_all_reduce_combine_threshold_bytes", "int64", "31457287"),
        ("xla_gpu_cuda_data_dir", "string", "./cuda_sdk_lib"),
        ("xla_disable_hlo_passes", "list of string", ""),
        ("xla_backend_extra_options", "map", ""),
        ("xla_gpu_shape_checks", "enum", "RUNTIME"),
    ],
)
def test_catalogue_option(name: str, kind: str, default: str) -> None:
    assert (flags.catalogue()[name].type, flags.catalogue()[name].default) == (kind, default)
    assert flags.catalogue()[name].flag


def test_catalogue_list() -> None:
    option = flags.catalogue()["xla_gpu_enable_command_buffer"]
    assert option.type == "list of enum"
    assert {"FUSION", "CUBLAS", "CUSTOM_CALL"} < set(option.default.split(","))
    assert set(option.default.split(",")) < set(option.choices)


def test_catalogue_deprecated() -> None:
    assert flags.catalogue()["xla_gpu_autotune_max_solutions"].deprecated
    assert not flags.catalogue()["xla_gpu_autotune_level"].deprecated


def test_flag_is_what_xla_knows() -> None:
    """`flag` by one trick in one string, and asked one by one, are the same."""
    readings = flags.read([f"--{name}=?" for name in flags.catalogue()])
    unknown = {
        n for n, r in zip(flags.catalogue(), readings, strict=True) if "Unknown flag" in r.message
    }
    assert unknown == {name for name, option in flags.catalogue().items() if not option.flag}
    assert "xla_detailed_logging" in unknown


def test_history_agrees() -> None:
    version = flags.jaxlib_version()
    if version not in flags.tested():
        pytest.skip(f"jaxlib {version} is not in the flag history")
    known = {name for name, releases in flags.history().items() if version in releases}
    assert {name for name, option in flags.catalogue().items() if option.flag} <= known
    assert not {name for name, option in flags.catalogue().items() if not option.flag} & known


def test_history_spans() -> None:
    assert flags.tested()[0] == "0.4.38"
    assert flags.history()["xla_gpu_graph_level"] == ("0.4.38", "0.5.3", "0.6.2")
    assert flags.history()["xla_gpu_enable_async_collectives"] == ()
    assert flags.history()["xla_gpu_autotune_level"] == flags.tested()
    assert flags.known_by("xla_gpu_graph_level") == "known by jaxlib 0.4.38 to 0.6.2"
    assert flags.known_by("xla_zz") == "known by none of jaxlib 0.4.38 to 0.12.0.1"


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("xla_gpu_enable_while_loop_unrolling", "WHILE_LOOP_UNROLLING_FULL_UNROLL"),
        ("xla_gpu_all_gather_mode", "peer"),
        ("xla_gpu_detect_nan", "warning"),
        ("xla_gpu_enable_command_buffer", "CUBLAS"),
    ],
)
def test_spellings_accepted(name: str, spelling: str) -> None:
    assert spelling in flags.spellings(name)
    assert flags.accept(f"--{name}={spelling}").ok


def test_no_description(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "small.so").write_bytes(b"\0" * 100)
    monkeypatch.setattr(schema, "_libraries", lambda: [tmp_path / "small.so"])
    schema.debug_options.cache_clear()
    with pytest.raises(UsageError, match="carries no description of XLA's options"):
        schema.debug_options()
    monkeypatch.undo()
    schema.debug_options.cache_clear()


def test_wire() -> None:
    data = bytes([0x08, 0x96, 0x01, 0x1A, 0x02, 0x10, 0x07, 0x25, 1, 2, 3, 4, 0x00, 0x99])
    assert [(number, bytes(payload)) for number, payload, _ in fields(data)] == [
        (1, b""),
        (3, b"\x10\x07"),
        (4, b""),
    ]
    assert dig(data, 3) == b"\x10\x07"
    assert dig(data, 2, 5) == b""
