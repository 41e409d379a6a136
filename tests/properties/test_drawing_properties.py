"""Any graph of resources can be drawn: each one once, each edge, and nothing that Mermaid could misread."""

import re

from hypothesis import given
from hypothesis import strategies as st

from warmkit import resource, warm_handler
from warmkit.local.graph.mermaid import mermaid
from warmkit.local.graph.picture import picture
from warmkit.local.graph.text import text

LABEL = r'"[\w .,:/=()#;<>-]*"'
LINE = re.compile(
    rf"flowchart TD| +handler\(\[{LABEL}\]\)| +subgraph \w+\[{LABEL}\]| +end"
    rf"| +r\d+\[{LABEL}\]| +\w+ -->\s\w+| +\w+ -\. lazy \.-> \w+"
)


LETTERS = "ab_ \"'`<>#;:[](){}|%&-.=/\\\n\té漢"


@st.composite
def handlers(draw):
    """A handler on a graph of any resources, with any names, and how many edges there are."""
    made = []
    edges = 0
    for number in range(draw(st.integers(0, 6))):
        needed = draw(st.sets(st.sampled_from(made))) if made else set()
        needs = {f"p{made.index(item)}": item for item in needed}
        edges += len(needs)
        name = draw(st.text(st.sampled_from(LETTERS), max_size=12))
        made.append(resource(name=name or f"r{number}", **needs)(lambda **values: values))
    taken = {f"p{number}": item for number, item in enumerate(made)}

    @warm_handler(**taken)
    def handler(event, **values): ...

    return handler, len(made), edges + len(made)


@given(handlers())
def test_a_flowchart_has_every_resource_and_edge_and_no_other_line(drawn):
    handler, resources, edges = drawn
    lines = mermaid(picture("app.handler", handler)).splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert sum("<br/>" in line for line in lines) == resources
    assert sum("-->" in line for line in lines) == edges


@given(handlers())
def test_a_tree_shows_every_resource_once_at_length(drawn):
    handler, resources, edges = drawn
    tree = text(picture("app.handler", handler)).split("\n\n")[0].split("\n")[1:]
    told = [line for line in tree if "environment scope" in line]
    assert len(told) == resources
    assert len(tree) == max(1, edges)


@given(handlers())
def test_what_starts_together_needs_nothing_of_each_other(drawn):
    handler, resources, _ = drawn
    shown = picture("app.handler", handler)
    done = set()
    for level in shown.levels("environment"):
        assert all(edge.to in done for node in level for edge in node.needs)
        done |= {node.id for node in level}
    assert len(done) == resources
