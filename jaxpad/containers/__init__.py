"""Containers: which engine this machine has, how it is asked, and the image."""
