"""The parts of the page on drift and quality, and their reports as files."""
