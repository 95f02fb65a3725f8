"""``python -m bench.report results.json ...``: the table of docs/figures.md, a dated result, and the scale curve.

Reads what ``pytest bench/ --benchmark-json=results.json`` wrote, one file or more (say, one for each instruction
set; the page shows the first one's). Needs neither pyrec nor pytest; matplotlib only for the picture.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measured import Entry, Result

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- figures -->", "<!-- /figures -->"


@dataclass(frozen=True)
class Run:
    """What one JSON file says; ``memory`` is peaks by work, in units of what the work cannot do without."""

    machine: dict[str, Any]
    date: str
    commit: str
    results: list[Result]
    memory: dict[str, dict[str, float]]

    @property
    def heading(self) -> str:
        """Processor, instruction set, threads, GPU and versions."""
        cpu = self.machine["cpu"].get("brand_raw", self.machine["machine"])
        versions = ", ".join(f"{name} {version}" for name, version in self.machine["versions"].items())
        gpu = f"{self.machine['gpu']}; " if "gpu" in self.machine else ""
        return (
            f"{gpu}{cpu}, {self.machine['threads']} threads, {self.machine['isa']}, last-level cache "
            f"{self.machine['last_level_cache']}; {versions}; {self.date}, commit {self.commit}."
        )


def read(path: Path) -> Run:
    """A results file."""
    data = json.loads(path.read_text())
    races: dict[str, list[dict[str, Any]]] = {}
    for bench in data["benchmarks"]:
        if "race" in bench["extra_info"]:
            races.setdefault(bench["extra_info"]["race"], []).append(bench)
    results = [_result(name, benches) for name, benches in races.items()]
    commit = (data.get("commit_info") or {}).get("id") or "unknown"
    memory: dict[str, dict[str, float]] = {}
    for bench in data["benchmarks"]:
        extra = bench["extra_info"]
        if "memory" in extra:
            memory.setdefault(bench["group"], {})[extra["memory"]] = extra["bytes"] / extra["floor"]
    raced = [result for result in results if result.rivals]
    return Run(data["machine_info"], data["datetime"][:10], commit[:10], raced, memory)


def _result(name: str, benches: list[dict[str, Any]]) -> Result:
    entries = [_entry(bench) for bench in benches]
    ours = next(e for e, b in zip(entries, benches, strict=True) if b["extra_info"]["ours"])
    rivals = sorted((e for e in entries if e is not ours), key=lambda e: e.median)
    known = ("race", "contender", "ours", "scale", "bytes")
    info = {key: value for key, value in benches[0]["extra_info"].items() if key not in known}
    return Result(name, info, ours, rivals)


def _entry(bench: dict[str, Any]) -> Entry:
    stats, extra = bench["stats"], bench["extra_info"]
    return Entry(
        extra["contender"], stats["median"], stats["iqr"], stats["rounds"], extra["scale"], extra.get("bytes")
    )


def table(results: list[Result]) -> str:
    """Ratio first, then ours, the best rival, and how many times its speed ours has of the others."""
    lines = ["| times the best | work | pyrec | best rival | others |", "|---:|---|---|---|---|"]
    for result in results:
        best, *others = result.rivals
        rest = ", ".join(f"{e.name} {e.median / result.ours.median:.3g}x" for e in others)
        lines.append(
            f"| **{result.ratio:.2f}x** | {result.name} | {result.ours} | {best.name}, {best} | {rest} |"
        )
    return "\n".join(lines)


def section(runs: list[Run], picture: str | None) -> str:
    """What goes between the page's markers."""
    first = runs[0]
    text = [
        "Both sides in one run on the same arrays, answers compared first, rounds taken in turn: `pytest bench/`. "
        "Medians ± half the interquartile range; the ratio is what holds, the milliseconds move. Scaled: a part of "
        "the work is timed and multiplied.",
        first.heading,
        table([result for result in first.results if not (picture and result.info["work"] == "scale")]),
    ]
    for work, peaks in first.memory.items():
        ratios = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in peaks.items())
        text.append(f"{work[0].upper()}{work[1:]}, in units of what it cannot do without: {ratios}.")
    text += [f"With {run.machine['isa']}: {_ratios(run)}." for run in runs[1:]]
    if picture:
        text.append(f"![Time and bytes an edge against the number of edges]({picture})")
    return "\n\n".join(text)


def _ratios(run: Run) -> str:
    return "; ".join(f"{r.name} **{r.ratio:.2f}x** ({r.ours})" for r in run.results)


def keep(runs: list[Run], folder: Path) -> Path:
    """Writes the dated result, JSON and table; returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{runs[0].date}-{runs[0].commit}"
    content = [
        {
            "machine": run.heading,
            "isa": run.machine["isa"],
            "threads": run.machine["threads"],
            "versions": run.machine["versions"],
            "memory": run.memory,
            "races": [
                {"race": r.name, **r.info, "ours": vars(r.ours), "rivals": [vars(e) for e in r.rivals]}
                for r in run.results
            ],
        }
        for run in runs
    ]
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    path = folder / f"{name}.md"
    path.write_text("\n\n".join(f"{run.heading}\n\n{table(run.results)}" for run in runs) + "\n")
    return path


def rewrite(page: Path, text: str) -> None:
    """Puts the text between the markers of the page."""
    old = page.read_text()
    if START not in old or END not in old:
        raise SystemExit(f"{page} has no {START} ... {END}; put both where the figures belong")
    before, rest = old.split(START, 1)
    page.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END, 1)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="files of pytest's --benchmark-json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "figures.md", help="file to rewrite")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "bench" / "results", help="where results are kept"
    )
    parser.add_argument("--print", action="store_true", help="only print the table")
    options = parser.parse_args()
    runs = [read(path) for path in options.results]
    if not runs[0].results:
        raise SystemExit(
            f"{options.results[0]} holds no race; write it with pytest bench/ --benchmark-json=FILE"
        )
    if options.print:
        print("\n\n".join(f"{run.heading}\n\n{table(run.results)}" for run in runs))
        return
    kept = keep(runs, options.folder)
    picture = _draw(runs[0], options.folder / "scale.png")
    rewrite(options.page, section(runs, picture and f"../{picture}"))
    print(f"wrote {kept}, {options.page}" + (f", {picture}" if picture else ""))


def _draw(run: Run, path: Path) -> str | None:
    """The picture's path from the source folder, or None if there is nothing to draw it of or with."""
    curve = [result for result in run.results if result.info.get("work") == "scale"]
    if len(curve) < 2:
        return path.relative_to(ROOT).as_posix() if path.exists() and path.is_relative_to(ROOT) else None
    try:
        from bench.scale_picture import draw
    except ModuleNotFoundError as missing:
        print(f"no picture: {missing.name} is not installed")
        return None
    draw(curve, path, run.heading)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    main()
