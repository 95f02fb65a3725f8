"""Prints, for each group of benchmarks, how many times faster the first one (ours) is than each other."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    groups: dict[str, list[tuple[str, float]]] = {}
    for bench in session.benchmarks if session else []:
        groups.setdefault(bench.group or bench.fullname, []).append((bench.name, bench.stats.median))
    for group, entries in sorted(groups.items()):
        (ours, median), *others = entries
        terminalreporter.write_line(f"{group}: {ours} {1e3 * median:.2f} ms")
        for name, other in others:
            terminalreporter.write_line(
                f"    {other / median:6.2f}x faster than {name} ({1e3 * other:.2f} ms)"
            )
