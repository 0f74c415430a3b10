"""A collector gets spans of sampled orders from `ringframe serve`, and reads each call by
OpenTelemetry's own definitions, strictly: a field that they do not know is an error, and so is a
value of another type. Argument: the program."""

import base64
import http.server
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2

CALLS = 10
PATIENCE_SECONDS = 60
TOKENS = [f"SPAN{number}" for number in range(4000)]
STEPS = {"order", "journal", "sync", "apply", "release"}
# What the specification writes otherwise than the JSON of protocol buffers: names are hexadecimal.
NAMES = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def as_protobuf(value):
    """The same with names as the JSON of protocol buffers has them, and no enumeration by its name."""
    if isinstance(value, list):
        return [as_protobuf(item) for item in value]
    if not isinstance(value, dict):
        return value
    other = {}
    for key, item in value.items():
        if key in NAMES:
            name = bytes.fromhex(item)
            assert len(name) == NAMES[key] and any(name) and item == item.lower(), item
            item = base64.b64encode(name).decode()
        assert key != "kind" or isinstance(item, int), f"{item}: enumerations are numbers"
        other[key] = as_protobuf(item)
    return other


class Collector(http.server.BaseHTTPRequestHandler):
    """Answers as a collector does, by the definitions, too."""

    calls = queue.Queue()
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.put((self.path, self.headers["Content-Type"], body))
        said = json_format.MessageToJson(service.ExportTraceServiceResponse()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


def check(path, kind, body):
    """One call: the session and token of its order."""
    assert (path, kind) == ("/v1/traces", "application/json"), (path, kind)
    request = json_format.Parse(
        json.dumps(as_protobuf(json.loads(body))), service.ExportTraceServiceRequest(),
        ignore_unknown_fields=False)
    (resource,) = request.resource_spans
    assert any(it.key == "service.name" and it.value.string_value == "ringframe"
               for it in resource.resource.attributes)
    (scope,) = resource.scope_spans
    spans = {span.name: span for span in scope.spans}
    assert len(spans) == len(scope.spans) and set(spans) == STEPS, spans
    root = spans["order"]
    assert root.kind == trace_pb2.Span.SPAN_KIND_SERVER and not root.parent_span_id, root
    assert len({span.span_id for span in scope.spans}) == len(spans)
    for name, span in spans.items():
        assert span.trace_id == root.trace_id, name
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano, name
        if span is not root:
            assert span.kind == trace_pb2.Span.SPAN_KIND_INTERNAL, name
            assert span.parent_span_id == root.span_id, name
    known = {it.key.removeprefix("ringframe."): it.value for it in root.attributes}
    assert known["sequence"].int_value > 0 and known["outcome"].string_value == "accepted", known
    return known["session"].int_value, known["token"].string_value


def end(process):
    """Ends it, also where it does not want to."""
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = sys.argv[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    to = f"http://127.0.0.1:{server.server_port}/v1/traces"
    with tempfile.TemporaryDirectory() as directory:
        any_port = "127.0.0.1:0"
        settings = ["--data", pathlib.Path(directory) / "data", "--replication", "off",
                    "--admin", "off", "--log", "text", "--spans-to", to,
                    "--spans-per-second", "20"]
        for each in ("--listen", "--market-data", "--glimpse"):
            settings += [each, any_port]
        log = pathlib.Path(directory) / "log"
        with open(log, "wb") as stderr:
            node = subprocess.Popen([program, "serve", *settings], stdout=subprocess.PIPE,
                                    stderr=stderr, text=True)
        # Who says nothing is not waited for: without the node each wait below ends.
        watchdog = threading.Timer(PATIENCE_SECONDS, node.kill)
        watchdog.start()
        client = None
        try:
            place = node.stdout.readline().removeprefix("order entry on ").split(",")[0]
            assert node.stdout.readline().strip() == "ready"
            client = subprocess.Popen(
                [program, "client", "--target", place, "--user", "TRDR07"],
                stdin=subprocess.PIPE, text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seen = set()
            for token in TOKENS:
                client.stdin.write(f"buy 1 AAPL 229.00 token={token}\n")
                client.stdin.flush()
                try:
                    call = Collector.calls.get(timeout=0.002)
                except queue.Empty:
                    continue
                session, told = check(*call)
                assert session == 7 and told in TOKENS and told not in seen, (session, told)
                seen.add(told)
                if len(seen) == CALLS:
                    break
            assert len(seen) == CALLS, f"{len(seen)} calls for {len(TOKENS)} orders"
        except Exception:
            print(log.read_text(), file=sys.stderr)
            raise
        finally:
            watchdog.cancel()
            try:
                if client:
                    end(client)
            finally:
                end(node)
    print(f"{CALLS} calls, each an ExportTraceServiceRequest, of session 7's own orders")


main()
