"""Reading and writing files: whole or not at all, with bounds and checked types."""
