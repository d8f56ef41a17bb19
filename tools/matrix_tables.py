"""The matrix as tables for docs/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jaxpad import gpus, profiles
from jaxpad.effects import DEFAULT, NEITHER, Verdict
from jaxpad.effects.matrix import GPUS, PEERS, Effects, Matrix

# Many effects of one flag as one: the strongest over workloads.

# From what stops a process to what does nothing.
STRENGTH = (
    Verdict.FATAL,
    Verdict.REJECTED,
    Verdict.BREAKS,
    Verdict.CHANGES,
    Verdict.UNDECIDED,
    Verdict.RUN_TIME,
    Verdict.NO_EFFECT,
)


def strongest(effects: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The effect that outranks the others, None where there is none."""
    ranks = {str(verdict): rank for rank, verdict in enumerate(STRENGTH)}
    return min(effects, key=lambda effect: ranks[effect["verdict"]], default=None)


def of_flag(rows: Iterable[Effects], name: str, **where: str) -> Iterator[Mapping[str, Any]]:
    """What a flag does alone and left out, in the rows that match.

    Where the whole profile does not compile, what leaving a flag out does says nothing.
    """
    for row in rows:
        if all(row[key] == value for key, value in where.items()):
            for flag in row["flags"]:
                if flag["name"] == name:
                    both = (flag["alone"], flag["left_out"])
                    yield from (
                        one for one in both if not one.get("reason", "").startswith(NEITHER)
                    )


def names(rows: Iterable[Effects]) -> tuple[str, ...]:
    """The flags in rows, in their order, each once."""
    return tuple(dict.fromkeys(flag["name"] for row in rows for flag in row["flags"]))


def values(rows: Iterable[Effects]) -> dict[str, str]:
    """The value of each flag."""
    return {flag["name"]: flag["value"] for row in rows for flag in row["flags"]}


LATENCY_HIDING = "xla_gpu_enable_latency_hiding_scheduler"
TRITON_GEMM_ANY = "xla_gpu_triton_gemm_any"
_EXPOSED = re.compile(
    r"(?P<after>[\d.]+) us of communication exposed instead of (?P<before>[\d.]+)"
)
_TIPS = f"{PEERS}/jax-docs-tips"
_SHORT = {
    Verdict.CHANGES: "changes",
    Verdict.NO_EFFECT: "none",
    Verdict.RUN_TIME: "run time",
    Verdict.UNDECIDED: "undecided",
    Verdict.BREAKS: "breaks",
    Verdict.FATAL: "fatal",
    Verdict.REJECTED: "rejected",
}


def builds(found: Matrix) -> str:
    """What the matrix was computed with."""
    rows = [
        (
            build.jaxlib,
            f"{build.cells:,}",
            f"{build.programs:,}",
            f"{build.seconds / 60:.0f} min",
            build.machine,
            build.date,
        )
        for build in found.builds
    ]
    head = (
        "jaxlib",
        "cells",
        "different programs",
        "compiling, added up",
        "on",
        "date",
    )
    return _table(head, rows)


def shipped_table(found: Matrix) -> str:
    """For each of our profiles, what each flag does on each GPU."""
    return "\n".join(_profile(found, name) for name in _profiles(found) if PEERS not in name)


def model_table(found: Matrix) -> str:
    """What the roofline model says of each profile as a whole, where it says anything."""
    rows = [
        (f"`{row['profile']}`", row["workload"], row["gpu"], row["jaxlib"], *exposed)
        for name in _profiles(found)
        if PEERS not in name
        for row in found.effects_of(name)
        if (exposed := exposed_us(row))
    ]
    head = ("profile", "workload", "GPU", "jaxlib", "by default, us", "under the profile, us")
    return _table(head, [(*words, str(before), str(after)) for *words, before, after in rows])


def exposed_us(row: Effects) -> tuple[float, float] | None:
    """Communication that no compute hides, by default and under the whole profile, modelled.

    None where the model says nothing or the profile changes nothing in it.
    """
    found = (_EXPOSED.match(change) for change in row["whole"].get("changes", ()))
    one = next(filter(None, found), None)
    return (float(one["before"]), float(one["after"])) if one else None


def peers_table(found: Matrix) -> str:
    """For each published flag set, how many flags do what, and which are dead or redundant."""
    head = ("flag set", "flags", "fatal", "rejected", "XLA's default", "no effect", "changes")
    others = ("undecided", "run time", "breaks")
    sets = [name for name in _profiles(found) if PEERS in name]
    text = [_table((*head, *others), [_counted(found, name) for name in sets])]
    return "\n".join([*text, *(_peer(found, name) for name in sets)])


def latency_hiding(found: Matrix) -> str:
    """What the latency-hiding flag changes, by GPU, workload and jaxlib."""
    return "\n".join(_by_gpu(found, _TIPS, LATENCY_HIDING, build.jaxlib) for build in found.builds)


def triton_gemm_any(found: Matrix) -> str:
    """The same for the flag that lets Triton take any GEMM."""
    return "\n".join(_by_gpu(found, _TIPS, TRITON_GEMM_ANY, b.jaxlib) for b in found.builds)


def _profiles(found: Matrix) -> tuple[str, ...]:
    return tuple(sorted({row["profile"] for row in found.effects}))


def _profile(found: Matrix, name: str) -> str:
    rows = found.effects_of(name)
    seen = [gpu for gpu in GPUS if any(row["gpu"] == gpu for row in rows)]
    value = values(rows)
    lines = [
        (f"`{flag}={value[flag]}`", *(_cell(found, rows, flag, gpu) for gpu in seen))
        for flag in names(rows)
    ]
    programs = ", ".join(f"`{one}`" for one in dict.fromkeys(row["workload"] for row in rows))
    title = f"**{name}**: {profiles.load(name).description}. Workloads: {programs}.\n"
    return f"{title}\n{_table(('flag', *seen), lines)}"


def _cell(found: Matrix, rows: Sequence[Effects], flag: str, gpu: str) -> str:
    """One word where all jaxlibs agree, else one for each."""
    said = {
        build.jaxlib: _word(strongest(of_flag(rows, flag, gpu=gpu, jaxlib=build.jaxlib)))
        for build in found.builds
    }
    return said.popitem()[1] if len(set(said.values())) == 1 else _each(said)


def _each(said: dict[str, str]) -> str:
    return ", ".join(f"{word} ({jaxlib})" for jaxlib, word in said.items() if word)


def _word(effect: Any) -> str:
    return _SHORT[Verdict(effect["verdict"])] if effect else ""


def _counted(found: Matrix, name: str) -> tuple[str, ...]:
    """The newest jaxlib's counts."""
    rows = found.effects_of(name, found.builds[-1].jaxlib)
    flags = names(rows)
    said = {flag: strongest(of_flag(rows, flag)) for flag in flags}
    default = {flag for flag, one in said.items() if one and one.get("reason") == DEFAULT}
    words = [_word(one) for flag, one in said.items() if flag not in default]
    kinds = ("fatal", "rejected", None, "none", "changes", "undecided", "run time", "breaks")
    counts = (len(default) if kind is None else words.count(kind) for kind in kinds)
    return (f"`{name.partition('/')[2]}`", str(len(flags)), *(str(n) if n else "" for n in counts))


def _peer(found: Matrix, name: str) -> str:
    """The flags of one set by what they do, for each jaxlib."""
    rows = found.effects_of(name)
    where = ", ".join(dict.fromkeys(f"{row['workload']} on {row['gpu']}" for row in rows))
    text = [f"**{name.partition('/')[2]}**: {profiles.load(name).description}. For {where}.\n"]
    text += [_broken(row) for row in rows if row["whole"]["verdict"] == Verdict.BREAKS]
    value = values(rows)
    lines = [
        (
            f"`{flag}={value[flag]}`",
            *(_told(rows, flag, build.jaxlib) for build in found.builds),
        )
        for flag in names(rows)
    ]
    return "\n".join([*text, _table(("flag", *(b.jaxlib for b in found.builds)), lines)])


def _broken(row: Effects) -> str:
    place = f"{row['workload']} on {row['gpu']} with jaxlib {row['jaxlib']}"
    return f"All of it together breaks {place}: `{row['whole']['reason'][:100]}…`\n"


def _told(rows: Sequence[Effects], flag: str, jaxlib: str) -> str:
    effect = strongest(of_flag(rows, flag, jaxlib=jaxlib))
    if effect is None:
        return ""
    return "XLA's own default" if effect.get("reason") == DEFAULT else str(effect["verdict"])


def _by_gpu(found: Matrix, profile: str, flag: str, jaxlib: str) -> str:
    rows = found.effects_of(profile, jaxlib)
    programs = tuple(dict.fromkeys(row["workload"] for row in rows))
    lines = [
        (gpu, *(_word(strongest(_alone(rows, flag, gpu, program))) for program in programs))
        for gpu in GPUS
    ]
    return f"jaxlib {jaxlib}:\n\n{_table(('GPU', *programs), lines)}"


def _alone(rows: Sequence[Effects], name: str, gpu: str, workload: str) -> Iterator[Any]:
    for row in rows:
        if (row["gpu"], row["workload"]) == (gpu, workload):
            yield from (flag["alone"] for flag in row["flags"] if flag["name"] == name)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def architectures() -> str:
    """The GPUs of the matrix and what each stands for."""
    described = [gpus.load(name) for name in GPUS]
    rows = [(one.name, one.architecture, one.compute_capability) for one in described]
    return _table(("GPU", "architecture", "compute capability"), rows)
