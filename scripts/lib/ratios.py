"""Ratios that were measured: how they are shown, kept in docs/ratios.json, and compared with later ones.

A ratio has a name that says what was divided by what, with what varies at the end: "disk/workers, experts whole/4". Later
runs of the script that measured it print their own beside it. There is no test of them: it would fail with the load of
the machine.
"""

import json
import os
import pathlib
import statistics

RECORDED = pathlib.Path(__file__).resolve().parents[2] / "docs/ratios.json"


def spread(values, digits=2):
    """Median (min-max)."""
    if not values:
        return "-"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def load_line():
    return "load " + " ".join(f"{value:.1f}" for value in os.getloadavg())


def read(path=RECORDED):
    """Median, least and most of each name, and in how many rounds."""
    return json.loads(path.read_text())["ratios"]


class Ratios:
    """What one run of a script has measured."""

    def __init__(self):
        self.measured = {}

    def add(self, name, values):
        if values:
            self.measured[name] = {"median": round(statistics.median(values), 3), "least": round(min(values), 3),
                                   "most": round(max(values), 3), "rounds": len(values)}

    def compare(self, path=RECORDED):
        """Those of the same names that are recorded, beside them."""
        recorded = read(path)
        known = [name for name in self.measured if name in recorded]
        if not known:
            return
        print(f"\nBeside {path.name}: now, recorded")
        for name in known:
            now, then = self.measured[name], recorded[name]
            apart = now["most"] < then["least"] or now["least"] > then["most"]
            print(f"{name:48} {self._shown(now):>20} {self._shown(then):>20}{'  apart' if apart else ''}")

    def record(self, path=RECORDED):
        """Takes the place of those of the same names."""
        document = json.loads(path.read_text())
        document["ratios"] = dict(sorted({**document["ratios"], **self.measured}.items()))
        lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(ratio)}" for name, ratio in document["ratios"].items())
        path.write_text(f'{{\n  "about": {json.dumps(document["about"])},\n  "ratios": {{\n{lines}\n  }}\n}}\n')

    @staticmethod
    def _shown(ratio):
        return f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})"

    def finish(self, options):
        """At the end of a script with add_flag()."""
        self.compare()
        if options.keep_ratios:
            self.record()


def add_flag(parser):
    parser.add_argument("--keep-ratios", action="store_true", help="put the ratios into docs/ratios.json")
