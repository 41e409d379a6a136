"""Every Python block of the README and the docs runs, page by page, against the real servers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)\)")


def name(page):
    return page.relative_to(ROOT).as_posix()


def program(page):
    """Returns the page's blocks as one program; lines keep their numbers."""
    text = page.read_text()
    lines = ["" for _ in text.splitlines()]
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


@pytest.fixture
def variables(postgres, s3, valkey_server, http_server):
    """Where the pages' servers are."""
    return {
        **s3.environment,
        "DATABASE_URL": postgres.dsn,
        "REDIS_URL": valkey_server.url,
        "SEARCH_URL": http_server.url,
    }


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=name
)
def test_the_blocks_of_a_page_run_as_one_program(page, variables, tmp_path):
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program(page))
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        check=False,
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_lead_somewhere(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
