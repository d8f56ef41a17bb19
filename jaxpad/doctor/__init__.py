"""What this host lacks for GPU containers, and the remedy: driver, engine, toolkit, room.

`examine` asks a `Host` every question, `doctor` does so here and prints the findings.
"""

from jaxpad.doctor.examination import doctor as doctor, examine as examine
from jaxpad.doctor.model import Finding as Finding, Host as Host, here as here
