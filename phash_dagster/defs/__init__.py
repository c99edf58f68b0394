"""The Dagster shell: one file per asset or sensor. Thin: config in, one core call, metadata out.

What to compute and how is in the domain packages, which know no Dagster.
"""
