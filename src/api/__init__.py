"""The prediction API: gateway, routes, problem documents."""
