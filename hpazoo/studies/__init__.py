"""A spec run several times, with other seeds and in other variants, and what is claimed of it."""
