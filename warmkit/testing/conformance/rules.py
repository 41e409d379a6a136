"""The rules that a resource obeys, in the order in which they are best understood."""

from warmkit.testing.conformance import freshness, life
from warmkit.testing.conformance.rule import Rule

RULES: tuple[Rule, ...] = (
    life.starts,
    life.starts_once,
    life.starts_on_another_loop,
    life.shares_nothing,
    freshness.sleeps_well,
    freshness.passes_its_check,
    freshness.fails_its_check,
    freshness.survives_resets,
    freshness.survives_farewells,
    freshness.survives_silence,
    freshness.survives_a_refusal,
    life.closes,
    life.closes_in_silence,
    life.gives_up_a_start,
    life.keeps_secrets,
)
"""All rules: `pytest.mark.parametrize("rule", RULES, ids=str)`, and `check_resource(..., only=rule)`."""
