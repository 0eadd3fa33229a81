"""Every SQL statement of the store, named; one module for each concern.

Parameters are named `p_…`, so that they never meet a column's name in a `SET`. Values of flags are written
out (`ended = 0`), since a partial index does not serve a comparison with a parameter.
"""
