"""Bridges: the ways by which events of foreign programs come into the stream."""

from vigie.logs_pipeline.bridges.runner import Bridges

__all__ = ["Bridges"]
