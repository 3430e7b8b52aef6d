"""Any instrument of pymeasure in the role of a converter, by a declaration in the bench file."""
