"""One pass over the rows: what each feature does on them, in bounded memory."""
