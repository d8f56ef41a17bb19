"""What this host lacks for GPU containers, and the remedy: driver, engine, toolkit, room.

`examine` asks a `Host` every question, `doctor` does so here and prints the findings.
"""

from jaxpad.doctor._command import Options as Options, doctor as doctor
from jaxpad.doctor._examine import examine as examine
from jaxpad.doctor._finding import Finding as Finding
from jaxpad.doctor._host import Host as Host, here as here
