"""Rules that pages have twice, in Python for the first view and in JavaScript for updates, give the same results."""

from datetime import UTC, datetime
from itertools import product

import pytest

from api.pages.day_strips import TOPS
from api.pages.service_states import summary_of
from api.pages.status import WORST_FIRST, banner, groups
from api.uptime.status import ServiceState, StatusRow
from sla_monitor.texts.languages import texts
from tests.pages.visits import Language, OpenPage

SUMMARIES = """async (cases) => {
  const { href } = document.querySelector("link[rel=stylesheet]");
  const { groupSummaryOf, sentencesOf, summaryOf } = await import(href.replace("app.css", "js/summaries.js"));
  const { liveText } = await import(href.replace("app.css", "js/live.js"));
  return cases.map(([counts, incident]) => {
    const [state, text] = groupSummaryOf(counts);
    const sentences = sentencesOf(counts).map((sentence) => liveText(...sentence));
    return [...summaryOf(counts, incident), sentences, state ?? null, liveText(...text)];
  });
}"""
TOPS_OF_DAYS = """async () => {
  const { href } = document.querySelector("link[rel=stylesheet]");
  return (await import(href.replace("app.css", "js/day_strips.js"))).TOPS;
}"""


def row(state: ServiceState) -> StatusRow:
    return StatusRow("id", "Name", None, state, None, "-", "", "", "", datetime.now(UTC).date())


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_the_overall_state_and_the_groups_follow_the_same_rules(open_page: OpenPage, language: Language) -> None:
    """For 0, 1 and 1,200 services in each state, with and without an open incident."""
    page = await open_page("/", language=language)
    t = texts(language, "UTC")
    cases = [
        (dict(zip(WORST_FIRST, counts, strict=True)), incident)
        for counts in product((0, 1, 1200), repeat=len(WORST_FIRST))
        for incident in (False, True)
    ]
    results = await page.evaluate(SUMMARIES, cases)
    assert len(results) == len(cases) == 486
    for (counts, incident), (state, headline, sentences, group_state, group_text) in zip(cases, results, strict=True):
        states = [one for one in WORST_FIRST for _ in range(counts[one])]
        expected = banner(t, states, incident)
        assert (state, headline) == (expected.state, expected.headline) == summary_of(states, incident), counts
        assert sentences == expected.sentences, counts
        if states:
            [group] = groups(t, [row(one) for one in states])
            assert (group_state, group_text) == (group.state, group.summary), counts


async def test_bars_of_days_have_the_same_heights(open_page: OpenPage) -> None:
    page = await open_page("/")
    assert await page.evaluate(TOPS_OF_DAYS) == TOPS
