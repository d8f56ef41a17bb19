"""The names of `jaxpad.nvml` that are imported when first asked for."""

from jaxpad.nvml._ask import ask, record
from jaxpad.nvml._clocks import Clocks, Throttle
from jaxpad.nvml._identity import Identity
from jaxpad.nvml._kernel import BusGpu, Kernel, Port, kernel
from jaxpad.nvml._kernel_log import Xid
from jaxpad.nvml._links import Fabric, NvLink, Pcie
from jaxpad.nvml._match import Match, match
from jaxpad.nvml._memory import Ecc, Memory, RemappedRows, RetiredPages
from jaxpad.nvml._ordinals import CudaDevice, cuda_devices
from jaxpad.nvml._plain import from_plain, to_plain
from jaxpad.nvml._power import Power, Temperature
from jaxpad.nvml._reading import Reading
from jaxpad.nvml._sampler import Sampler
from jaxpad.nvml._snapshot import GpuState, Snapshot, snapshot
from jaxpad.nvml._trace import Gap, GpmTrace, GpuTrace, Lost, Trace
from jaxpad.nvml._uses import Mig, MigDevice, Modes, Process, Processes, Utilisation

__all__ = [
    "BusGpu",
    "Clocks",
    "CudaDevice",
    "Ecc",
    "Fabric",
    "Gap",
    "GpmTrace",
    "GpuState",
    "GpuTrace",
    "Identity",
    "Kernel",
    "Lost",
    "Match",
    "Memory",
    "Mig",
    "MigDevice",
    "Modes",
    "NvLink",
    "Pcie",
    "Port",
    "Power",
    "Process",
    "Processes",
    "Reading",
    "RemappedRows",
    "RetiredPages",
    "Sampler",
    "Snapshot",
    "Temperature",
    "Throttle",
    "Trace",
    "Utilisation",
    "Xid",
    "ask",
    "cuda_devices",
    "from_plain",
    "kernel",
    "match",
    "record",
    "snapshot",
    "to_plain",
]
