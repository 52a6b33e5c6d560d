"""Writes the dashboards: `make grafana`."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.boards import DASHBOARDS

FOLDER = Path(__file__).parent / "dashboards"
SCHEMA_VERSION = 39
"""The Classic JSON model, which Grafana 10 and later load and migrate."""


def texts() -> dict[str, str]:
    """The JSON of each dashboard, by the name of its file."""
    return {
        f"{name}.json": _text(json.loads(JSONEncoder().encode(make().build()))) for name, make in DASHBOARDS.items()
    }


def _text(content: dict[str, Any]) -> str:
    """The JSON of a dashboard, with what the SDK leaves out."""
    for number, panel in enumerate(content["panels"], 1):
        panel["id"] = number
        if panel["type"] == "state-timeline":
            # The series change at different moments; without this, each has a gap where another one changes.
            panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] = True
    del content["style"]
    content["annotations"]["list"] = []
    content["templating"].setdefault("list", [])
    for one in content["templating"]["list"]:
        one["definition"] = one["query"]
        for unused in ("id", "auto", "auto_min", "auto_count"):
            del one[unused]
    content["schemaVersion"] = SCHEMA_VERSION
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, "utf-8")
