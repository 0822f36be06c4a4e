"""What is in Redis: the event stream, its ledger, dead letters, and the scripts that change them."""
