"""The sections of a report: each puts what it finds in the runs on the page, and nothing where it finds nothing."""
