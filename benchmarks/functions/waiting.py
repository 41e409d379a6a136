"""A function that awaits the database, as one writes it with warmkit; the same for both runtimes."""

from warmkit import warm_handler
from warmkit.resources import postgres_pool

QUERY = "SELECT $1::int * 2 FROM pg_sleep($2)"


@warm_handler(db=postgres_pool())
async def handler(event, context, db):
    return await db.fetchval(QUERY, event["n"], event["seconds"])
