"""Which days a run reads, and how an item stands whose record is missing."""

from datetime import date

import pytest

from recon_service.domain.history import (
    Days,
    Margins,
    PastRun,
    State,
    covered_days,
    first_dependent,
    judge_day,
    plan_reading,
)

MARGINS = Margins(before_days=1, after_days=2)


def july(day: int) -> date:
    return date(2025, 7, day)


def past(first: int, last: int, *, seq: int = 100) -> PastRun:
    return PastRun("run", "bank", july(last), 1, Days(july(first), july(last)), seq)


def days_read(first: int, last: int, *others: PastRun) -> tuple[int, int]:
    own = Days(july(first), july(last))
    reading = plan_reading(covered=own, line_days=own, others=others, margins=MARGINS)
    return reading.days.first.day, reading.days.last.day


def test_a_first_run_reads_the_window_around_its_lines() -> None:
    own = Days(july(13), july(13))
    reading = plan_reading(covered=own, line_days=own, others=[], margins=MARGINS)
    assert reading.days == Days(july(11), july(14))
    assert reading.after_seq is None


def test_the_window_is_the_files_own_and_not_the_business_dates() -> None:
    covered = Days(july(10), july(13))
    lines = Days(july(10), july(12))
    reading = plan_reading(covered=covered, line_days=lines, others=[], margins=MARGINS)
    assert reading.days == Days(july(8), july(14))


def test_days_between_two_statements_are_read_too() -> None:
    assert days_read(20, 20, past(10, 10)) == (9, 21)


def test_days_between_an_earlier_statement_and_what_is_covered_are_read_too() -> None:
    assert days_read(5, 5, past(13, 13)) == (3, 13)


def test_inside_of_what_is_covered_only_the_window_is_read() -> None:
    assert days_read(13, 13, past(1, 20)) == (11, 14)


def test_what_is_new_is_read_by_sequence() -> None:
    own = Days(july(13), july(13))
    others = [past(10, 10, seq=7), past(11, 11, seq=9)]
    assert plan_reading(covered=own, line_days=own, others=others, margins=MARGINS).after_seq == 9


@pytest.mark.parametrize(
    ("day", "state"),
    [
        (9, State.WITHDRAWN),
        (10, State.OUTSIDE),
        (12, State.OPEN),
        (18, State.OPEN),
        (19, State.TIMING),
        (20, State.TIMING),
        (21, State.OUTSIDE),
        (22, State.WITHDRAWN),
    ],
)
def test_an_item_is_overdue_once_every_day_of_its_record_is_covered(day: int, state: State) -> None:
    assert judge_day(july(day), Days(july(12), july(20)), MARGINS) is state


def test_no_statement_covers_days_to_come() -> None:
    lines = Days(july(10), july(31))
    covered = covered_days(business_date=july(13), line_days=lines, today=july(14))
    assert covered == Days(july(10), july(14))


def test_only_a_later_day_can_depend_and_the_earliest_is_named() -> None:
    dependents = [past(1, 15), past(1, 14), past(1, 12)]
    assert first_dependent(past(1, 13), dependents) == dependents[1]
    assert first_dependent(past(1, 15), dependents) is None
