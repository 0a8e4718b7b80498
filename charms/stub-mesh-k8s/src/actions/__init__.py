"""The answers to the actions `policies` and `explain`.

They only read. No policy depends on them, so a charm made from this one can do without this package
and the two actions.
"""
