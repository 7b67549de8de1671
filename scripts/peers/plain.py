"""What a script of twenty lines does: export a workspace, or create profiles, one after the other.

plain.py export URL FILE      one reading, with requests, into sqlite3
plain.py create URL COUNT     COUNT creates, with requests

The token is in TOKEN_A.
"""

import json
import os
import sqlite3
import sys

import requests


def export(session: requests.Session, base: str, path: str) -> None:
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE profiles (id INTEGER PRIMARY KEY, provider TEXT, name TEXT, client_id TEXT,"
        " document TEXT)"
    )
    page = 1
    while True:
        answer = session.get(base, params={"page": str(page), "per_page": "100"}, timeout=45)
        answer.raise_for_status()
        rows = answer.json()["result"]
        database.executemany(
            "INSERT INTO profiles VALUES (?, ?, ?, ?, ?)",
            [
                (r["id"], r["provider"], r["name"], r["data"].get("client_id"), json.dumps(r))
                for r in rows
            ],
        )
        if len(rows) < 100:
            break
        page += 1
    database.commit()


def create(session: requests.Session, base: str, count: int) -> None:
    for number in range(count):
        payload = {
            "name": f"Plain {number}",
            "provider": "hubspot",
            "data": {"client_id": f"app-{number}", "client_secret": "secret"},
        }
        session.post(base, json=payload, timeout=45).raise_for_status()


def main() -> None:
    what, url, argument = sys.argv[1:]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {os.environ['TOKEN_A']}"
        base = f"{url}/api/custom_oauth_profiles"
        if what == "export":
            export(session, base, argument)
        else:
            create(session, base, int(argument))


main()
