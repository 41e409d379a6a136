"""The asyncio Lambda runtime: one process, one loop, any number of invocations. Start it as `python -m warmkit.runtime`."""
