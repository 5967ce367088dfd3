"""The tidy tables of a run."""
