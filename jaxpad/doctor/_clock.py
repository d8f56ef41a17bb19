"""Whether the clock is right, as far as one machine can tell."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jaxpad.doctor._finding import Answer, failed, inconclusive, passed

if TYPE_CHECKING:
    from jaxpad.doctor._host import Host

# jaxpad was written in 2026, for a JAX of that year: no right clock shows an earlier one.
BORN = datetime(2026, 1, 1, tzinfo=UTC)
UNSYNCHRONISED = 0x40  # STA_UNSYNC, linux/timex.h
LARGEST = 16.0  # seconds of possible error; systemd's own bound for "synchronised"
KEEP = "let a time service keep the clock: systemctl enable --now systemd-timesyncd, or chrony"


@dataclass(frozen=True)
class Clock:
    """The time, and what the kernel says of it."""

    now: datetime
    synchronised: bool | None  # None: the kernel does not say
    error: float = 0.0  # seconds it may be off at most, where synchronised


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex; the rest is room for it to write into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # microseconds
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def read_clock() -> Clock:
    """Ask the kernel, as timedatectl does for NTPSynchronized; needs no rights.

    Source: adjtimex(2), and ntp_synced() in systemd's src/basic/time-util.c (unconfirmed).
    """
    now, timex = datetime.fromtimestamp(time.time(), UTC), _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        state = -1
    if state < 0:
        return Clock(now, None)
    error = timex.maxerror / 1e6
    return Clock(now, not timex.status & UNSYNCHRONISED and error < LARGEST, error)


def clock(host: Host) -> Answer:
    """Pass: the kernel says it is kept by a time service. Fail: it is before jaxpad existed.

    Inconclusive: nothing keeps it, which one machine alone cannot tell from a right clock.
    A wrong clock breaks TLS (certificates not yet valid), Slurm's munge and logs of
    several nodes.
    """
    found = host.ask_clock()
    shown = f"{found.now:%Y-%m-%d %H:%M} UTC"
    if found.now < BORN:
        return failed(f"it shows {shown}, before jaxpad existed ({BORN:%Y-%m-%d})", KEEP)
    if found.synchronised is None:
        return inconclusive(f"it shows {shown}; the kernel does not say if it is kept", KEEP)
    if not found.synchronised:
        return inconclusive(f"it shows {shown}, and no time service keeps it", KEEP)
    return passed(f"it shows {shown}, kept by a time service, {found.error:.3f} s off at most")
