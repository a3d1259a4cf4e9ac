"""SAEs in the layouts of other programs; SAELens opens our own folders as they are."""
