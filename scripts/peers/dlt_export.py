"""dlt's rest_api source into SQLite, one reading: dlt_export.py URL FILE.

The token is in TOKEN_A. dlt refuses integers of more than 64 bits, which the sandbox's samples hold
in `data`; those are taken out on the way.
"""

import os
import sys
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

URL, FILE = sys.argv[1:]


def simple(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "data": {"client_id": row["data"].get("client_id")}}


SOURCE = rest_api_source(
    {
        "client": {
            "base_url": f"{URL}/api/",
            "auth": {"type": "bearer", "token": os.environ["TOKEN_A"]},
            "paginator": {
                "type": "page_number",
                "base_page": 1,
                "total_path": None,
                "stop_after_empty_page": True,
            },
        },
        "resources": [
            {
                "name": "profiles",
                "endpoint": {
                    "path": "custom_oauth_profiles",
                    "params": {"per_page": 100},
                    "data_selector": "result",
                },
                "processing_steps": [{"map": simple}],
            }
        ],
    }
)
dlt.pipeline(
    "bench",
    destination=dlt.destinations.sqlalchemy(f"sqlite:///{FILE}"),
    dataset_name="main",
    pipelines_dir=str(Path(FILE).parent / "pipelines"),
).run(SOURCE)
