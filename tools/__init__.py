"""What the maintainers of a checkout run: docs, site, lint, pins, audit, bill of materials."""
