"""requests, told to retry every method, when a reply is lost: run by server/tests/lost_replies.rs
with the node's port."""

import sys

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

node = f"http://127.0.0.1:{sys.argv[1]}"
session = requests.Session()
session.mount("http://", HTTPAdapter(max_retries=Retry(total=3, allowed_methods=None)))
try:
    answer = session.post(f"{node}/counters/visits/increment", timeout=1)
    print("counted:", answer.text)
except requests.RequestException as error:
    print("not known:", error)
