"""What `tests/cluster/up`, `down` and `selftest` are made of. Python 3.9 or newer, standard library only."""
