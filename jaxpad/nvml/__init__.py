"""The driver's own account of the machine's GPUs, through NVML.

    now = nvml.ask()  # a snapshot, taken in a child with a time limit
    now.gpus[0].power.draw_watts  # Reading(value=71.3, reason=None)

    with nvml.Sampler(period_s=0.02) as sampler:
        work()
    sampler.trace().gpus[0].mean_watts

Every field is a value, or None and the reason. What is read, and what a missing field
means, is in docs/nvml.md.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later
from jaxpad.nvml.driver import Driver as Driver, from_json as from_json, read as read

if TYPE_CHECKING:
    from jaxpad.core.codec import revive as revive, to_plain as to_plain
    from jaxpad.core.reading import Reading as Reading
    from jaxpad.nvml.child import (
        CudaDevice as CudaDevice,
        Match as Match,
        ask as ask,
        cuda_devices as cuda_devices,
        match as match,
        record as record,
    )
    from jaxpad.nvml.device import (
        PYNVML as PYNVML,
        REASONS as REASONS,
        Clocks as Clocks,
        Identity as Identity,
        Throttle as Throttle,
        reasons as reasons,
    )
    from jaxpad.nvml.hardware import (
        Ecc as Ecc,
        Fabric as Fabric,
        Memory as Memory,
        NvLink as NvLink,
        Pcie as Pcie,
        RemappedRows as RemappedRows,
        RetiredPages as RetiredPages,
    )
    from jaxpad.nvml.kernel_log import (
        BusGpu as BusGpu,
        Kernel as Kernel,
        Port as Port,
        Said as Said,
        Xid as Xid,
        kernel as kernel,
    )
    from jaxpad.nvml.sampler import Sampler as Sampler
    from jaxpad.nvml.state import (
        GpuState as GpuState,
        Mig as Mig,
        MigDevice as MigDevice,
        Modes as Modes,
        Power as Power,
        Process as Process,
        Processes as Processes,
        Snapshot as Snapshot,
        Temperature as Temperature,
        Utilisation as Utilisation,
        snapshot as snapshot,
    )
    from jaxpad.nvml.traces import (
        Gap as Gap,
        GpmTrace as GpmTrace,
        GpuTrace as GpuTrace,
        Lost as Lost,
        Trace as Trace,
        TraceColumn as TraceColumn,
    )

_LATER = {
    "Reading": "jaxpad.core.reading",
    "revive": "jaxpad.core.codec",
    "to_plain": "jaxpad.core.codec",
    "BusGpu": ".kernel_log",
    "Clocks": ".device",
    "CudaDevice": ".child",
    "Ecc": ".hardware",
    "Fabric": ".hardware",
    "Gap": ".traces",
    "GpmTrace": ".traces",
    "GpuState": ".state",
    "GpuTrace": ".traces",
    "Identity": ".device",
    "Kernel": ".kernel_log",
    "Lost": ".traces",
    "Match": ".child",
    "Memory": ".hardware",
    "Mig": ".state",
    "MigDevice": ".state",
    "Modes": ".state",
    "NvLink": ".hardware",
    "PYNVML": ".device",
    "Pcie": ".hardware",
    "Port": ".kernel_log",
    "Said": ".kernel_log",
    "Power": ".state",
    "Process": ".state",
    "Processes": ".state",
    "REASONS": ".device",
    "RemappedRows": ".hardware",
    "RetiredPages": ".hardware",
    "Sampler": ".sampler",
    "Snapshot": ".state",
    "Temperature": ".state",
    "Throttle": ".device",
    "Trace": ".traces",
    "TraceColumn": ".traces",
    "Utilisation": ".state",
    "Xid": ".kernel_log",
    "ask": ".child",
    "cuda_devices": ".child",
    "kernel": ".kernel_log",
    "match": ".child",
    "reasons": ".device",
    "record": ".child",
    "snapshot": ".state",
}

__getattr__ = later(__name__, _LATER)
