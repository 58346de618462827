"""Reading and writing files: no incomplete files, bounded sizes and checked types."""
