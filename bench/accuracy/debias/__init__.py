"""Debiasing methods beside plain baselines, on sets with a uniform test part; `__main__` says how it is run."""
