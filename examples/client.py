"""Follow a channel from Python. It reconnects by itself, and goes on where it was.

Start a server, then:

    python examples/client.py http://localhost:8000 /prices
"""

import sys

from tailrace.client import Client

for event in Client(sys.argv[1]).subscribe(sys.argv[2]):
    print(event.event, event.data, flush=True)
