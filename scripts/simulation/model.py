"""What each command must do, in the model."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from ledger_service.domain import commands as asked
from ledger_service.domain.model import Direction, PeriodStatus
from scripts.simulation.postings import SCALES, Book, Change, Held, Postings, Stretch


@dataclass(slots=True)
class Model(Postings):
    """Does a command, or does not, as the plainest reading of the rules has it."""

    def expire(self, now: datetime) -> None:
        """Let go of what is due."""
        for hold in self.holds.values():
            if hold.is_open and hold.expires_at is not None and hold.expires_at <= now:
                self._keep(hold, 0)
                hold.is_open = False

    def do(self, command: asked.Command, now: datetime) -> bool:
        """Do what is asked for if it may be done, and tell whether it was."""
        name = type(command).__name__
        done: bool = getattr(self, f"_{name}")(command, now)
        return done

    # ---- accounts

    def _OpenAccount(self, it: asked.OpenAccount, _: datetime) -> bool:  # noqa: N802
        if it.scale is None or it.normal_side is None or self._has_code(it.code):
            return False
        sign = 1 if it.normal_side is Direction.CREDIT else -1
        book = Book(it.currency, sign, None, None, it.limits_on, code=it.code)
        floor = None if it.overdraft_limit is None else f"-{it.overdraft_limit}"
        if not self._bound(book, floor, it.ceiling):
            return False
        self.accounts[it.account_id] = book
        return True

    def _ChangeAccount(self, it: asked.ChangeAccount, _: datetime) -> bool:  # noqa: N802
        book = self.accounts.get(it.account_id)
        if book is None or it.expected_version not in (None, book.version):
            return False
        is_new_code = it.code is not None and it.code != book.code
        if is_new_code and (book.code is not None or self._has_code(it.code)):
            return False
        if it.is_closed and not book.is_closed and (book.balance or book.out or book.coming):
            return False
        if it.limits is not None:
            if not self._bound(book, it.limits.floor, it.limits.ceiling):
                return False
            book.on = it.limits.on
        book.code = it.code or book.code
        book.frozen = it.freeze if it.freeze is not None else book.frozen
        book.is_closed = it.is_closed if it.is_closed is not None else book.is_closed
        book.version += 1
        return True

    def _has_code(self, code: str | None) -> bool:
        return code is not None and any(one.code == code for one in self.accounts.values())

    def _bound(self, book: Book, floor: str | None, ceiling: str | None) -> bool:
        low, high = (None if one is None else book.minor(one) for one in (floor, ceiling))
        if (floor is not None and low is None) or (ceiling is not None and high is None):
            return False
        if low is not None and high is not None and low > high:
            return False
        if book.sign < 0:
            low, high = None if high is None else -high, None if low is None else -low
        book.floor, book.ceiling = low, high
        return True

    # ---- postings

    def _Transfer(self, it: asked.Transfer, now: datetime) -> bool:  # noqa: N802
        legs = self._pair(it.source_account_id, it.destination_account_id, it.amount, it.currency)
        return (
            legs is not None
            and (counts_at := self._counts(it.effective_at, now)) is not None
            and self._meets(it.conditions, legs)
            and self._post(it.transaction_id, legs, counts_at)
        )

    def _Transact(self, it: asked.Transact, now: datetime) -> bool:  # noqa: N802
        legs = self._divided(it.parts)
        return (
            legs is not None
            and len({account for account, _, _ in legs}) > 1
            and self._balances(legs)
            and (counts_at := self._counts(it.effective_at, now, is_adjusting=it.is_adjusting))
            is not None
            and self._meets(it.conditions, legs)
            and self._post(it.transaction_id, legs, counts_at)
        )

    def _Exchange(self, it: asked.Exchange, now: datetime) -> bool:  # noqa: N802
        named = it.needs.accounts
        if any(one not in self.accounts for one in named) or Decimal(it.rate) <= 0:
            return False
        source, target = (
            self.accounts[it.source_account_id],
            self.accounts[it.destination_account_id],
        )
        out, back = (
            self.accounts[it.sold_exchange_account_id],
            self.accounts[it.bought_exchange_account_id],
        )
        if source.currency != out.currency or target.currency != back.currency:
            return False
        if source.currency == target.currency:
            return False
        rounding = it.rounding_account_id
        if len(set(named)) < len(named) or (
            rounding is not None and self.accounts[rounding].currency != target.currency
        ):
            return False
        sold = source.minor(it.sold)
        if not sold or sold < 0:
            return False
        exact = Decimal(it.sold) * Decimal(it.rate)
        due = int(exact.scaleb(SCALES[target.currency]).quantize(Decimal(1), ROUND_HALF_EVEN))
        bought = due if it.bought is None else target.minor(it.bought)
        if not bought or bought < 0 or due <= 0 or abs(bought - due) > 1:
            return False
        legs: list[Change] = [
            (it.source_account_id, Direction.DEBIT, sold),
            (it.sold_exchange_account_id, Direction.CREDIT, sold),
            (it.bought_exchange_account_id, Direction.DEBIT, due),
            (it.destination_account_id, Direction.CREDIT, bought),
        ]
        if bought != due:
            if rounding is None:
                return False
            side = Direction.DEBIT if bought > due else Direction.CREDIT
            legs.append((rounding, side, abs(bought - due)))
        return (
            (counts_at := self._counts(it.effective_at, now)) is not None
            and self._meets(it.conditions, legs)
            and self._post(it.transaction_id, legs, counts_at)
        )

    def _Reverse(self, it: asked.Reverse, now: datetime) -> bool:  # noqa: N802
        original = self.posted.get(it.original_id)
        if original is None or original.is_reversal:
            return False
        left = [
            line[2] - done for line, done in zip(original.lines, original.reversed, strict=True)
        ]
        amounts = list(left)
        if it.amount is not None or it.lines:
            amounts = [0] * len(left)
            wanted = {one.line: one.amount for one in it.lines}
            if it.amount is not None:
                if len(left) != 2 or it.lines:
                    return False
                wanted = {1: it.amount, 2: it.amount}
            for line, amount in wanted.items():
                if not 1 <= line <= len(left):
                    return False
                minor = self.accounts[original.lines[line - 1][0]].minor(amount)
                if minor is None or not 0 < minor <= left[line - 1]:
                    return False
                amounts[line - 1] = minor
        turned = {Direction.DEBIT: Direction.CREDIT, Direction.CREDIT: Direction.DEBIT}
        legs = [
            (account, turned[side], minor)
            for (account, side, _), minor in zip(original.lines, amounts, strict=True)
            if minor
        ]
        counts_at = self._counts(it.effective_at, now)
        if not legs or not self._balances(legs) or counts_at is None:
            return False
        if counts_at < original.counts_at:
            return False
        if not self._post(it.transaction_id, legs, counts_at, is_reversal=True):
            return False
        original.reversed = [
            one + more for one, more in zip(original.reversed, amounts, strict=True)
        ]
        return True

    # ---- holds

    def _PlaceHold(self, it: asked.PlaceHold, now: datetime) -> bool:  # noqa: N802
        legs = self._pair(it.source_account_id, it.destination_account_id, it.amount, it.currency)
        if legs is None or (it.expires_at is not None and it.expires_at <= now):
            return False
        over = self.accounts[it.source_account_id].minor(it.over_capture)
        if over is None or over < 0 or not self._takes(legs):
            return False
        if not self._meets(it.conditions, []):
            return False
        hold = Held(it.source_account_id, it.destination_account_id, 0, over, it.expires_at)
        if not self._keeps(hold, legs[0][2]):
            return False
        self.holds[it.hold_id] = hold
        return True

    def _IncreaseHold(self, it: asked.IncreaseHold, now: datetime) -> bool:  # noqa: N802
        hold = self.holds.get(it.hold_id)
        if hold is None or not hold.is_open:
            return False
        minor = self.accounts[hold.source].minor(it.amount)
        if minor is None or minor <= 0:
            return False
        if it.expires_at is not None and (
            it.expires_at <= now or (hold.expires_at is None or it.expires_at < hold.expires_at)
        ):
            return False
        legs = [(hold.source, Direction.DEBIT, minor), (hold.destination, Direction.CREDIT, minor)]
        if not self._takes(legs) or not self._keeps(hold, hold.keeps + minor):
            return False
        hold.expires_at = it.expires_at or hold.expires_at
        return True

    def _CaptureHold(self, it: asked.CaptureHold, now: datetime) -> bool:  # noqa: N802
        hold = self.holds.get(it.hold_id)
        if hold is None or not hold.is_open:
            return False
        minor = hold.keeps if it.amount is None else self.accounts[hold.source].minor(it.amount)
        if minor is None or not 0 < minor <= hold.keeps + hold.over:
            return False
        counts_at = self._counts(it.effective_at, now)
        if counts_at is None:
            return False
        left = 0 if it.is_final else max(0, hold.keeps - minor)
        legs = [(hold.source, Direction.DEBIT, minor), (hold.destination, Direction.CREDIT, minor)]
        if not self._post(it.transaction_id, legs, counts_at, hold=hold, left=left):
            return False
        hold.is_open = left > 0
        return True

    def _ReleaseHold(self, it: asked.ReleaseHold, _: datetime) -> bool:  # noqa: N802
        hold = self.holds.get(it.hold_id)
        if hold is None or not hold.is_open:
            return False
        minor = hold.keeps if it.amount is None else self.accounts[hold.source].minor(it.amount)
        if minor is None or not 0 < minor <= hold.keeps:
            return False
        self._keep(hold, hold.keeps - minor)
        hold.is_open = hold.keeps > 0
        return True

    # ---- periods

    def _OpenPeriod(self, it: asked.OpenPeriod, _: datetime) -> bool:  # noqa: N802
        if it.starts_at >= it.ends_at:
            return False
        for other in self.periods.values():
            if it.starts_at < other.ends_at and other.starts_at < it.ends_at:
                return False
        self.periods[it.period_id] = Stretch(it.starts_at, it.ends_at)
        return True

    def _ClosePeriod(self, it: asked.ClosePeriod, now: datetime) -> bool:  # noqa: N802
        period = self.periods.get(it.period_id)
        if period is None or period.status is PeriodStatus.HARD:
            return False
        if it.status is PeriodStatus.OPEN and period.status is not PeriodStatus.SOFT:
            return False
        if it.status is not PeriodStatus.OPEN and period.ends_at > now:
            return False
        period.status, period.late = it.status, it.late
        return True
