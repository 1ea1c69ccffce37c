"""Services that take long to install: ``scripts/setup services`` does, ``make test-services`` runs what needs them."""
