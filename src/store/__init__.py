"""The embedded store: the part of Elasticsearch's REST that the platform uses, on tantivy.

It serves demos and tests on one machine. It answers like Elasticsearch 8.19 where it answers at all; what it
does not support it refuses with a 400 that names it, and never ignores.
"""
