"""The page of the dashboards has every panel, with its query."""

from __future__ import annotations

import json
import re

from vigie.dashboards.documentation import dashboards_page
from vigie.dashboards.kql import kql
from vigie.dashboards.specification import Specification


def test_each_panel_is_on_the_page_with_its_query(specification: Specification) -> None:
    """Title, question, documents and search of each panel; the searches are valid JSON."""
    page = dashboards_page(specification)
    for _, panel in specification.panels:
        part = page.partition(f"### {panel.title}\n\n`{panel.id}`")[2].partition("\n### ")[0]
        assert panel.description in part
        assert kql(panel.where) in part
        search = re.search(r"POST /(\S+)/_search\n(.*?)\n```", part, re.DOTALL)
        assert search is not None
        assert search[1] == panel.index
        assert json.loads(search[2])["size"] == 0


def test_the_page_says_how_to_add_a_panel(specification: Specification) -> None:
    """The steps are there, and so is what a panel is compared with."""
    page = dashboards_page(specification)
    assert "## How to add a panel" in page
    assert "Compared with: simulated cohort, 0.86" in page
