"""What `make bench` measures: a module is a section; ``python -m benchmarks`` prints them."""
