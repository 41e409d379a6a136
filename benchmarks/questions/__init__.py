"""One question a file, whose first line says it. In a question's module:

- its docstring: the question, then how it is asked;
- `NOT_SHOWN`: what the answer does not show;
- `ask(run)`: returns the answer.
"""

SECTIONS = {
    "Cold against warm": [
        "cold",
        "warm",
        "styles",
        "reuse",
        "first_use",
    ],
    "What the library adds": [
        "warm_path",
        "injection",
        "imports",
    ],
    "The resources": [
        "postgres_warm",
        "postgres_crowd",
        "aws_warm",
        "aws_cold",
        "breaker_warm",
        "breaker_guard",
        "otel_cost",
        "survival",
        "snapshot",
    ],
    "The runtime": [
        "runtime_loop",
        "runtime_spawn",
        "multi_concurrency",
        "ends",
        "interleaved",
    ],
    "The local Lambda": [
        "local_invoke",
    ],
    "What it comes to": [
        "fleet",
    ],
}

NAMES = [name for names in SECTIONS.values() for name in names]
