"""A headless browser, spoken to by its DevTools protocol over a pair of pipes: no port, no network
but loopback, and nothing beside Python's own library."""

import base64
import json
import os
import select
import signal
import subprocess
import time

ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--disable-features=Translate", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe"]


class Browser:
    """One page of a browser. `complaints` are errors of its scripts and of its policy."""

    def __init__(self, program, home, patience):
        self.patience = patience
        self.complaints = []
        self._answers, self._rest, self._number = {}, b"", 0
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        # It reads commands from 3 and writes answers to 4, whatever they are here.
        duplicate = f"exec 3<&{to_browser} 4>&{from_browser}; exec \"$@\""
        arguments = [program, *ARGUMENTS, f"--user-data-dir={home}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", duplicate, "bash", *arguments], pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self._session = None
        target = self.command("Target.createTarget", url="about:blank")
        attached = self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.command(f"{domain}.enable")

    def close(self):
        """Ends it with its helpers, which are in its own process group."""
        for end in (self._to, self._from):
            os.close(end)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def command(self, method, **parameters):
        """Says it, and waits for the answer."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            said["sessionId"] = self._session
        os.write(self._to, json.dumps(said).encode() + b"\0")
        number, give_up = self._number, time.monotonic() + self.patience
        while number not in self._answers:
            self._hear(give_up)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _hear(self, give_up):
        ready, _, _ = select.select([self._from], [], [], max(give_up - time.monotonic(), 0))
        if not ready:
            raise AssertionError(f"the browser says nothing for {self.patience} s")
        came = os.read(self._from, 1 << 20)
        if not came:
            raise AssertionError("the browser has ended")
        *messages, self._rest = (self._rest + came).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            elif message["method"] == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                text = details.get("exception", {}).get("description", details["text"])
                self.complaints.append(text)
            elif message["method"] == "Log.entryAdded":
                entry = message["params"]["entry"]
                # A refusal by the server is an answer like others.
                if entry["level"] == "error" and entry["source"] != "network":
                    self.complaints.append(f"{entry['source']}: {entry['text']}")

    def evaluate(self, script):
        """What an expression is, or will be."""
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True,
                              returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script, patience=None):
        """Until it is so."""
        give_up = time.monotonic() + (patience or self.patience)
        while True:
            if self.evaluate(f"!!({script})"):
                return
            if time.monotonic() > give_up:
                raise AssertionError(f"it never comes true: {script}")
            time.sleep(0.05)

    def open(self, address):
        self.command("Page.navigate", url=address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def type(self, text):
        """Into whatever has the focus."""
        self.command("Input.insertText", text=text)

    def press(self, key, text=None):
        code = {"Enter": 13, "Escape": 27}.get(key, 0)
        text = "\r" if key == "Enter" else text if text is not None else key if len(key) == 1 else ""
        about = {"key": key, "text": text, "windowsVirtualKeyCode": code}
        if not text:
            about.pop("text")
        self.command("Input.dispatchKeyEvent", type="keyDown", **about)
        self.command("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def scheme(self, name):
        """As if the system preferred `dark` or `light`."""
        self.command("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme", "value": name}])

    def resize(self, width, height):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=False)

    def picture(self, path):
        data = self.command("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
