"""Search spaces: read from TOML and held to the installed XLA."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaxpad.core.results import UsageError
from jaxpad.tune import Candidate, load_space

WIDTH = "xla_cpu_prefer_vector_width"


def written(folder: Path, flags: str, head: str = 'description = "x"') -> str:
    file = folder / "space.toml"
    file.write_text(f"{head}\n[flags]\n{flags}\n")
    return str(file)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_shipped(name: str) -> None:
    space = load_space(name, name)
    every = list(space.candidates())
    assert len(every) == len(set(every)) == space.size
    assert 90 <= space.size <= 500
    assert every[0] == Candidate()
    assert set(space.singles) <= set(every)


def test_default_left_out(tmp_path: Path) -> None:
    """256 is what the flag's absence gives anyway."""
    space = load_space(written(tmp_path, f"{WIDTH} = [128, 256]"), "cpu")
    assert space.flags == {WIDTH: ("128",)}


def test_digest_by_content(tmp_path: Path) -> None:
    one = load_space(written(tmp_path, f"{WIDTH} = [128, 512]"), "cpu").digest
    assert load_space(written(tmp_path, f"{WIDTH} = [512, 128] # again"), "cpu").digest == one
    assert load_space(written(tmp_path, f"{WIDTH} = [512]"), "cpu").digest != one


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("", "there is no flag"),
        (f"{WIDTH} = []", f"{WIDTH} is empty"),
        (f"{WIDTH} = 128", f"{WIDTH} is a whole number, expected a list"),
        (f"{WIDTH} = [128, 128]", "'128' twice"),
        (f'{WIDTH} = ["wide"]', "'wide', a string, expected a number (int32)"),
        (f"{WIDTH} = [true]", "expected a number (int32)"),
        ("xla_cpu_enable_fast_math = [1]", "expected true or false (bool)"),
        ('xla_cpu_max_isa = ["A B"]', "no space"),
        ("xla_cpu_prefer_vector_widht = [128]", f"{WIDTH}"),
        ("xla_gpu_enable_triton_gemm = [false]", "only acts on the gpu"),
        (f"{WIDTH} = [256]", "nothing to choose"),
        (f"{WIDTH} = [", "not TOML"),
        (f"{WIDTH} = {list(range(1, 30000))}", "expected at most 20000"),
    ],
)
def test_refused(tmp_path: Path, flags: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_space(written(tmp_path, flags), "cpu")
    assert said in str(raised.value)
    assert "space.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_refused_head(tmp_path: Path) -> None:
    head = 'description = "x"\n[requires]\nplatform = "gpu"'
    with pytest.raises(UsageError, match="is for the gpu and this run is on the cpu"):
        load_space(written(tmp_path, f"{WIDTH} = [128]", head), "cpu")
    with pytest.raises(UsageError, match="unknown key 'flag'"):
        load_space(written(tmp_path, "", 'description = "x"\nflag = 1'), "cpu")


def test_not_there() -> None:
    with pytest.raises(UsageError, match=r"no search space is called 'cpus'.*cpu"):
        load_space("cpus", "cpu")
    with pytest.raises(UsageError, match="cannot be read"):
        load_space("nowhere/cpu.toml", "cpu")
