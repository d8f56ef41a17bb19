"""How NCCL moves data, from the log it writes with NCCL_DEBUG=INFO.

No line of its is promised to stay. These are of NCCL 2.18 to 2.28:
https://github.com/NVIDIA/nccl/tree/master/src/transport
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_BYTES = 8 << 20

# "Channel 00/0 : 3[3] -> 4[0] [send] via NET/IB/2/GDRDMA", "... via P2P/CUMEM/read"
_CHANNEL = re.compile(r"Channel \d+(?:/\d+)? ?: .* via (?P<way>[A-Za-z0-9_/() ]+?)(?: comm .*)?$")
_NETWORK = re.compile(r"Using network (?P<name>[^\r\n]+)")
_NVLS = re.compile(r"Connected NVLS tree|NVLS comm 0x|\d+ nvls channels", re.IGNORECASE)
_ZERO_NVLS = re.compile(r"\b0 nvls channels", re.IGNORECASE)
_WARNING = re.compile(r"NCCL WARN (?P<words>.+)")
_NO_IB = re.compile(r"NET/IB : No device found|NCCL_IB_DISABLE set by environment to 1")


@dataclass(frozen=True)
class Transport:
    """What a log says."""

    ways: tuple[str, ...] = ()  # used by channels: "NET/IB", "NET/Socket", "P2P", "SHM", "NVLS"
    network: str = ""  # that NCCL chose: "IB", "Socket", "AWS Libfabric"
    gpu_direct: bool = False  # the adapter reads the GPU's memory
    no_infiniband: str = ""  # NCCL's own words on why it is not used
    warnings: tuple[str, ...] = ()

    @property
    def sockets(self) -> bool:
        """Data between nodes go through TCP."""
        return "NET/Socket" in self.ways or (self.network == "Socket" and not self._other_net)

    @property
    def _other_net(self) -> bool:
        return any(way.startswith("NET/") for way in self.ways)

    @property
    def words(self) -> str:
        """The ways in one line."""
        named = ", ".join(self.ways) or (f"network {self.network}" if self.network else "none seen")
        return named + (", GPUDirect RDMA" if self.gpu_direct else "")


def parse(log: str) -> Transport:
    """What the log of one process says."""
    ways = [found["way"].strip() for line in log.splitlines() if (found := _CHANNEL.search(line))]
    network = _NETWORK.search(log)
    kinds = {_kind(way) for way in ways}
    if _NVLS.search(log) and not _ZERO_NVLS.search(log):
        kinds.add("NVLS")
    refused = _NO_IB.search(log)
    return Transport(
        ways=tuple(sorted(kinds)),
        network=network["name"].strip() if network else "",
        gpu_direct=any("GDRDMA" in way for way in ways),
        no_infiniband=refused[0] if refused else "",
        warnings=tuple(dict.fromkeys(found["words"] for found in _WARNING.finditer(log)))[:5],
    )


def _kind(way: str) -> str:
    """NET/IB/0/GDRDMA is NET/IB, P2P/CUMEM/read is P2P, NET/AWS Libfabric/1 keeps its name."""
    parts = way.split("/")
    return "/".join(parts[:2]) if parts[0] == "NET" else parts[0]
