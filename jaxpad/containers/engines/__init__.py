"""The programs that run containers, one file a kind; `jaxpad.containers.engine` finds them here."""
