"""The answer as an honest statement: what the model says, how far it can be trusted, and what it is not."""

from __future__ import annotations

from dataclasses import dataclass

from vigie.schema import FeatureSchema
from vigie.ui.feature_words import plain
from vigie.ui.language import Language
from vigie.ui.numbers import number, percent
from vigie.ui.outcome import Prediction
from vigie.ui.predict.model_facts import Facts
from vigie.ui.texts import Texts


@dataclass(frozen=True)
class Bar:
    """A probability with the threshold it is held against, both in percent of the bar's length."""

    label: str
    shown: str
    percent: float
    threshold: float | None
    threshold_words: str


@dataclass(frozen=True)
class Statement:
    """What the template `predict/answer.html` shows, as text in one language."""

    target: str
    given: str
    bar: Bar | None
    meaning: str
    trust: str
    notice: str
    model: str
    transaction_id: str


@dataclass(frozen=True)
class Speaker:
    """Says in one language what the model of a schema answered."""

    schema: FeatureSchema
    texts: Texts
    language: Language

    def statement(self, answer: Prediction, facts: Facts | None, notice: str) -> Statement:
        """Return the statement of `answer`; without `facts` it says less, and makes nothing up."""
        return Statement(
            target=self._title,
            given=plain(self.language, answer.prediction) if answer.label is None else answer.label,
            bar=self._bar(answer, facts),
            meaning=self.meaning(answer),
            trust=self.trust(answer, facts),
            notice=notice,
            model=f"{answer.model_name} {answer.model_version}",
            transaction_id=answer.transaction_id,
        )

    def meaning(self, answer: Prediction) -> str:
        """Return in plain words what the answer means."""
        if answer.label is None or answer.probability is None:
            value = plain(self.language, answer.prediction)
            return self._say("predict.expects_number", target=self._title, value=value)
        frequency = self._say(
            "predict.of_hundred",
            count=self.out_of_hundred(answer.probability),
            target=self._title,
            label=self.probability_class(answer),
        )
        meaning = self.schema.target.meaning.get(answer.label)
        return f"{meaning.in_language(self.language)} {frequency}" if meaning else frequency

    def trust(self, answer: Prediction, facts: Facts | None) -> str:
        """Return how far the model's probabilities were off where the truth is known."""
        if facts is None or facts.version != answer.model_version or answer.probability is None:
            return self._say("predict.trust_unknown")
        rows, error = number(self.language, facts.metrics.rows), facts.metrics.calibration_error
        if error is None:
            right = percent(self.language, facts.metrics.correct / facts.metrics.rows)
            return self._say("predict.trust_accuracy", rows=rows, right=right)
        points = number(self.language, 100 * error, 1)
        key = "predict.trust_simulated" if facts.simulated else "predict.trust"
        return self._say(key, rows=rows, points=points)

    def probability_class(self, answer: Prediction) -> str:
        """Return the label of the class whose probability the API gives: of two the positive one."""
        target = self.schema.target
        return target.positive if len(target.classes) == 2 else str(answer.label)

    def percent(self, probability: float) -> str:
        """Return `probability` (0-1) in percent, never rounded to a certainty that it is not."""
        if 0 < probability < 0.001:
            return self._say("predict.less_than", limit=percent(self.language, 0.001))
        if 0.999 < probability < 1:
            return self._say("predict.more_than", limit=percent(self.language, 0.999))
        return percent(self.language, probability)

    def out_of_hundred(self, probability: float) -> str:
        """Return how many of 100 a `probability` (0-1) stands for, in words."""
        count = round(100 * probability)
        if count == 0 and probability > 0:
            return self._say("predict.fewer_than_one")
        if count == 100 and probability < 1:
            return self._say("predict.more_than_99")
        return self._say("predict.about", count=count)

    def _bar(self, answer: Prediction, facts: Facts | None) -> Bar | None:
        if answer.probability is None:
            return None
        label = self.probability_class(answer)
        threshold = self._threshold(answer, facts)
        words = ""
        if threshold is not None:
            shown = percent(self.language, threshold, 0 if round(threshold, 2) == threshold else 1)
            words = self._say("predict.threshold", label=label, share=shown)
        return Bar(
            label=self._say("predict.probability_of", target=self._title, label=label),
            shown=self.percent(answer.probability),
            percent=round(100 * answer.probability, 2),
            threshold=None if threshold is None else round(100 * threshold, 2),
            threshold_words=words,
        )

    def _threshold(self, answer: Prediction, facts: Facts | None) -> float | None:
        """The served model's; another version than the schema's is not guessed at."""
        if facts is not None and facts.version == answer.model_version:
            return facts.threshold
        target = self.schema.target
        known = answer.model_version == self.schema.version and len(target.classes) == 2
        return target.threshold if known else None

    @property
    def _title(self) -> str:
        return self.schema.target.title.in_language(self.language)

    def _say(self, key: str, **values: object) -> str:
        return self.texts.say(self.language, key, **values)
