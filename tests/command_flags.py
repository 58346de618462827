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
        # Some flags are no fields, such as --run_dir of train.
        grouped = {name for names in settings.help_groups.values() for name in names}
        found[command] = fields | set(settings.aliases) | grouped
    return found
