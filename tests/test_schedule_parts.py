"""The parts of jaxpad.schedule on input made by hand: no compile, no JAX."""

from __future__ import annotations

import dataclasses
import importlib
import struct
from pathlib import Path
from typing import Any

import pytest

from jaxpad import gpus, schedule
from jaxpad.schedule import UnreadableError, model, thunks
from jaxpad.schedule.cost import Roofline
from jaxpad.schedule.digests import Canonical, code
from jaxpad.schedule.hlo import Module, crosses, groups
from jaxpad.schedule.overlap import Reader, kernels
from jaxpad.schedule.thunks import message

hlo_module_from_text = importlib.import_module("jaxlib._hlo").hlo_module_from_text

# One layer of FSDP: an all-gather, and while it runs a product that does not need it.
HEAD = "HloModule step, is_scheduled=true, num_partitions=8"
GEMM = 'backend_config={"fusion_backend_config":{"kind":"__triton_gemm"}}'
TRIPS = 'backend_config={"known_trip_count":{"n":"4"}}'
START = (
    "%start = (bf16[512,1024], bf16[4096,1024]) all-gather-start(%shard), channel_id=1, "
    "replica_groups=[1,8]<=[8], dimensions={0}, use_global_device_ids=true"
)
DOT = f"%y = bf16[1024,1024] fusion(%a, %a), kind=kCustom, calls=%product, {GEMM}"
DONE = "%w = bf16[4096,1024] all-gather-done(%start)"


def layer(*body: str) -> str:
    """A loop of four runs around some instructions."""
    return f"""{HEAD}

%product (p: bf16[1024,1024], q: bf16[1024,1024]) -> bf16[1024,1024] {{
  %p = bf16[1024,1024] parameter(0)
  %q = bf16[1024,1024] parameter(1)
  ROOT %dot = bf16[1024,1024] dot(%p, %q), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
}}

%less (state: (bf16[512,1024], bf16[1024,1024])) -> pred[] {{
  %state = (bf16[512,1024], bf16[1024,1024]) parameter(0)
  ROOT %true = pred[] constant(true)
}}

%body (state.1: (bf16[512,1024], bf16[1024,1024])) -> (bf16[512,1024], bf16[1024,1024]) {{
  %state.1 = (bf16[512,1024], bf16[1024,1024]) parameter(0)
  %shard = bf16[512,1024] get-tuple-element(%state.1), index=0
  %a = bf16[1024,1024] get-tuple-element(%state.1), index=1
  {chr(10).join(body)}
  ROOT %next = (bf16[512,1024], bf16[1024,1024]) tuple(%shard, %y)
}}

ENTRY %main (x: (bf16[512,1024], bf16[1024,1024])) -> (bf16[512,1024], bf16[1024,1024]) {{
  %x = (bf16[512,1024], bf16[1024,1024]) parameter(0)
  ROOT %loop = (bf16[512,1024], bf16[1024,1024]) while(%x), condition=%less, body=%body, {TRIPS}
}}
"""


def module(text: str) -> Module:
    proto = hlo_module_from_text(text).as_serialized_hlo_module_proto()
    return Module(message("xla.HloModuleProto").FromString(proto))


def read(text: str, gpu: str = "a100-sxm-80", hosts: int | None = None) -> tuple[Any, Any]:
    whole = module(text)
    reader, places = Reader(whole, Roofline(gpus.load(gpu), hosts)), tuple(whole.placed())
    found = reader.collectives(places)
    return found, reader.overlap(places, found)


def test_overlap_by_hand() -> None:
    (gather,), overlap = read(layer(START, DOT, DONE))
    assert (gather.kind, gather.asynchronous, gather.form) == ("all-gather", True, "start and done")
    assert (gather.group, gather.loops, gather.runs) == (8, (4,), 4)
    assert gather.bytes == 4096 * 1024 * 2
    assert gather.sent == gather.bytes * 7 // 8
    assert gather.seconds == pytest.approx(7 * 2**20 / 300e9)  # 600 GB/s are both directions
    assert gather.between.kernels == {"Triton GEMM": 1}
    product = 2 * 1024**3 / 312e12  # longer than its 6 MiB at 2039 GB/s
    assert gather.between.seconds == pytest.approx(product)
    assert overlap.compute == pytest.approx(4 * product)
    assert overlap.communication == pytest.approx(4 * 7 * 2**20 / 300e9)
    assert overlap.exposed == pytest.approx(4 * (7 * 2**20 / 300e9 - product))
    assert overlap.figures["bf16 peak"].value == 312e12
    assert overlap.figures["nvlink"].source
    assert overlap.missing == ()
    assert "model" in overlap.label


def test_overlap_of_nothing() -> None:
    (gather,), overlap = read(layer(START, DONE, DOT))
    assert gather.between == schedule.Between({}, 0.0)
    assert overlap.exposed == overlap.communication


def test_overlap_of_a_synchronous_pair() -> None:
    sync = START + ', backend_config={"collective_backend_config":{"is_sync":true}}'
    (gather,), _ = read(layer(sync, DOT, DONE))
    assert not gather.asynchronous
    assert gather.between == schedule.Between({}, 0.0)


WRAPPED = """%wrapped (w.1: bf16[4096,1024]) -> bf16[512,1024] {
  %w.1 = bf16[4096,1024] parameter(0)
  ROOT %scatter = bf16[512,1024] reduce-scatter(%w.1), replica_groups=[1,8]<=[8],
    dimensions={0}, to_apply=%sum
}

%less"""
SUM = """%sum (l: bf16[], r: bf16[]) -> bf16[] {
  %l = bf16[] parameter(0)
  %r = bf16[] parameter(1)
  ROOT %total = bf16[] add(%l, %r)
}

"""


@pytest.mark.parametrize("sync", [True, False])
def test_wrapped_collective(sync: bool) -> None:
    begin = (
        "%begin = ((bf16[4096,1024]), bf16[512,1024]) async-start(%big), calls=%wrapped, "
        f'backend_config={{"collective_backend_config":{{"is_sync":{str(sync).lower()}}}}}'
    )
    end = "%end = bf16[512,1024] async-done(%begin)"
    text = layer("%big = bf16[4096,1024] constant({...})", begin, DOT, end)
    (scatter,), _ = read(text.replace("%less", SUM + WRAPPED, 1))
    assert (scatter.kind, scatter.form) == ("reduce-scatter", "wrapped")
    assert (scatter.bytes, scatter.sent) == (8 * 2**20, 7 * 2**20)
    assert scatter.asynchronous is not sync
    assert scatter.between.kernels == ({} if sync else {"Triton GEMM": 1})


def test_overlap_lacks_a_figure() -> None:
    _, overlap = read(layer(START, DOT, DONE), "l4")  # no NVLink
    assert (overlap.communication, overlap.exposed) == (None, None)
    assert overlap.compute
    assert overlap.missing == ("nvlink (the GPU has none)",)
    assert overlap.figures["nvlink"].value is None


def test_overlap_of_an_unconfirmed_figure() -> None:
    gpu = gpus.load("a100-sxm-80")
    peak = dict(gpu.peak) | {"bf16": gpus.Figure(312, None)}
    whole = module(layer(START, DOT, DONE))
    reader = Reader(whole, Roofline(dataclasses.replace(gpu, peak=peak)))
    overlap = reader.overlap(tuple(whole.placed()), ())
    assert overlap.compute is None
    assert overlap.missing == ("bf16 peak (unconfirmed)",)


def test_overlap_between_hosts() -> None:
    _, overlap = read(layer(START, DOT, DONE), hosts=4)
    assert overlap.communication is None
    assert "the bandwidth between hosts" in overlap.missing


def test_unknown_trip_count() -> None:
    (gather,), overlap = read(layer(START, DOT, DONE).replace(f", {TRIPS}", ""))
    assert (gather.loops, gather.runs) == ((None,), None)
    assert overlap.compute is None
    assert "a loop's trip count" in overlap.missing


def test_kernels_by_hand() -> None:
    whole = module(layer(START, DOT, DONE))
    (found,) = kernels(whole, tuple(whole.placed()))
    runs = 4
    assert found == schedule.Kernels(
        "Triton GEMM", 1, 0, runs, runs * 2 * 1024**3, runs * 3 * 2 * 1024**2
    )


def test_hlo_digest_knows_order() -> None:
    one, other = module(layer(START, DOT, DONE)), module(layer(START, DONE, DOT))
    assert Canonical(one).digest() != Canonical(other).digest()
    assert Canonical(one, False).digest() == Canonical(other, False).digest()


def test_hlo_digest_knows_no_labels() -> None:
    text = layer(START, DOT, DONE)
    other = text.replace("%w ", "%weight ").replace("%product", "%fused").replace("=1, ", "=7, ")
    other = other.replace(
        DONE.partition("%w")[2], DONE.partition("%w")[2] + ', metadata={op_name="f"}'
    )
    other = other.replace('"known', '"reification_cost":[{"name":"x"}],"known')
    assert text != other
    assert Canonical(module(text)).digest() == Canonical(module(other)).digest()
    changed = text.replace("lhs_contracting_dims={1}", "lhs_contracting_dims={0}")
    assert Canonical(module(text)).digest() != Canonical(module(changed)).digest()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("{{0,1},{2,3}}", [[0, 1], [2, 3]]),
        ("[2,2]<=[4]", [[0, 1], [2, 3]]),
        ("[2,2]<=[2,2]T(1,0)", [[0, 2], [1, 3]]),
        ("mesh['a'=2,'b'=2] {'b'}", [[0, 1], [2, 3]]),
        ("mesh['a'=2,'b'=2] {'a'}", [[0, 2], [1, 3]]),
        ("mesh['a'=4] {'a':(1)2}", [[0, 2], [1, 3]]),
    ],
)
def test_groups(listed: str, expected: list[list[int]]) -> None:
    text = layer(START.replace("[1,8]<=[8]", listed), DOT, DONE)
    whole = module(text)
    start = next(
        one
        for each in whole.computations.values()
        for one in each.instructions
        if one.opcode == "all-gather-start"
    )
    found = groups(whole, start)
    assert found == expected
    assert crosses(found, 2) == (expected[0] == [0, 2])
    assert not crosses(found, None)


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"\x03\x08abc", b"abc"),
        (b"\x09\x00a\x11\x01", b"aaaaaaaaa"[:9]),  # the copy reads what it writes
        (b"\x08\x0cabcd\x0e\x04\x00", b"abcdabcd"),
        (b"\x44\xf0\x43" + b"x" * 68, b"x" * 68),
    ],
)
def test_snappy(packed: bytes, plain: bytes) -> None:
    assert model.unsnappy(packed) == plain


@pytest.mark.parametrize("damaged", [b"\x09\x08abc", b"\x04\x0e\x04\x00", b"\xff"])
def test_snappy_damaged(damaged: bytes) -> None:
    with pytest.raises((UnreadableError, IndexError)):
        model.unsnappy(damaged)


def test_records_of_other_kinds() -> None:
    header = model.SIGNATURE + bytes(16)
    chunk = bytes(8) + (1).to_bytes(8, "little") + bytes(8) + b"t" + bytes(15)
    with pytest.raises(UnreadableError, match="chunks of kind b't'"):
        model.records(header + chunk + b"x")
    brotli = chunk.replace(b"t", b"r").replace(b"\x01", b"\x03")
    with pytest.raises(UnreadableError, match="compressed with 'b'"):
        model.records(header + brotli + b"b\x01x")


def elf(names: bytes, text: bytes) -> bytes:
    """A tiny ELF-64 file: a section of names and one of code."""
    start = 64 + len(names) + len(text)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01".ljust(16, b"\0"), 2, 190, 1, 0, 0, start, 0, 64, 0, 0, 64, 3, 1),
    )
    sections = [(0, 0, 0, 0), (3, 0, 64, len(names)), (1, 6, 64 + len(names), len(text))]
    table = b"".join(
        struct.pack("<IIQQQQIIQQ", 0, kind, flags, 0, offset, size, 0, 0, 0, 0)
        for kind, flags, offset, size in sections
    )
    return header + names + text + table


def test_cubin() -> None:
    assert code(elf(b"gemm_3", b"code")) == code(elf(b"gemm_fusion_12", b"code"))
    assert code(elf(b"gemm_3", b"code")) != code(elf(b"gemm_3", b"edoc"))
    for damaged in (b".version 8.8", elf(b"gemm", b"code")[:-70]):
        with pytest.raises(UnreadableError, match="device code is"):
            code(damaged)


BARE = """000: kCopy         [source | sink] kCopy
001: kCustomKernel [source | sink] loop_fusion grid: [64, 1, 1] threads: [128, 1, 1]
"""
RECORDED = """000: kCommandBuffer [source       | sink ]
    000: kCopy         [source | sink] kCopy
    001: kWhile        [source | sink]
    condition:
        002: kCustomKernel [source | sink] other_fusion_7 grid: [64, 1, 1]
003: kCopy [source | sink] kCopy
"""


def test_final_thunks(tmp_path: Path) -> None:
    emitted = tmp_path / "module_0001.jit_f.thunk_sequence.txt"
    emitted.write_text(BARE)
    lines = thunks.final(tmp_path, "jit_f")
    assert [line.kind for line in lines] == ["Copy", "CustomKernel"]
    assert "loop_fusion" not in lines[1].rest
    assert "grid: [64, 1, 1] threads: [128, 1, 1]" in lines[1].rest
    counted = thunks.thunks(None, lines)
    assert (counted.command_buffers, counted.recorded) == (0, 0)
    passed = tmp_path / "module_0001.jit_f.thunk_sequence_after_thunk_passes.txt"
    passed.write_text(RECORDED)
    counted = thunks.thunks(None, thunks.final(tmp_path, "jit_f"))
    assert counted.final == {"CommandBuffer": 1, "Copy": 2, "CustomKernel": 1, "While": 1}
    assert (counted.command_buffers, counted.recorded, counted.emitted) == (1, 3, None)


def test_final_thunks_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="holds no thunk sequences"):
        thunks.final(tmp_path, "jit_f")
    for number in (1, 2):
        (tmp_path / f"module_000{number}.jit_f.thunk_sequence.txt").write_text(BARE)
    with pytest.raises(UnreadableError, match="holds 2 thunk sequences"):
        thunks.final(tmp_path, "jit_f")
    (tmp_path / "module_0001.jit_g.thunk_sequence.txt").write_text("0 Copy")
    with pytest.raises(UnreadableError, match="a line of a new form"):
        thunks.final(tmp_path, "jit_g")


def program(**changed: Any) -> schedule.Program:
    """A program that says little."""
    parts = {"hlo": schedule.Part("1"), "final thunks": schedule.Part("2")}
    little = schedule.Program(
        gpu="h100-sxm",
        kernels=(),
        collectives=(),
        overlap=schedule.Overlap(None, None, None, {}, ()),
        memory=None,
        thunks=schedule.Thunks(None, None, None, None),
        digest=schedule.Digest(parts, schedule.Part("3")),
    )
    return dataclasses.replace(little, **changed)


def digest(hlo: str, final: str | None, unordered: str = "3") -> schedule.Digest:
    parts = {"hlo": schedule.Part(hlo), "final thunks": schedule.Part(final)}
    return schedule.Digest(parts, schedule.Part(unordered))


@pytest.mark.parametrize(
    ("other", "same", "changes"),
    [
        (digest("1", "2"), "yes", ()),
        (digest("4", "2"), "no", ("order only",)),
        (digest("4", None), "no", ("order only",)),
        (digest("4", "2", "5"), "no", ("other hlo",)),
        (digest("1", None), "unknown", ("unknown: final thunks could not be read",)),
        (digest("4", "5", "6"), "no", ("other hlo and final thunks",)),
    ],
)
def test_same(other: schedule.Digest, same: str, changes: tuple[str, ...]) -> None:
    after = program(digest=other)
    assert schedule.same(program(), after) == schedule.same(after, program()) == same
    assert schedule.compare(program(), after) == changes


def test_compare_memory() -> None:
    before, after = (
        program(
            memory=schedule.Memory(1, 2, size, 0, None, None, None), digest=digest(str(size), "2")
        )
        for size in (1912 << 20, 2080 << 20)
    )
    changes = schedule.compare(before, after)
    assert changes[0] == "2080 MiB of temporaries instead of 1912 MiB"


def test_compare_fits() -> None:
    small, large = (
        program(memory=schedule.Memory(size, 0, 0, 0, None, None, 10), digest=digest(str(size), ""))
        for size in (10, 11)
    )
    assert "no longer fits the GPU's memory" in schedule.compare(small, large)
    assert "fits the GPU's memory" in schedule.compare(large, small)
    assert not [one for one in schedule.compare(small, small) if "fits" in one]
