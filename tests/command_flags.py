"""The flags of every command."""

from __future__ import annotations

import tf_biggan
from tf_biggan.cli.commands import COMMANDS
from tf_biggan.cli.settings import flag_name


def flags_of_commands() -> dict[str, set[str]]:
    """Returns the names of the flags of each command."""
    found = {}
    for command in COMMANDS:
        settings = getattr(tf_biggan, f"{command.capitalize()}Config")
        fields = {flag_name(field) for field in settings.settings()}
        # A required flag may be no field, such as --run_dir of train.
        found[command] = fields | set(settings.aliases) | set(settings.required)
    return found
