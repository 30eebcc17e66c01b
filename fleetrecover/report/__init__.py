"""What a person or a program is told: `console` for a terminal, `document` for `--json`."""
