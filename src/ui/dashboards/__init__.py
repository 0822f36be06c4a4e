"""The dashboards' own parts: from an address to panels with their numbers."""
