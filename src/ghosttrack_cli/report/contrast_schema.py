"""How features fire on true against false answers to the same questions."""

from __future__ import annotations

from pydantic import Field

from ghosttrack_cli.report.record import Count, Record, Share


class TokenActs(Record):
    """A stretch of text with the activation of one feature on each token."""

    ids: list[int]
    texts: list[str]
    acts: list[float] = Field(description="0 where masked")
    left_out: Count = Field(description="tokens of a long text that are not shown")


class AnswerPair(Record):
    """Both answers to one question, and the share of each answer's rows on which it fires."""

    question: Count = Field(description="number of the question, from 0")
    opening: TokenActs = Field(description="the question, without the beginning of text")
    factual: TokenActs
    hallucinated: TokenActs
    rate_factual: Share
    rate_hallucinated: Share


class ContrastEntry(Record):
    """How one feature fires on factual against hallucinated answers to the same questions."""

    feature: Count
    rate_factual: Share = Field(description="share of the factual answers' rows")
    rate_hallucinated: Share
    answers_factual: Count = Field(description="factual answers on which it fires at all")
    answers_hallucinated: Count
    more_factual: Count = Field(description="questions whose factual answer has the higher rate")
    more_hallucinated: Count
    effect: float = Field(description="(more_factual - more_hallucinated) / questions, -1 to 1")
    p_value: Share = Field(description="exact two-sided sign test over questions")
    p_corrected: Share = Field(description="Benjamini-Hochberg over the features tested")
    pairs: list[AnswerPair] = Field(
        [], description="of the first features: questions whose answers differ most in rate"
    )


class Contrast(Record):
    """Features that separate true from false, by corrected p-value, then size of the effect."""

    questions: Count
    rows_factual: Count
    rows_hallucinated: Count
    tested: Count = Field(description="features that fire on at least one answer")
    significant: Count = Field(description="tested features with p_corrected below 0.05")
    entries: list[ContrastEntry]
