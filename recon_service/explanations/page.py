"""Renders explanations as one small HTML page: no script, no address outside, texts escaped.

The only style sheet is a constant, allowed by its hash, so that the page can forbid all else.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recon_service.explanations.markup import safe
from recon_service.explanations.story import Story
from recon_service.explanations.weighing import FORMULA, Weighing

_STYLE = """
body{font:15px/1.5 system-ui,'Segoe UI',Helvetica,Arial,sans-serif;color:#1f2933;background:#f4f6f8;
margin:0}
main{max-width:900px;margin:24px auto;padding:20px 28px;background:#fff;border:1px solid #d5dbe1;
border-radius:8px}
h1{font-size:21px;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:16px;margin:26px 0 8px}
p{margin:4px 0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;vertical-align:top;padding:5px 16px 5px 0;border-bottom:1px solid #e4e8ec;
overflow-wrap:anywhere}
th{color:#5f6c7b;font-weight:600;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.k{white-space:nowrap}
.for{color:#1d7346}.against{color:#b3352c}.quiet{color:#5f6c7b}
code{font:13px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
svg{max-width:100%;height:auto}
""".strip()
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


def why_page(story: Story) -> str:
    """Return the page of one decision: both sides, the picture, and the table under it."""
    logged = story.logged
    parts = [
        f"<h1>{safe(story.title)}</h1>",
        f"<p>{safe(logged.reason)}</p>",
        f'<p class="quiet">{safe(logged.source)}, {logged.business_date}, attempt'
        f" {logged.attempt}{', a dry run' if logged.dry_run else ''};"
        f" decided {safe(logged.decided_at.isoformat(timespec='seconds'))}</p>",
        _both_sides(story),
    ]
    if story.has_picture:
        parts.append(f'<h2>Picture</h2><div class="scroll">{story.picture()}</div>')
    if story.weighing is not None:
        parts.append(_weighing(story.weighing, story))
    if story.conditions:
        rows = [(o["condition"], o["record"], o["ledger"], o["finding"]) for o in story.conditions]
        parts.append("<h2>Conditions</h2>")
        parts.append(_table(("Condition", "Record", "Ledger", "Finding"), rows))
    for name, facts in (("Group", story.group), ("Netted", story.netted)):
        if facts is not None:
            parts.append(f"<h2>{name}</h2>" + _facts(facts))
    parts.append(_alternatives(story))
    return page(story.title, "".join(parts))


def page(title: str, body: str) -> str:
    """Return a whole document around a body that is already markup."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def _both_sides(story: Story) -> str:
    logged = story.logged
    shown = [("record", one) for one in logged.records] + [("ledger", one) for one in logged.items]
    rows = [
        (side, p.reference or p.id, str(p.on), f"{p.amount} {p.currency}", p.text, p.counterparty)
        for side, p in shown
    ]
    columns = ("Side", "Reference", "Date", "Amount", "Description", "Counterparty")
    cut = logged.records_count + logged.items_count - len(shown)
    more = f'<p class="quiet">and {cut} more</p>' if cut else ""
    return "<h2>Both sides</h2>" + _table(columns, rows, numbers={3}, whole={0, 2}) + more


def _weighing(weighing: Weighing, story: Story) -> str:
    policy = story.logged.policy
    rows = "".join(
        f"<tr><td>{safe(step.label)}</td><td>{safe(step.level)}</td>"
        f'<td class="n {_side(step.bits)}">{step.bits:+.2f}</td>'
        f'<td class="n">{step.running:+.2f}</td></tr>'
        for step in weighing.steps
    )
    return (
        "<h2>Evidence</h2>"
        '<div class="scroll"><table><tr><th>Feature</th><th>Level</th><th class="n">Bits</th>'
        f'<th class="n">Running total</th></tr>{rows}</table></div>'
        f"<p>All evidence is worth {weighing.total_bits:+.2f} bits; the probability is"
        f" <b>{weighing.probability:.4g}</b>. A match needs {policy.automatic_from:g} to be"
        f" automatic and {policy.suggest_threshold:g} to be suggested.</p>"
        f'<p class="quiet"><code>p = {safe(FORMULA)}</code></p>'
        f'<p class="quiet"><code>{safe(weighing.calculation)}</code></p>'
        f'<p class="quiet">Weights: {safe(weighing.weights)}</p>'
    )


def _alternatives(story: Story) -> str:
    found = story.document()["alternatives"]
    if not found:
        return ""
    rows = [(one["internal_id"], f"{one['bits']:+.2f}", f"{one['score']:.4g}") for one in found]
    heading = "Best candidates" if story.logged.decision == "unmatched" else "Alternatives"
    columns = ("Ledger item", "Bits", "Probability")
    return f"<h2>{heading}</h2>" + _table(columns, rows, numbers={1, 2})


def _facts(facts: Mapping[str, Any]) -> str:
    words = {True: "yes", False: "no"}
    rows = [
        (name.replace("_", " "), words[value] if isinstance(value, bool) else value)
        for name, value in facts.items()
        if value is not None
    ]
    return _table(("", ""), rows)


def _table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Iterable[int] = (),
    whole: Iterable[int] = (),
) -> str:
    """Return a table; columns of `numbers` stand to the right, those of `whole` never break."""
    classes = dict.fromkeys(numbers, ' class="n"') | dict.fromkeys(whole, ' class="k"')
    head = "".join(
        f"<th{classes.get(place, '')}>{safe(name)}</th>" for place, name in enumerate(columns)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{classes.get(place, '')}>{'' if cell is None else safe(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _side(bits: float) -> str:
    return "for" if bits > 0 else "against" if bits < 0 else "quiet"
