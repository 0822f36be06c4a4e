"""The answer as the visitor reads it. Every text that goes into the page is escaped here."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from vigie.schema import FeatureSchema
from vigie.ui.answers import field_label
from vigie.ui.outcome import Failure, Outcome, Prediction

WAITING = """
<div class="answer waiting">
  <h2>Result</h2>
  <p>Fill in the form and press <b>Predict</b>. The answer appears here.</p>
</div>
"""


def percent(probability: float) -> str:
    """Return `probability` (0–1) in percent, never rounded to a certainty that it is not."""
    value = 100 * probability
    if 0 < value < 0.1:
        return "less than 0.1 %"
    if 99.9 < value < 100:
        return "more than 99.9 %"
    return f"{value:.1f} %".replace(".0 %", " %")


def out_of_hundred(probability: float) -> str:
    """Return how many of 100 a `probability` (0–1) stands for, in words."""
    count = round(100 * probability)
    if count == 0 and probability > 0:
        return "fewer than 1"
    if count == 100 and probability < 1:
        return "more than 99"
    return f"about {count}"


def probability_class(schema: FeatureSchema, answer: Prediction) -> str:
    """Return the label of the class whose probability the API gives: of two the positive one."""
    return schema.target.positive if len(schema.target.classes) == 2 else str(answer.label)


def explanation(schema: FeatureSchema, answer: Prediction, language: str = "en") -> str:
    """Return in plain words what the answer means, as text (not markup)."""
    title = schema.target.title.in_language(language)
    if answer.label is None or answer.probability is None:
        return f"For answers like these the model expects {title} to be about {answer.prediction:g}."
    expected = out_of_hundred(answer.probability)
    label = probability_class(schema, answer)
    meaning = schema.target.meaning.get(answer.label)
    sentences = [meaning.in_language(language)] if meaning else []
    sentences.append(
        f"Of 100 cases with answers like these, the model expects {expected} to be “{title}: {label}”."
    )
    return " ".join(sentences)


def render(outcome: Outcome, schema: FeatureSchema, notice: str, api_url: str, language: str = "en") -> str:
    """Return the HTML of the result panel for `outcome`."""
    if isinstance(outcome, Failure):
        return _failure(outcome, schema, api_url, language)
    title = schema.target.title.in_language(language)
    given = f"{outcome.prediction:g}" if outcome.label is None else outcome.label
    return f"""
<div class="answer">
  <h2>Result</h2>
  <p class="class"><span>{escape(title)}</span> <strong>{escape(given)}</strong></p>
  {_bar(schema, outcome, title)}
  <h3>What it means</h3>
  <p>{escape(explanation(schema, outcome, language))}</p>
  <h3>What it is not</h3>
  <p>{escape(_sentence(notice))}</p>
  <dl>
    <dt>Model</dt><dd>{escape(outcome.model_name)} {escape(outcome.model_version)}</dd>
    <dt>Transaction</dt><dd>{_log_link(outcome.transaction_id, api_url)}</dd>
  </dl>
</div>
"""


def _bar(schema: FeatureSchema, answer: Prediction, title: str) -> str:
    if answer.probability is None:
        return ""
    label = escape(f"Probability of “{title}: {probability_class(schema, answer)}”")
    share = f"{100 * answer.probability:.1f}"
    return f"""
  <p class="probability"><span>{label}</span> <b>{percent(answer.probability)}</b></p>
  <div class="bar" role="meter" aria-label="{label}"
    aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}"><div style="width: {share}%"></div></div>
"""


def _failure(failure: Failure, schema: FeatureSchema, api_url: str, language: str) -> str:
    faults = "".join(
        f"<li>{_fault_field(schema, fault.field, language)}{escape(fault.reason)}</li>"
        for fault in failure.faults
    )
    if failure.transaction_id:
        term, reference = "Transaction", _log_link(failure.transaction_id, api_url)
    else:
        term, reference = "Request", f"<code>{escape(failure.request_id)}</code>"
    return f"""
<div class="answer failure" role="alert">
  <h2>{escape(failure.title)}</h2>
  <p>{escape(failure.what_happened)}</p>
  {f"<ul>{faults}</ul>" if faults else ""}
  <p>{escape(failure.what_to_do)}</p>
  <dl><dt>{term}</dt><dd>{reference}</dd></dl>
</div>
"""


def _fault_field(schema: FeatureSchema, field: str, language: str) -> str:
    return f"<b>{escape(field_label(schema, field, language))}</b>: " if field else ""


def _sentence(notice: str) -> str:
    text = notice[:1].upper() + notice[1:]
    return text if text.endswith(".") else f"{text}."


def _log_link(transaction_id: str, api_url: str) -> str:
    """An id as a link to its log entries; an API_URL that is not http(s) gives no link."""
    shown = f"<code>{escape(transaction_id)}</code>"
    if not api_url.startswith(("http://", "https://")):
        return shown
    address = escape(f"{api_url}/logs?transaction_id={quote(transaction_id, safe='')}")
    return f'<a href="{address}" target="_blank" rel="noopener">{shown}</a>'
