"""How fast hpazoo is, in ratios that one run measures: `python -m bench`; see docs/benchmarks.md.

`naive` is what a competent user writes in a notebook, `floor` what cannot be saved.
"""
