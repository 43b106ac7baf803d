"""What the benchmarks share: processes on cores, C programs, rows of results. It measures nothing itself."""
