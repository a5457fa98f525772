"""Rolling up the chart of accounts, against sums over all accounts below each place."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ledger_service.domain.charts import Share, roll_up
from ledger_service.domain.model import Direction

NAMES = st.sampled_from(["a", "b", "b-2", "c"])
CODES = st.lists(NAMES, min_size=1, max_size=4).map(":".join)


@given(
    accounts=st.dictionaries(
        CODES, st.tuples(st.sampled_from(["USD", "EUR"]), st.integers(-99, 99)), max_size=20
    ),
    names_max=st.integers(1, 5),
)
def test_each_total_is_the_sum_of_all_at_and_below(
    accounts: dict[str, tuple[str, int]], names_max: int
) -> None:
    places = roll_up(_shares(accounts, names_max))
    shown = {":".join(code.split(":")[:count]) for code in accounts for count in range(1, 6)}
    assert {place.code for place in places} == {
        code for code in shown if code.count(":") < names_max
    }
    assert [place.code for place in places] == sorted(
        (place.code for place in places), key=lambda code: code.split(":")
    )
    for place in places:
        below = [
            (currency, minor)
            for code, (currency, minor) in accounts.items()
            if f"{code}:".startswith(f"{place.code}:")
        ]
        for (currency, _), total_minor in place.total_minor.items():
            assert total_minor == sum(minor for one, minor in below if one == currency)
        assert {currency for currency, _ in place.total_minor} == {one for one, _ in below}
        assert place.accounts == len(below)
        own = accounts.get(place.code)
        assert place.own_minor == ({} if own is None else {(own[0], 2): own[1]})
        assert (place.account_id is None) is (own is None)


def _shares(accounts: dict[str, tuple[str, int]], names_max: int) -> list[Share]:
    """Return what the database returns: accounts cut to `names_max` names, and summed up."""
    own: list[Share] = []
    below: dict[tuple[str, str], list[int]] = {}
    for number, (code, (currency, minor)) in enumerate(accounts.items(), 1):
        place = ":".join(code.split(":")[:names_max])
        if place == code:
            own.append(Share(code, currency, 2, Direction.CREDIT, UUID(int=number), minor, 1))
        else:
            below.setdefault((place, currency), []).append(minor)
    summed = [
        Share(place, currency, 2, Direction.CREDIT, None, sum(minors), len(minors))
        for (place, currency), minors in below.items()
    ]
    return sorted(own + summed, key=lambda share: (share.code, share.account_id is None))


def test_a_place_without_an_account_has_the_side_of_the_first_below() -> None:
    debit, credit = Direction.DEBIT, Direction.CREDIT
    shares = [
        Share("assets:bank", "USD", 2, debit, UUID(int=1), -500, 1),
        Share("assets:provision", "USD", 2, credit, UUID(int=2), 100, 1),
    ]
    assets, bank, provision = roll_up(shares)
    assert (assets.normal_side, bank.normal_side, provision.normal_side) == (debit, debit, credit)
    assert assets.total_minor == {("USD", 2): -400}
    assert [place.parent for place in (assets, bank)] == [None, "assets"]
