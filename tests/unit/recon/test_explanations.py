"""Renderers of explanations: numbers add up, texts stay texts, pictures hold them."""

import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from recon_service.domain.config import Policy, Window
from recon_service.domain.logged import Logged, Party
from recon_service.explanations.markup import cleaned, fitted, safe, shortened
from recon_service.explanations.page import CONTENT_SECURITY_POLICY, why_page
from recon_service.explanations.story import Story, explain
from recon_service.explanations.waterfall import WIDTH, Bar, Waterfall, draw
from recon_service.explanations.weighing import probability, weigh
from recon_service.terminal import bar, decision_tables

HOSTILE = "</title><script>alert(1)</script><b onload='x'>\x00\x1b[31m\u202e]]>&amp;"
BITS: dict[str, Any] = {
    "words": ["half the words shared", 1.5],
    "prior": 0.3,
    "lag": ["2-3 days after", -0.9],
    "amount": ["equal", 0.0],
    "reference": ["found in the other side's text", 4.3],
    "counterparty": ["missing", 0.0],
    "rarity": 2.1,
    "twins": -0.4,
    "weather": ["sunny", 0.25],
}
TOTAL = 7.15


def evidence(record: float = 2.5, item: float = 0.5) -> dict[str, Any]:
    rivals = {"null": 1.0, "record": record, "item": item}
    return {"pass": "fuzzy", "weights": "shipped-1", "bits": BITS, "rivals": rivals}


def party(id_: str = "r-1", amount_minor: int = 4200, text: str | None = "Rent") -> Party:
    return Party(id_, f"REF-{id_}", date(2025, 7, 13), "USD", 2, amount_minor, text, None)


def logged(found: dict[str, Any], **changes: Any) -> Logged:
    values: dict[str, Any] = {
        "log_id": 7,
        "run_id": "01980b5c-7001-7b2c-8e3d-0d4f4d1f2b20",
        "source": "bank_csv",
        "business_date": date(2025, 7, 13),
        "attempt": 1,
        "dry_run": False,
        "decided_at": datetime(2025, 7, 14, tzinfo=UTC),
        "record_id": "r-1",
        "match_type": "fuzzy",
        "decision": "auto",
        "score": 0.964,
        "cause": None,
        "reason": "Score 0.96",
        "residual_minor": 0,
        "evidence": found,
        "policy": Policy(),
        "population": "all",
        "records": (party(),),
        "items": (party("i-1"),),
        "records_count": 1,
        "items_count": 1,
    }
    return Logged(**(values | changes))


def bars_of(picture: str) -> list[tuple[float, float]]:
    """Return left and width of each bar that is drawn."""
    rectangles = [one for one in ET.fromstring(picture).iter() if one.get("rx")]  # noqa: S314
    return [(float(one.attrib["x"]), float(one.attrib["width"])) for one in rectangles]


def test_bits_and_rivals_add_up_to_the_probability() -> None:
    found = weigh(evidence(), None)
    assert found is not None
    assert [step.feature for step in found.steps] == [
        *("prior", "amount", "lag", "reference", "counterparty", "words", "rarity", "twins"),
        *("weather", "record_rivals", "item_rivals"),
    ]
    running = 0.0
    for step in found.steps:
        running += step.bits
        assert step.running == pytest.approx(running, abs=1e-3)
    assert found.total_bits == pytest.approx(TOTAL)
    odds = 2.0**TOTAL
    expected = odds / (odds + (1 + 2.5) * (1 + 0.5))
    assert found.probability == pytest.approx(expected)
    assert probability(found.steps[-1].running) == pytest.approx(expected, abs=1e-4)
    assert f"{expected:.4f}" in found.calculation


def test_one_of_several_equals_is_a_step_of_its_own() -> None:
    found = weigh(evidence(0.0, 0.0), 0.4)
    assert found is not None
    assert found.steps[-1].feature == "choice"
    assert probability(found.steps[-1].running) == pytest.approx(0.4, abs=1e-4)
    assert weigh({"pass": "exact", "key": "txn_id"}, 1.0) is None


@pytest.mark.parametrize("bits", [-2000.0, 2000.0])
def test_endless_evidence_is_still_a_number_and_a_picture(bits: float) -> None:
    found = logged(evidence() | {"bits": {"prior": 0.3, "reference": ["equal", bits]}}, score=None)
    story = explain(found)
    assert story.weighing is not None
    assert 0.0 <= story.weighing.probability <= 1.0
    assert len(bars_of(story.picture())) == 5


def test_each_bar_begins_where_the_last_one_ended() -> None:
    bars = [Bar("a", "", 4.0, "4"), Bar("b", "", -1.0, "-1"), Bar("c", "", 3.0, "3", is_total=True)]
    first, second, total = bars_of(draw(Waterfall("t", "v", bars, "axis")))
    assert sum(second) == pytest.approx(sum(first), abs=0.2)
    assert total[0] == pytest.approx(first[0], abs=0.2)
    assert sum(total) == pytest.approx(second[0], abs=0.2)
    assert second[1] * 4 == pytest.approx(first[1], abs=0.5)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("found", [evidence(), {"pass": "exact", "key": HOSTILE}])
def test_hostile_texts_stay_texts(found: dict[str, Any]) -> None:
    hostile = Party(HOSTILE, HOSTILE, date(2025, 7, 13), "USD", 2, 4200, HOSTILE, HOSTILE)
    found = found | {"alternatives": [{"internal_id": HOSTILE, "score": 0.1, "bits": 1.0}]}
    story = explain(logged(found, records=(hostile,), items=(hostile,), reason=HOSTILE))
    tags = _Tags()
    tags.feed(why_page(story))
    assert "script" not in tags.names
    assert "b" not in tags.names or story.weighing is not None
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert not {"href", "src", "style"} & tags.attributes
    names = {one.tag.rpartition("}")[2] for one in ET.fromstring(story.picture()).iter()}  # noqa: S314
    assert names <= {"svg", "title", "desc", "rect", "line", "text"}
    console = Console(width=120, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(*decision_tables(_as_json(story)), sep="\n")
    assert "\x1b[31m" not in capture.get()
    assert "script" in capture.get()


def _as_json(story: Story) -> dict[str, Any]:
    import json

    document: dict[str, Any] = json.loads(json.dumps(story.document(), default=str))
    return document


def test_the_page_allows_nothing_but_its_own_style() -> None:
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in why_page(explain(logged(evidence()))).replace(
        "http://www.w3.org/2000/svg", ""
    )


def test_long_texts_are_cut_to_their_place() -> None:
    long = "W" * 500
    picture = explain(
        logged(evidence(), records=(party(text=long),), reason=long, record_id=long)
    ).picture()
    texts = [one.text or "" for one in ET.fromstring(picture).iter() if one.tag.endswith("}text")]  # noqa: S314
    assert max(len(text) for text in texts) * 13 < WIDTH
    assert fitted("short", 200, 12) == "short"
    assert fitted("漢" * 100, 120, 12).endswith("…")
    assert len(fitted("漢" * 100, 120, 12)) <= 10
    assert shortened("a" * 50, 10) == "a" * 9 + "…"


def test_what_xml_forbids_is_replaced() -> None:
    assert cleaned("a\x00b\ud800c\ufffed\te") == "a\ufffdb\ufffdc\ufffdd e"
    assert "\u202e" not in safe("\u202eevil")
    assert safe("<a href='x'>") == "&lt;a href=&#x27;x&#x27;&gt;"


def test_a_group_draws_members_difference_and_sum() -> None:
    items = tuple(party(f"i-{k}", 1000 + k) for k in range(3))
    found = {"pass": "group", "by": "batch key", "sum_minor": 3003, "residual_minor": -3}
    story = explain(
        logged(
            found,
            match_type="group",
            records=(party(amount_minor=3000),),
            items=items,
            items_count=3,
        )
    )
    assert story.group is not None
    assert story.group["sum"] == "30.03"
    assert story.group["residual"] == "-0.03"
    bars = bars_of(story.picture())
    assert len(bars) == len(items) + 2
    assert sum(bars[-1]) == pytest.approx(bars[-2][0], abs=1.6)
    many = explain(logged(found, items=tuple(party(f"i-{k:03}", 10) for k in range(100))))
    assert "60 more" in many.picture()


def test_business_days_count_in_the_unit_of_the_window() -> None:
    policy = Policy(window=Window(unit="business_days", calendar="EUR"))
    friday = Party("i-1", "REF-r-1", date(2025, 7, 11), "USD", 2, 4200, None, None)
    monday = Party("r-1", "REF-r-1", date(2025, 7, 14), "USD", 2, 4200, None, None)
    story = explain(
        logged(
            {"pass": "exact", "key": "txn_id"},
            match_type="exact",
            records=(monday,),
            items=(friday,),
            policy=policy,
        )
    )
    assert story.conditions[3]["finding"] == "lag +1 business days, allowed -1 to +2"


def test_a_fee_says_why_amounts_agree() -> None:
    fee = {"rule": "1.4 % and 0.25", "gross_minor": 4200, "fee_minor": 84, "net_minor": 4116}
    found = {"pass": "exact", "key": "txn_id and fee rule", "fee": fee}
    sides: dict[str, Any] = {"records": (party(amount_minor=4116),), "residual_minor": -84}
    story = explain(logged(found, match_type="exact", cause="fee", **sides))
    assert story.conditions[2]["finding"] == "less a fee of 0.84 (1.4 % and 0.25)"
    suggested = explain(logged(found | {"pass": "fee"}, decision="suggested", **sides))
    assert suggested.conditions[2]["finding"].endswith("0.25), learned and not declared")


def test_bars_of_characters() -> None:
    assert bar(0.0, 2.0, -2.0, 2.0, 5) == "  ███"
    assert bar(0.0, -2.0, -2.0, 2.0, 5) == "███  "
    assert bar(2.0, 2.0, -2.0, 2.0, 5) == "  │ █"
    assert bar(0.0, 0.0, 0.0, 0.0, 3) == "█  "
