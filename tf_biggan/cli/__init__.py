"""Settings, flags and messages of the commands."""
