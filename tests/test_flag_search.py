"""`profile.flags`: search the flags of the installed XLA."""

from __future__ import annotations

import json

import pytest

from jaxpad import flags
from jaxpad.cli import profile
from jaxpad.commands.profile import FlagsOptions
from jaxpad.flags import installed, schema


def test_search_name() -> None:
    found = profile.search("latency hiding-SCHEDULER enable")
    assert [row["name"] for row in found] == ["xla_gpu_enable_latency_hiding_scheduler"]
    assert (found[0]["type"], found[0]["default"]) == ("bool", "false")


def test_search_choice() -> None:
    found = {row["name"]: row for row in profile.search("dynamic_slice_fusion")}
    assert "DYNAMIC_SLICE_FUSION" in found["xla_gpu_enable_command_buffer"]["choices"]
    assert "xla_gpu_enable_dynamic_slice_fusion" in found


def test_search_all() -> None:
    names = [row["name"] for row in profile.search("")]
    assert names == sorted(names)
    assert {n for n, option in flags.catalogue().items() if option.flag} <= set(names)
    assert "xla_detailed_logging" not in names  # an option that has no flag


def test_search_older_spelling() -> None:
    """XLA takes it, as an option of its own or as another spelling."""
    (row,) = profile.search("xla_gpu_enable_pipelined_all_gather")
    own = row["name"] in flags.catalogue()
    assert row["type"] == ("bool" if own else "no option")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.flags_command(FlagsOptions("autotune_max_solutions", json=True)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["deprecated"] is True
    assert set(row) == {"name", "type", "default", "choices", "deprecated", "plugin"}


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.flags_command(FlagsOptions("xla_gpu_autotune_level", json=False)) == 0
    said = capsys.readouterr()
    assert "xla_gpu_autotune_level" in said.out
    assert f"1 flag of jaxlib {flags.jaxlib_version()}; the CUDA plugin" in said.err


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.flags_command(FlagsOptions("triton_gem_anny", json=True)) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert "matches 'triton_gem_anny'; the nearest are " in said.err
    assert "xla_gpu_triton_gemm_any" in said.err


def test_plugin_is_the_same() -> None:
    if flags.plugin_library() is None:
        pytest.skip("the CUDA plugin is not installed")
    assert flags.disagreements() == {}


def test_plugin_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """jaxlib held to an other message: the flags of one are not those of the other."""
    monkeypatch.setattr(installed, "_MESSAGE", "xla.ExecutionOptions")
    installed.disagreements.cache_clear()
    try:
        differ = installed.disagreements()
    finally:
        installed.disagreements.cache_clear()
    assert differ
    assert differ["xla_gpu_autotune_level"] == "not in the CUDA plugin"
    assert differ["debug_options"] == "only in the CUDA plugin"


def test_plugin_absent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(installed, "plugin_library", lambda: None)
    installed.disagreements.cache_clear()
    try:
        profile.flags_command(FlagsOptions("xla_gpu_autotune_level", json=True))
    finally:
        installed.disagreements.cache_clear()
    assert json.loads(capsys.readouterr().out)[0]["plugin"] == "not installed"


def test_difference() -> None:
    fields = schema.descriptor().fields_by_name
    number, text = fields["xla_gpu_autotune_level"], fields["xla_gpu_cuda_data_dir"]
    old = fields["xla_gpu_autotune_max_solutions"]
    modes = fields["xla_gpu_enable_command_buffer"]
    assert installed._difference(number, number) == ""
    assert installed._difference(number, text) == "other type in the CUDA plugin"
    assert "deprecation" in installed._difference(number, old)
    assert "type and choices" in installed._difference(number, modes)
