"""All rules, by code. Each says one thing, and knows no other."""

from warmkit.local.doctor.rule import Rule
from warmkit.local.doctor.rules import calls, clients, code, imports, resources, signals

RULES: tuple[Rule, ...] = (
    clients.asyncio_objects,
    clients.async_clients,
    clients.sync_clients,
    calls.grows,
    calls.unfinished,
    calls.fails,
    calls.never_returns,
    imports.slow,
    imports.network,
    imports.processes,
    imports.files,
    imports.threads,
    imports.never_ends,
    signals.on_sigterm,
    signals.on_sigalrm,
    code.nested_run,
    code.run_per_call,
    code.bare_async,
    code.blocks,
    resources.unclosable,
    resources.too_large,
    resources.missing,
)
"""In the order of their codes."""
