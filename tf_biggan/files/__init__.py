"""Reads files after checking sizes and types, and writes files completely or not at all."""
