"""Text: corpora, the questions of TruthfulQA, and windows of tokens."""
