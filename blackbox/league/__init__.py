"""The league: a benchmark of black-box attacks whose counts the target's side keeps and signs (docs/how-to/league.md)."""
