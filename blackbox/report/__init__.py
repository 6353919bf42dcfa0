"""Pictures and pages of a run. matplotlib is imported where it is used."""
