"""A candidate against a baseline: is it no worse, and are its videos the same?

`baseline` and `margins` make the file, `calibrate` measures fidelity thresholds, `check` gives the verdict,
`history` looks at many runs. What is found is typed in `records`; `report/` shows it."""
