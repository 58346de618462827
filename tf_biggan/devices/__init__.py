"""The devices that a command runs on."""
