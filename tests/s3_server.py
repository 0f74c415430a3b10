"""Runs a command beside a server that speaks S3, on a free loopback port: `s3_server.py COMMAND …`.

The server is a thread of this process, so it ends with it, whatever the command does.
"""

import logging
import os
import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"
region = "us-east-1"
key = "test"
boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name=region,
    aws_access_key_id=key,
    aws_secret_access_key=key,
).create_bucket(Bucket="ringframe")
print(f"a server that speaks S3 listens on {endpoint}", flush=True)
for variable in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[variable]
environment = {
    **os.environ,
    "AWS_ENDPOINT": endpoint,
    "AWS_ALLOW_HTTP": "true",
    "AWS_REGION": region,
    "AWS_ACCESS_KEY_ID": key,
    "AWS_SECRET_ACCESS_KEY": key,
    "RINGFRAME_TEST_S3": "s3://ringframe/some/prefix",
}
try:
    sys.exit(subprocess.run(sys.argv[1:], env=environment).returncode)
finally:
    server.stop()
