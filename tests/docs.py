"""Runs what the pages tell a reader to type: docs.py DIRECTORY_OF_PROGRAMS [PAGE...].

Blocks of a page run in their order, in a directory of the page's own. Their first line says how:

    ```sh                       the block is a script; it must not fail
    ```sh background            as if in another terminal; the page goes on once it says that it is
                                ready, and it ends with the page, if nothing ends it before
    ```console                  lines with `$ ` are commands, those below what they print: `…` stands
                                for anything in a line, alone for any lines; after `# exit code N` a
                                command is meant to fail
    ```sh not run: WHY          not run

`cargo run … -- X` runs the program that was built already, and `./test` says that it is what runs.
Of other uses of cargo there are none."""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PAGES = [
    "README.md",
    "docs/TUTORIAL.md",
    "docs/RUNBOOKS.md",
    "docs/OPERATIONS.md",
    "docs/SIMULATOR.md",
    "docs/JSON.md",
]
# No command takes longer on a busy machine.
SECONDS = 90
READY = re.compile(r"^(ready|standing by)", re.MULTILINE)
CARGO = """#!/usr/bin/env bash
# What `cargo run` would build and start, started.
set -euo pipefail
program=ringframe
[[ ${1:-} == run ]] || { echo "docs.py: cargo ${1:-}: mark the block as not run" >&2; exit 2; }
shift
while (($#)); do
    case $1 in
        --release | -q) shift ;;
        -p) program=$2; shift 2 ;;
        --example) program=examples/$2; shift 2 ;;
        --) shift; break ;;
        *) echo "docs.py: cargo run $1: not known" >&2; exit 2 ;;
    esac
done
exec "%s/$program" "$@"
"""


class Wrong(Exception):
    """A page says what is not so."""


class Block:
    """One fenced block: how it is run, where it stands, what it says."""

    def __init__(self, info, line):
        self.language, _, self.how = info.partition(" ")
        self.line = line
        self.lines = []

    def text(self):
        return "\n".join(self.lines)


def blocks_of(page):
    """The blocks that a reader would type, in order."""
    blocks, block = [], None
    with open(page, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.startswith("```"):
                if block:
                    block.lines.append(line)
            elif block:
                blocks.append(block)
                block = None
            else:
                block = Block(line[3:].strip(), number)
    typed = []
    for block in blocks:
        where = f"{page}:{block.line}"
        if block.language in ("sh", "console"):
            known = block.how in ("", "background") or re.match(r"not run: \S", block.how)
            if not known:
                raise Wrong(f"{where}: how is '{block.how}' to be run?")
            typed.append(block)
        elif not block.language and re.search(r"^(ringframe|cargo|loadgen) ", block.text(), re.M):
            raise Wrong(f"{where}: commands in a block that does not say whether it is run")
    return typed


def matches(expected, output):
    """Whether the output has the shape that the page shows."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            parts = [re.escape(part) for part in line.rstrip().split("…")]
            pattern += ".*?".join(parts) + r"[ \t]*\n"
    text = output if output.endswith("\n") or not output else output + "\n"
    return re.fullmatch(pattern, text) is not None


class Page:
    """A page's directory, and what still runs of it."""

    def __init__(self, page, programs):
        self.page = page
        self.directory = tempfile.mkdtemp(prefix="ringframe-docs-")
        tools = os.path.join(self.directory, ".tools")
        os.mkdir(tools)
        for name in ("ringframe", "loadgen", "ringframe-sim"):
            os.symlink(os.path.join(programs, name), os.path.join(tools, name))
        with open(os.path.join(tools, "cargo"), "w", encoding="utf-8") as shim:
            shim.write(CARGO % programs)
        os.chmod(os.path.join(tools, "cargo"), 0o755)
        work = os.path.join(self.directory, "work")
        os.mkdir(work)
        with open(os.path.join(work, "test"), "w", encoding="utf-8") as shim:
            shim.write("#!/bin/sh\necho 'it is what runs this page'\n")
        os.chmod(os.path.join(work, "test"), 0o755)
        self.work = work
        path = f"{tools}:{os.environ['PATH']}"
        self.environment = dict(os.environ, PATH=path, HOME=work, TMPDIR=self.directory)
        self.others = []

    def start(self, script, stdout):
        # Its own process group: whatever it starts ends with it.
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, script, where):
        """The exit code and all that was printed."""
        # Not a pipe: what a command leaves behind in the background may hold it open.
        with tempfile.TemporaryFile() as said:
            process = self.start(script, said)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
            said.seek(0)
            text = said.read().decode(errors="replace")
        if code is None:
            raise Wrong(f"{where}: did not end within {SECONDS} s:\n{script}\n{text}")
        return code, text

    def background(self, block, where):
        """Starts it, and waits until it says that it is ready."""
        path = os.path.join(self.directory, f"said-{block.line}")
        with open(path, "wb") as said:
            process = self.start(block.text(), said)
        self.others.append(process)
        until = time.monotonic() + SECONDS
        while True:
            with open(path, encoding="utf-8", errors="replace") as said:
                text = said.read()
            if READY.search(text):
                return
            if process.poll() is not None or time.monotonic() > until:
                raise Wrong(f"{where}: is not ready:\n{block.text()}\n{text}")
            time.sleep(0.02)

    def console(self, block, where):
        """Runs its commands, and compares what they print."""
        at = 0
        lines = block.lines
        while at < len(lines):
            if not lines[at].startswith("$ "):
                raise Wrong(f"{where}: '{lines[at]}' is no output of a command")
            command = [lines[at][2:]]
            at += 1
            while command[-1].endswith("\\"):
                command.append(lines[at])
                at += 1
            expected = []
            while at < len(lines) and not lines[at].startswith("$ "):
                expected.append(lines[at])
                at += 1
            script = "\n".join(command)
            meant = re.search(r"# exit code (\d+)$", script)
            code, text = self.run(script, where)
            if code != int(meant[1] if meant else 0):
                raise Wrong(f"{where}: exit code {code}:\n{script}\n{text}")
            if not matches(expected, text):
                shown = "\n".join(expected)
                raise Wrong(f"{where}: {script}\n-- the page shows\n{shown}\n-- it prints\n{text}")

    def play(self):
        """All blocks of the page; says how many commands and scripts that were."""
        count = 0
        for block in blocks_of(self.page):
            where = f"{self.page}:{block.line}"
            if block.how.startswith("not run"):
                continue
            count += 1
            if block.how == "background":
                self.background(block, where)
            elif block.language == "console":
                self.console(block, where)
            else:
                code, text = self.run(block.text(), where)
                if code:
                    raise Wrong(f"{where}: exit code {code}:\n{block.text()}\n{text}")
        return count

    def end(self):
        for process in self.others:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.others:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.directory)


def own_network():
    """Begins once more with a network of its own, where that is allowed, and wakes its loopback."""
    if os.environ.get("RINGFRAME_DOCS_NETWORK") is None:
        unshare = ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        allowed = shutil.which("unshare") and not subprocess.run(
            unshare + ["true"], stderr=subprocess.DEVNULL, check=False
        ).returncode
        os.environ["RINGFRAME_DOCS_NETWORK"] = "own" if allowed else "shared"
        if allowed:
            os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)
        print("on the machine's own loopback: the ports of the pages must be free")
    elif os.environ["RINGFRAME_DOCS_NETWORK"] == "own":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            up = struct.pack("16sh14x", b"lo", 1)  # IFF_UP
            fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS


def main():
    """Plays the pages that are named, or all of them."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    own_network()
    programs = os.path.abspath(sys.argv[1])
    for name in sys.argv[2:] or PAGES:
        began = time.monotonic()
        page = Page(name, programs)
        try:
            count = page.play()
        except Wrong as wrong:
            sys.exit(str(wrong))
        finally:
            page.end()
        print(f"{name}: {count} blocks, {time.monotonic() - began:.1f} s")


main()
