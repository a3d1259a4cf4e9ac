"""The commands as Typer sees them: flags in, an action out."""
