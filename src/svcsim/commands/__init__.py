"""The subcommands of ``svcsim``, one module each with `add_parser` and `run`."""
