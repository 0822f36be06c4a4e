"""The parts of the page on the pipeline: stages, processes, ledger and dead letters."""
