"""The cache of published weights: fetched, added by hand, verified."""
