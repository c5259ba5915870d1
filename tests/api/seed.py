"""Publishes a webhook for the tests of the API: seed.py URL, with the token in CITADEL_TOKEN."""

import os
import sys

import requests

WEBHOOK = {
    "name": "orders",
    "nodes": [{"id": "hook", "type": "webhook", "params": {"path": "orders", "method": "ANY"}}],
}


def main(url):
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {os.environ['CITADEL_TOKEN']}"
    created = session.post(f"{url}/api/v1/workflows", json=WEBHOOK, timeout=20)
    created.raise_for_status()
    session.post(f"{url}/api/v1/workflows/{created.json()['id']}/activate", timeout=20).raise_for_status()


main(sys.argv[1])
