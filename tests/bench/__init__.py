"""What docs/benchmarks.md reports: `make bench`."""
