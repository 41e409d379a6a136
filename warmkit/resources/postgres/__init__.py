"""PostgreSQL, on asyncpg. Loaded when a recipe is made; asyncpg when it starts."""
