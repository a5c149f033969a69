#!/usr/bin/env python3
"""Draws the dashboard from a Prometheus, without Grafana: every panel's queries, as Grafana would ask them.

    pip install matplotlib
    deploy/grafana/render.py http://127.0.0.1:9090 picture.png [MINUTES]

A panel whose query fails ends it with an error; one without data says so in the picture.
"""

import json
import math
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

STEP_SECONDS = 5
COLORS = {"green": "#2e7d32", "orange": "#e65100", "red": "#b71c1c"}


def expression(text):
    """What Grafana makes of its variables."""
    for name, value in {"$__rate_interval": "30s", "$job": ".*", "$instance": ".*"}.items():
        text = text.replace(name, value)
    return text


def query(prometheus, path, **parameters):
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{parameters['query']}: {error.read().decode()}")


def legend(form, labels):
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form


def shown(value, unit):
    if unit in ("bytes", "Bps"):
        for prefix in ("", "Ki", "Mi", "Gi"):
            if abs(value) < 1024 or prefix == "Gi":
                return f"{value:.4g} {prefix}B" + ("/s" if unit == "Bps" else "")
            value /= 1024
    return f"{value:.4g}" + {"s": " s", "cps": "/s"}.get(unit, "")


def draw_stat(axes, panel, prometheus):
    defaults = panel["fieldConfig"]["defaults"]
    result = query(prometheus, "query", query=expression(panel["targets"][0]["expr"]))
    axes.set_xticks([])
    axes.set_yticks([])
    if not result:
        axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=axes.transAxes)
        return
    value = float(result[0]["value"][1])
    color = None
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    text = shown(round(value, defaults.get("decimals", 6)), defaults["unit"])
    for mapping in defaults.get("mappings", []):
        text = mapping["options"].get(f"{value:g}", {}).get("text", text)
    axes.set_facecolor(COLORS.get(color, "#555555"))
    axes.text(0.5, 0.5, text, ha="center", va="center", color="white", fontsize=15, transform=axes.transAxes)


def draw_series(axes, panel, prometheus, start, end):
    defaults = panel["fieldConfig"]["defaults"]
    lines = []
    for target in panel["targets"]:
        asked = {"query": expression(target["expr"]), "start": start, "end": end, "step": STEP_SECONDS}
        for series in query(prometheus, "query_range", **asked):
            points = [((float(at) - start) / 60, float(value)) for at, value in series["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                lines.append((legend(target["legendFormat"], series["metric"]), points))
    if not lines:
        axes.text(0.5, 0.5, "nothing", ha="center", va="center", color="grey", transform=axes.transAxes)
    for name, points in sorted(lines, key=lambda line: -max(value for _, value in line[1]))[:7]:
        axes.plot(*zip(*points), linewidth=1.1, label=name)
    axes.set_xlim(0, (end - start) / 60)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"]))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.25)
    if lines:
        axes.legend(fontsize=5.5, loc="best", framealpha=0.6)


def main():
    prometheus, picture = sys.argv[1].rstrip("/"), sys.argv[2]
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 10
    dashboard = json.loads(Path(__file__).with_name("trailsift.json").read_text())
    end = time.time()
    start = end - 60 * minutes
    panels = dashboard["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(18, height * 0.3))
    for panel in panels:
        place = panel["gridPos"]
        left, width = place["x"] / 24, place["w"] / 24
        bottom = 1 - (place["y"] + place["h"]) / height
        tall = place["h"] / height
        if panel["type"] == "row":
            figure.text(0.012, bottom + tall * 0.25, panel["title"], fontsize=11, weight="bold")
            continue
        box = [left + 0.038, bottom + 0.014, width - 0.048, tall - 0.032]
        if panel["type"] == "stat":
            box = [left + 0.012, bottom + 0.006, width - 0.018, tall - 0.024]
        axes = figure.add_axes(box)
        axes.set_title(panel["title"], fontsize=8, loc="left", pad=3)
        if panel["type"] == "stat":
            draw_stat(axes, panel, prometheus)
        else:
            draw_series(axes, panel, prometheus, start, end)
    figure.savefig(picture, dpi=75)


if __name__ == "__main__":
    main()
