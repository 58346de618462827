"""Reads and writes files: writes none incompletely, and checks sizes and types of what it reads."""
