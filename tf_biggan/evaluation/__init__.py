"""Scores of generated images, the networks they are measured with, and how they were made."""
