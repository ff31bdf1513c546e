"""How progress is displayed: on a terminal, in a notebook, in a log."""
