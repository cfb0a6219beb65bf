"""Run all benchmarks and judge the one that has a limit: `python -m benchmarks`."""

import sys

from benchmarks import import_time, sampling

SHARE, LIMIT = 0.1, 5.0


def main() -> int:
    """Print every figure.

    Returns:
        The exit status: 1 when importance sampling at keep 0.1 takes more than 5 × vector_norm.
    """
    ratio = sampling.main()[SHARE]
    import_time.main()
    if ratio > LIMIT:
        print(
            f"benchmarks: importance at keep {SHARE} takes {ratio:.1f} × vector_norm; "
            f"it must take at most {LIMIT}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
