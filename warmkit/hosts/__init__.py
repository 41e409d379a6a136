"""Who calls the handler, and on whose event loop. Loaded when a host needs it, not by `import warmkit`."""
