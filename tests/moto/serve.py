"""Serves moto on a port of this machine, one request after the other.

    python tests/moto/serve.py PORT

moto's own server answers requests at once, and its Kinesis is not made for that: of two puts at the same time one may be lost.
"""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

run_simple(
    "127.0.0.1",
    int(sys.argv[1]),
    DomainDispatcherApplication(create_backend_app),
    threaded=False,
    request_handler=MotoRequestHandler,
)
