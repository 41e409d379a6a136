"""One question a file, whose first line says it. In a question's module:

- its docstring: the question, then how it is asked;
- `NOT_SHOWN`: what the answer does not show;
- `ask(run)`: returns the answer.
"""

SECTIONS = {
    "What the library adds": ["warm_path"],
    "The first use, and the use after a gap": ["first_use", "reuse"],
}

NAMES = [name for names in SECTIONS.values() for name in names]
