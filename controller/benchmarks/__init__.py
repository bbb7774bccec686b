"""Measurements of this library against baselines that are written here, in the same run.

`core` is about one step and about replay. What may not go in here: anything that the library itself needs.
"""
