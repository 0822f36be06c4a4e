"""Finds the packages under src/, imported as ``vigie`` (a static list would omit new ones)."""

from setuptools import find_packages, setup

setup(
    # The specification of the panels stands outside src/ and is needed where the package is installed.
    packages=["vigie", "vigie.kibana", *(f"vigie.{name}" for name in find_packages("src"))],
    package_data={
        "": ["*.yaml", "*.lua", "*.json", "py.typed"],
        "vigie.ui": ["styles/*.css", "scripts/*.js", "templates/*/*.html", "texts/*.yaml"],
    },
)
