"""Run all benchmarks: `python -m benchmarks`."""

from benchmarks import import_time, sampling

for benchmark in (sampling, import_time):
    benchmark.main()
