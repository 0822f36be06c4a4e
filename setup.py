"""Finds the packages under src/, imported as ``vigie`` (a static list would omit new ones)."""

from setuptools import find_packages, setup

setup(
    packages=["vigie", *(f"vigie.{name}" for name in find_packages("src"))],
    package_data={"": ["*.yaml", "*.lua", "*.json", "*.css", "*.js", "py.typed"]},
)
