"""The address of a dashboard: what stands in it is what is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.dashboards.specification import Dashboard, load_specification, panels_file
from vigie.schema import FeatureSchema
from vigie.ui.dashboards.address import MOST_VALUES, Address, AddressError, wall_clock

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
TEXT = st.text(min_size=1, max_size=20)


@pytest.fixture(scope="module")
def overview(schema: FeatureSchema) -> Dashboard:
    """The first dashboard."""
    return load_specification(panels_file(), schema).dashboards[0]


@given(
    st.sampled_from(["", "overview"]),
    st.sampled_from(["", "24h"]),
    st.dictionaries(
        st.sampled_from(["model.version", "status"]), st.lists(TEXT, min_size=1, unique=True).map(tuple)
    ),
    st.booleans(),
)
def test_an_address_is_read_as_it_was_written(
    name: str, last: str, choices: dict[str, tuple[str, ...]], refresh: bool
) -> None:
    """Whatever was chosen comes back, whichever characters it has."""
    address = Address(name, last, choices=choices, refresh=refresh)
    assert Address.of(address.query()) == address
    assert Address.of(f"?{address.query()}") == address


def test_only_what_the_dashboard_has_is_taken_over(overview: Dashboard) -> None:
    """Other parameters of an address narrow nothing, and too many values are cut."""
    many = "&".join(f"path=/{number}" for number in range(80))
    address = Address.of(f"utm=1&status=ok&{many}").of_dashboard(overview)
    assert address.name == "overview"
    assert address.choices["status"] == ("ok",)
    assert len(address.choices["path"]) == MOST_VALUES
    assert sorted(address.choices) == ["path", "status"]
    assert [condition.field for condition in address.conditions()] == ["status", "path"]


def test_a_time_is_the_dashboards_the_presets_or_ones_own(overview: Dashboard) -> None:
    """Without a time the dashboard's own; `last` up to now; since and until in the display time zone."""
    assert Address().times(overview, NOW, PARIS) == (NOW - timedelta(hours=24), NOW)
    assert Address(last="45m").times(overview, NOW, PARIS) == (NOW - timedelta(minutes=45), NOW)
    own = Address(since="2026-11-17T10:00", until="2026-11-17T11:30")
    assert own.times(overview, NOW, PARIS) == (
        datetime(2026, 11, 17, 9, tzinfo=UTC),
        datetime(2026, 11, 17, 10, 30, tzinfo=UTC),
    )
    assert Address(since="2026-11-17").times(overview, NOW, PARIS) == (
        datetime(2026, 11, 16, 23, tzinfo=UTC),
        NOW,
    )
    assert Address(until="2026-11-17T00:00Z").times(overview, NOW, PARIS)[0] == datetime(
        2026, 11, 16, tzinfo=UTC
    )


@pytest.mark.parametrize("offset", ["+01:00", " 01:00", "%2B01:00"])
def test_an_offset_counts_even_when_its_plus_was_not_escaped(overview: Dashboard, offset: str) -> None:
    """Programs link with offsets; browsers turn a plus into a space."""
    address = Address.of(f"since=2026-11-17T10:00:00{offset}&until=2026-11-17T11:00:00Z")
    assert address.times(overview, NOW, ZoneInfo("Asia/Tokyo"))[0] == datetime(2026, 11, 17, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("last=soon", "dashboards.time_unreadable"),
        ("last=0h", "dashboards.time_unreadable"),
        ("last=99999d", "dashboards.time_too_long"),
        ("since=yesterday", "dashboards.time_unreadable"),
        ("since=0001-01-01T00:00", "dashboards.time_unreadable"),
        ("since=9999-12-31T23:59:59-14:00", "dashboards.time_unreadable"),
        ("since=1980-01-01", "dashboards.time_too_long"),
        ("since=2026-11-18T12:00Z&until=2026-11-18T12:00Z", "dashboards.time_reversed"),
        ("since=2030-01-01", "dashboards.time_reversed"),
    ],
)
def test_a_time_that_is_none_is_told(overview: Dashboard, query: str, key: str) -> None:
    """The reader is told what is wrong with the time, never shown another one."""
    with pytest.raises(AddressError) as caught:
        Address.of(query).times(overview, NOW, UTC_ZONE)
    assert caught.value.key == key


UTC_ZONE = ZoneInfo("UTC")


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_in_an_address_breaks_the_page(since: str, last: str) -> None:
    """Any text is a time or told to be none."""
    address = Address(last=last, since=since)
    try:
        begin, end = address.times(_OVERVIEW, NOW, PARIS)
    except AddressError:
        return
    assert begin < end


_OVERVIEW = Dashboard.model_construct(time_from="now-24h")


def test_an_address_of_very_many_fields_is_read_as_far_as_that_goes() -> None:
    """A link of thousands of fields is cut, not an error."""
    address = Address.of("?name=performance" + "&x=1" * 5000 + "&last=7d")
    assert (address.name, address.last) == ("performance", "")


def test_another_dashboard_keeps_the_time_alone() -> None:
    """Who follows an incident from one dashboard to the next looks at the same hour."""
    address = Address("overview", since="2026-11-17T10:00", choices={"status": ("failed",)}, refresh=False)
    assert address.at("performance").query() == "name=performance&since=2026-11-17T10:00"


def test_a_field_for_time_has_the_wall_clock() -> None:
    """To the minute, as the browser's own field takes it."""
    assert wall_clock(NOW, PARIS) == "2026-11-18T13:00"
