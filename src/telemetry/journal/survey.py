"""Looking at the journals of this host without touching them: what each holds that is not shipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vigie.telemetry.journal.dead import crash_reader, is_of_an_earlier_start
from vigie.telemetry.journal.segment import HEADER_BYTES, Segment
from vigie.telemetry.stream.items import Gap


@dataclass(frozen=True, slots=True)
class JournalSurvey:
    """One producer's journal at one instant."""

    producer: str
    high: int
    """Its newest number, dropped ones included."""
    unshipped: tuple[tuple[int, int], ...]
    """Spans (first, last) of the events that the journal does not know to be shipped."""
    gaps: tuple[Gap, ...]
    """Numbers declared dropped that it does not know to be shipped."""
    attributes: dict[str, str]


def survey(home: Path) -> list[JournalSurvey]:
    """Return what the journals under `home` hold, of living processes and of dead ones.

    A segment that its owner removes meanwhile is shipped, so it is in Redis.
    """
    producers = home / "producers"
    if not producers.is_dir():
        return []
    folders = sorted(path for path in producers.iterdir() if path.is_dir())
    found = [_survey(folder) for folder in folders]
    return [journal for journal in found if journal is not None]


def _survey(folder: Path) -> JournalSurvey | None:
    segments = deque(_segments(folder))
    shipped = max((segment.shipped for segment in segments), default=0)
    known = (attributes for segment in segments if (attributes := segment.attributes))
    attributes = next(known, {})
    found = _lost_and_found if is_of_an_earlier_start(segments) else _found
    numbers, gaps = found(segments, shipped)
    for segment in segments:
        segment.close()
    high = max([shipped, *numbers, *(gap.last for gap in gaps)])
    if not high:
        return None
    return JournalSurvey(
        producer=folder.name,
        high=high,
        unshipped=tuple(_spans(number for number in numbers if number > shipped)),
        gaps=tuple(gap for gap in gaps if gap.last > shipped),
        attributes=attributes,
    )


def _found(segments: Iterable[Segment], _: int) -> tuple[list[int], list[Gap]]:
    """Return what is there. What is not may be on its way: the process may be writing and removing."""
    numbers: list[int] = []
    for segment in segments:
        for run in segment.runs(HEADER_BYTES, segment.size):
            numbers += range(run.first, run.last + 1)
    return numbers, [segment.gap for segment in segments if segment.gap is not None]


def _lost_and_found(segments: deque[Segment], shipped: int) -> tuple[list[int], list[Gap]]:
    """Return what is there, and what will be declared, of a process that surely is no more."""
    numbers: list[int] = []
    gaps: list[Gap] = []
    for item, _ in crash_reader(segments, shipped).walk():
        if isinstance(item, Gap):
            gaps.append(item)
        else:
            numbers += range(item.first, item.last + 1)
    return numbers, gaps


def _segments(folder: Path) -> Iterator[Segment]:
    for path in sorted(folder.glob("*.segment")):
        try:
            segment = Segment.open(path)
        except FileNotFoundError:
            continue
        if segment is not None:
            yield segment


def _spans(numbers: Iterator[int]) -> Iterator[tuple[int, int]]:
    first = last = 0
    for number in numbers:
        if number != last + 1 or not first:
            if first:
                yield first, last
            first = number
        last = number
    if first:
        yield first, last
