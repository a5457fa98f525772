"""How a source is read and matched: the definition that a source's row stores as JSON."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from recon_service.domain.calendars import is_calendar

DecimalStyle = Literal["1,234.56", "1.234,56", "1 234,56", "1'234.56"]
Encoding = Literal["utf-8", "utf-8-sig", "utf-16", "cp1252", "iso-8859-1", "iso-8859-15"]
# A column by its header (a JSON field by its dotted path), or by position counted from 1.
ColumnRef = (
    Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=1, le=500)]
)

PERCENT_DECIMALS_MAX = 6
FEE_PERCENT_DECIMALS_MAX = 4
FEE_RULES_MAX = 50
WINDOW_DAYS_MAX = 366
_DIRECTIVES = frozenset("YymdbBHIMSpzf%")


def _a_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not an IANA time zone such as 'Europe/Berlin' or 'UTC'")
    return name


def _a_calendar(name: str) -> str:
    if not is_calendar(name):
        raise ValueError(
            f"{name!r} is neither a currency nor a country whose holidays are known, such as"
            " 'EUR', 'DE' or 'DE-BY'"
        )
    return name


def _a_percent(text: str) -> str:
    if Decimal(text) > 100:
        raise ValueError("a percentage lies between 0 and 100: '10' means 10 %")
    return text


def _a_time_format(text: str) -> str:
    """Accept what we can parse alike on every machine; `iso` stands for ISO 8601."""
    if text == "iso":
        return text
    directives = re.findall(r"%(.?)", text)
    unknown = sorted(set(directives) - _DIRECTIVES)
    if unknown:
        raise ValueError(
            f"%{unknown[0]} is not supported; use %Y %y %m %d %b %B %H %I %p %M %S %f %z"
        )
    if not {"Y", "y"} & set(directives) or not {"m", "b", "B"} & set(directives):
        raise ValueError("a format needs at least a year, a month and a day")
    if "d" not in directives:
        raise ValueError("a format needs at least a year, a month and a day")
    if "f" in directives and ".%f" not in text:
        raise ValueError("write fractions of a second as '.%f'")
    return text


def _a_relative_path(text: str) -> str:
    parts = text.replace("{date}", "2025-01-01").split("/")
    if text.startswith("/") or "\\" in text or "\0" in text or {"", ".", ".."} & set(parts):
        raise ValueError("a path is relative to the inbox folder, without '..' or backslashes")
    return _a_template(text)


def _a_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValueError(f"not a valid URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ValueError("a URL starts with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL carries no user name or password")
    if "{" in parts.netloc:
        raise ValueError("{date} may stand in the path or query of a URL, not in its host")
    return _a_template(text)


def _a_template(text: str) -> str:
    if re.search(r"[{}]", text.replace("{date}", "")):
        raise ValueError("{date} is the only placeholder")
    return text


def _an_account_id(text: str) -> str:
    return str(UUID(text))


TimeZone = Annotated[str, AfterValidator(_a_zone)]
TimeFormat = Annotated[str, Field(min_length=2, max_length=60), AfterValidator(_a_time_format)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
CurrencyList = Annotated[tuple[CurrencyCode, ...], Field(strict=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=0, le=WINDOW_DAYS_MAX)]


class Model(BaseModel):
    """Strict and frozen: a misspelt key is an error, never silently ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class AmountTolerance(Model):
    """An amount agrees when it is within `absolute` or within `percent` of the ledger's amount."""

    absolute: Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,8})?$")] = "0.00"
    percent: Annotated[
        str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?$"), AfterValidator(_a_percent)
    ] = "0"

    def absolute_minor(self, scale: int) -> int:
        """Return `absolute` in minor units; a part smaller than one unit cannot matter."""
        return int(Decimal(self.absolute).scaleb(scale))

    @property
    def percent_micros(self) -> int:
        """Return `percent` in millionths of one per cent, exactly."""
        return int(Decimal(self.percent).scaleb(PERCENT_DECIMALS_MAX))


class Window(Model):
    """Days by which a record may precede or follow its ledger date, inclusive on both ends.

    Business days are those of `calendar`, a currency or a country; of each record's own currency
    if there is none. What falls on a day off counts on the next business day.
    """

    before_days: Days = 1
    after_days: Days = 2
    unit: Literal["calendar_days", "business_days"] = "calendar_days"
    calendar: Annotated[str, AfterValidator(_a_calendar)] | None = None

    @model_validator(mode="after")
    def _only_business_days_have_a_calendar(self) -> Self:
        if self.calendar is not None and self.unit != "business_days":
            raise ValueError("a calendar counts only where the unit is 'business_days'")
        return self


class FeeRule(Model):
    """A fee that is kept from what arrives: `percent` of the ledger's amount plus `fixed`.

    What leaves is charged nothing: refunds are paid out in full. The share is rounded half to even
    in minor units. A rule is exact: what arrives is the ledger's amount less the fee, give or take
    one minor unit. Without `currency` it holds for every currency that has no rule of its own;
    `fixed` is an amount of the currency charged. `per` says what is charged once.
    """

    currency: CurrencyCode | None = None
    percent: Annotated[
        str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,4})?$"), AfterValidator(_a_percent)
    ] = "0"
    fixed: Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,8})?$")] = "0"
    per: Literal["transaction"] = "transaction"

    @property
    def rate_micros(self) -> int:
        """Return `percent` in millionths of the amount, exactly."""
        return int(Decimal(self.percent).scaleb(FEE_PERCENT_DECIMALS_MAX))

    def fixed_minor(self, scale: int) -> int:
        """Return `fixed` in minor units; a part smaller than one unit cannot matter."""
        return int(Decimal(self.fixed).scaleb(scale))

    @model_validator(mode="after")
    def _charges_something(self) -> Self:
        if Decimal(self.percent) == 0 and Decimal(self.fixed) == 0:
            raise ValueError("a fee needs a percent or a fixed part above zero")
        return self


class Costs(Model):
    """What a wrong automatic match costs, and what it costs to look at one; in the same unit."""

    wrong_match: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,4})?$")]
    review: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,4})?$")]

    @model_validator(mode="after")
    def _a_review_is_cheaper(self) -> Self:
        if not Decimal(self.review) < Decimal(self.wrong_match):
            raise ValueError("a review must cost less than a wrong match")
        return self

    @property
    def threshold(self) -> float:
        """Return the probability from which a look costs more than the doubt that is left."""
        return float(1 - Decimal(self.review) / Decimal(self.wrong_match))


class Policy(Model):
    """What a source accepts as the same payment, and how sure an automatic match must be.

    `fees` are known to be kept, at most one rule per currency. `costs` choose the automatic
    threshold instead of `auto_threshold`. `ids` says whether the source's ids and our references
    are of one name space: then two that differ are two payments. What is dated up to
    `closed_through` is not matched any more. `weights` freezes those of an earlier run.
    """

    amount_tolerance: AmountTolerance = AmountTolerance()
    window: Window = Window()
    fees: Annotated[tuple[FeeRule, ...], Field(strict=False, max_length=FEE_RULES_MAX)] = ()
    auto_threshold: Probability = 0.8
    suggest_threshold: Probability = 0.5
    costs: Costs | None = None
    ids: Literal["unrelated", "shared"] = "unrelated"
    closed_through: Annotated[date, Field(strict=False)] | None = None
    weights: Annotated[str, Field(pattern=r"^(shipped-1|em-1:[0-9a-f]{8})$")] | None = None

    @property
    def automatic_from(self) -> float:
        """Return the probability from which a match is automatic."""
        return self.auto_threshold if self.costs is None else self.costs.threshold

    @model_validator(mode="after")
    def _one_fee_per_currency(self) -> Self:
        currencies = [rule.currency for rule in self.fees]
        if len(set(currencies)) < len(currencies):
            raise ValueError("fees name a currency twice, or leave it out twice")
        return self

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> Self:
        if self.suggest_threshold > self.automatic_from:
            name = "auto_threshold" if self.costs is None else "the threshold that costs choose,"
            raise ValueError(
                f"suggest_threshold {self.suggest_threshold} is above {name} {self.automatic_from}"
            )
        return self


class Columns(Model):
    """Where each field of a record stands: `amount`, or `debit` and `credit`."""

    txn_id: ColumnRef | None = None
    timestamp: ColumnRef
    amount: ColumnRef | None = None
    debit: ColumnRef | None = None
    credit: ColumnRef | None = None
    currency: ColumnRef | None = None
    description: ColumnRef | None = None
    counterparty: ColumnRef | None = None

    def mapped(self) -> dict[str, str | int]:
        """Return field -> column for the fields that this source has, in field order."""
        return {name: ref for name, ref in self if ref is not None}

    @model_validator(mode="after")
    def _one_way_to_say_the_amount(self) -> Self:
        split = (self.debit is not None, self.credit is not None)
        if self.amount is not None and any(split):
            raise ValueError("give either 'amount' or 'debit' and 'credit', not both")
        if self.amount is None and not all(split):
            raise ValueError("give 'amount', or both 'debit' and 'credit'")
        return self


class CsvFormat(Model):
    """The shape of a delimited file.

    `encoding` "auto" takes a byte order mark, else UTF-8, else `fallback_encoding` if there is
    one. With `find_header` everything before the first line that holds all mapped column names
    is preamble; `skip_lines` skips a known number of lines first.
    """

    delimiter: Annotated[str, Field(pattern=r"^[,;|\t:~^]$")] = ","
    encoding: Encoding | Literal["auto"] = "auto"
    fallback_encoding: Encoding | None = None
    has_header: bool = True
    find_header: bool = False
    skip_lines: Annotated[int, Field(ge=0, le=1000)] = 0


class SourceConfig(Model):
    """The whole definition of one source. A run stores the version that it used.

    Amounts are positive where money arrives; `sign` "inverted" turns a source around that
    writes it the other way. A source with a `ledger_account_id` is compared with that account's
    events, one without with whole transactions, whose amounts carry no sign.
    """

    kind: Literal["csv", "api"]
    columns: Columns
    fixed_currency: CurrencyCode | None = None
    csv: CsvFormat = CsvFormat()
    decimal_style: DecimalStyle = "1,234.56"
    sign: Literal["as_is", "inverted"] = "as_is"
    timestamp_formats: Annotated[tuple[TimeFormat, ...], Field(strict=False, max_length=10)] = ()
    time_zone: TimeZone = "UTC"
    currencies: Annotated[CurrencyList, Field(min_length=1, max_length=300)] | None = None
    ledger_account_id: Annotated[str, AfterValidator(_an_account_id)] | None = None
    path: (
        Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_a_relative_path)] | None
    ) = None
    url: Annotated[str, Field(max_length=2000), AfterValidator(_a_url)] | None = None
    records_path: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    next_path: Annotated[str, Field(min_length=1, max_length=200)] = "next"
    nightly: bool = False
    policy: Policy = Policy()

    def path_for(self, day: date) -> str | None:
        """Return the file's name below the inbox folder for a business day."""
        return self.path.replace("{date}", day.isoformat()) if self.path else None

    def url_for(self, day: date) -> str | None:
        """Return the URL to ask for a business day."""
        return self.url.replace("{date}", day.isoformat()) if self.url else None

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone in which the source's local times and calendar days are meant."""
        return ZoneInfo(self.time_zone)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.columns.currency is None) == (self.fixed_currency is None):
            raise ValueError("give either columns.currency or fixed_currency")
        if self.kind == "api" and self.url is None:
            raise ValueError("a source of kind 'api' needs a url")
        by_position = [ref for ref in self.columns.mapped().values() if isinstance(ref, int)]
        if self.kind == "api" and by_position:
            raise ValueError("a source of kind 'api' names its columns, it has no positions")
        if self.kind == "csv" and not self.csv.has_header:
            if len(by_position) != len(self.columns.mapped()):
                raise ValueError("without a header every column is a position counted from 1")
            if self.csv.find_header:
                raise ValueError("find_header needs a header")
        if self.nightly and self.kind == "csv" and self.path is None:
            raise ValueError("a nightly source of kind 'csv' needs a path")
        return self


def patched(config: SourceConfig, changes: Mapping[str, Any]) -> SourceConfig:
    """Return `config` with a JSON merge patch applied (null removes a key, so its default holds).

    Raises pydantic.ValidationError.
    """
    return SourceConfig.model_validate(_merge(config.model_dump(mode="json"), changes))


def _merge(target: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merge(merged.get(key), value)
        else:
            merged[key] = value
    return merged


BANK_CSV = SourceConfig(
    kind="csv",
    columns=Columns(
        txn_id="txn_id",
        timestamp="timestamp",
        amount="amount",
        currency="currency",
        description="description",
    ),
    path="bank_dump.csv",
    nightly=True,
)

BANK_API = SourceConfig(
    kind="api",
    columns=Columns(
        txn_id="txn_id",
        timestamp="timestamp",
        amount="amount",
        currency="currency",
        description="description",
    ),
    url="http://127.0.0.1:8002/transactions?date={date}",
    records_path="transactions",
)
