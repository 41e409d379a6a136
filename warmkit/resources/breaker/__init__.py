"""A circuit breaker, on pybreaker. Loaded when a recipe is made; pybreaker when it starts."""
