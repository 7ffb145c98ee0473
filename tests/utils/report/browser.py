"""A headless Chromium that looks at pages."""

import base64
import json
import os
import shutil
import subprocess
import sys

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",
]
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look with")


def look(page, width, folder, question, screenshot=None):
    """Shows a page in a frame of a width and answers a question about it.

    Args:
        page: its address.
        width: of the frame; it is as narrow as it is told to be, and a window need not be.
        folder: to write to.
        question: the body of an asynchronous JavaScript function of the frame `f` and the document `page` in it.
        screenshot: a picture to write, too.
    """
    frame = folder / "frame.html"
    frame.write_text(
        f"""<body style="margin:0"><iframe id="f" width="{width}" height="2400" style="border:0"
        src="{page}"></iframe><pre id="found"></pre><script>f.onload = async () => {{
        const page = f.contentDocument; found.textContent = JSON.stringify(
        await (async () => {{ {question} }})()) }}</script>"""
    )
    run = {"check": True, "timeout": 60, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
    dumped = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()], **run
    ).stdout.decode()
    if screenshot is not None:
        subprocess.run([*command, f"--window-size={width},2400", f"--screenshot={screenshot}", frame.as_uri()], **run)
    return json.loads(dumped.split('<pre id="found">')[1].split("</pre>")[0].replace("&amp;", "&"))


# Chromium speaks over its file descriptors 3 and 4.
START = """
import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3]]
for wanted, end in zip((3, 4), [os.dup(os.dup(os.dup(end))) for end in ends]):
    os.dup2(end, wanted)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A browser window in which time passes as it does, so that videos play; for pages that `look` can't wait for.

    Args:
        folder: to write to.
        width, height: of the window.
    """

    def __init__(self, folder, width, height=900):
        self._folder, self._size, self._number = folder, (width, height), 0

    def __enter__(self):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        command = [CHROMIUM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self._folder / 'profile'}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(to_browser), str(from_browser), *command, "about:blank"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._replies = os.fdopen(self._read, "rb")
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        width, height = self._size
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait(timeout=20)
        os.close(self._write)
        self._replies.close()

    _session = None

    def _ask(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = b""
            while not reply.endswith(b"\0"):
                byte = self._replies.read(1)
                assert byte, "the browser has ended"
                reply += byte
            found = json.loads(reply[:-1])
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]

    def open(self, page):
        """Opens an address."""
        self._ask("Page.navigate", url=page)

    def tell(self, question):
        """What the body of an asynchronous JavaScript function gives, once the page is there."""
        loaded = "if (document.readyState !== 'complete') await new Promise(done => addEventListener('load', done));"
        found = self._ask(
            "Runtime.evaluate", expression=f"(async () => {{ {loaded} {question} }})()", awaitPromise=True,
            returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path):
        """Writes what the window shows."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))
