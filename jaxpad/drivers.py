"""Which NVIDIA driver a CUDA needs: the one table, and how versions compare.

Within one CUDA major release any minor runs on the oldest driver of that major, with a
limited set of features (minor version compatibility), and newer drivers run older CUDA.
An older driver needs NVIDIA's forward compatibility package (cuda-compat), which works on
data-center GPUs, some RTX cards for servers and Jetson only.

Sources: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
(525 and 580), the release notes below (the full numbers), and
https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
"""

from __future__ import annotations

import re

SOURCE = "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/"
OLDEST = {"12": "525.60.13", "13": "580.65.06"}  # by CUDA major, on Linux


def numbers(version: str) -> tuple[int, ...]:
    """The leading dotted numbers: (20, 10, 24) for `20.10.24+dfsg1`; raises ValueError if none."""
    found = re.match(r"\d+(?:\.\d+)*", version.strip().removeprefix("v"))
    if found is None:
        raise ValueError(f"{version!r} is no version: it should begin with a number")
    return tuple(map(int, found[0].split(".")))


def older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`, number by number."""
    return numbers(version) < numbers(than)
