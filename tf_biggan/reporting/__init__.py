"""Reports of training runs: HTML pages with logged curves, pictures and settings."""
