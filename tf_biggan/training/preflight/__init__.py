"""Dry run: describes a training run, measures its time and memory, and finds common mistakes."""
