"""Devices, strategies and machines that a command runs on."""
