"""Installs a pinned pip into the environment it is run in, for interpreters that come without ensurepip."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

WHEEL = "pip-25.3-py3-none-any.whl"
SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"

page = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
with urllib.request.urlopen(urllib.request.Request(page, headers={"Accept": "text/html"})) as answer:
    link = re.search(f'href="([^"#]*/{re.escape(WHEEL)})', answer.read().decode())
if link is None:
    sys.exit(f"{page} has no {WHEEL}: install python3-venv instead, and try again")
with urllib.request.urlopen(urllib.parse.urljoin(page, link.group(1))) as answer:
    content = answer.read()
if hashlib.sha256(content).hexdigest() != SHA256:
    sys.exit(f"{WHEEL} from {page} is not the file that was pinned")

with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, WHEEL)
    with open(path, "wb") as file:
        file.write(content)
    # A wheel is a zip, and so can be run before it is installed.
    subprocess.check_call([sys.executable, path + "/pip", "install", "--quiet", "--no-index", path])
