import json, sys, importlib, time
from benchmarks.run import Run


class P:
    def advance(self, done, total, doing):
        print(f"\r{doing} {done}/{total}", end="", file=sys.stderr)


module = importlib.import_module(f"benchmarks.questions.{sys.argv[1]}")
begun = time.monotonic()
answer = module.ask(Run(P(), quick="--quick" in sys.argv))
from benchmarks import figures

for c in answer.comparisons:
    print(f"\n{c.title} [{c.unit}]")
    for row in c.rows:
        m, p99, r = (
            figures.median(row),
            figures.quantile(row, 0.99),
            figures.ratio(row, c.row(c.base)),
        )
        print(
            f"  {row.name:40} {m.value:9.2f} ({m.low:.2f} to {m.high:.2f})  p99 {p99.value:9.2f}   {r.value:.3f} x ({r.low:.3f} to {r.high:.3f})"
        )
for f in answer.findings:
    print(" ", f.sentence, f"({f.interval})", f.wanted, "" if f.held else "NOT HELD")
for count in answer.counts:
    print(count)
print(f"{time.monotonic() - begun:.1f} s")
