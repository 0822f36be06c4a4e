"""Everything on one machine: the supervisor, the embedded Redis and the sample traffic."""
