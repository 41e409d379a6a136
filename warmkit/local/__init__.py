"""Tools for a developer's own machine: local servers, the demo and the command line."""
