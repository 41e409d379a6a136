"""The subcommands of `warmkit` that run a function in the local Lambda."""
