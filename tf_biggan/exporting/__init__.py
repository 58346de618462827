"""SavedModels: folding, statistics over truncation, signatures, metadata, and their writing."""
