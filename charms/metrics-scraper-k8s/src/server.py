"""The program in the scraper's container: it calls its targets and shows the latest results.

It needs only the standard library. Environment variables configure it: NAME (for the page's title),
PORT, TARGETS (JSON, a list of objects with `job` and `url`), INTERVAL (in seconds), VERSION and
optionally BIND_ADDRESS, without which it listens on all interfaces. It also uses the proxies that
the environment names.
"""

import dataclasses
import datetime
import html
import http.client
import http.server
import json
import os
import signal
import socketserver
import string
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple

TIMEOUT = 5
MAX_ANSWER = 2000
MAX_SHOWN = 120


@dataclasses.dataclass(frozen=True)
class Scrape:
    """A target and its latest result. Times are in UTC and durations in seconds."""

    job: str
    url: str
    health: str = "unknown"
    code: int | None = None
    answer: str = ""
    error: str = ""
    scraped_at: str = ""
    duration: float = 0.0


class Response(NamedTuple):
    """A response to a request."""

    code: int
    media_type: str
    body: str


LATEST: list[Scrape] = []
"""The latest scrape of each target, in the order of TARGETS."""

PAGE = string.Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5"><title>Targets of $name</title>
<style>
  :root { color-scheme: light dark }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem }
  th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0 }
  h1 { font-size: 1.4rem }
  code { display: block; font-size: 12px; color: light-dark(#59636e, #9198a1) }
  .target { overflow-wrap: anywhere } .figure { white-space: nowrap }
  .up .state { color: light-dark(#1a7f37, #3fb950) }
  .down .state { color: light-dark(#cf222e, #f85149) }
  @media (max-width: 40rem) { /* On a phone, each target has a line of its own below the figures. */
    th { display: none } td { padding: 0 1rem 0 0 }
    tr { display: flex; flex-wrap: wrap; margin-bottom: 1rem }
    .target { order: 1; flex-basis: 100% }
  }
</style>
<h1>Targets of $name</h1>
$targets
</html>
""")

TABLE = string.Template("""<table>
<tr><th>Job<th>Target and answer<th>State<th class="figure">At (UTC)<th>Took</tr>
$rows</table>""")

ROW = string.Template("""<tr class="$health"><td>$job
<td class="target">$url<code>$answer</code>
<td class="state">$state<td class="figure">$time<td class="figure">$took</tr>
""")


def scrape(job: str, url: str) -> Scrape:
    """Call a target once and return the result."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    start = time.perf_counter()
    code, answer, error = call(url)
    return Scrape(
        job=job,
        url=url,
        health="down" if error else "up",
        code=code,
        answer=answer,
        error=error,
        scraped_at=now,
        duration=round(time.perf_counter() - start, 4),
    )


def call(url: str) -> tuple[int | None, str, str]:
    """GET the URL and return the status code, the start of the body, and the error."""
    try:
        # Another charm chose the URL, and urllib would also read `file:///etc/passwd`.
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            return None, "", "not an http URL"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 (checked above)
            return response.status, response.read(MAX_ANSWER).decode(errors="replace"), ""
    except urllib.error.HTTPError as error:
        with error:
            answer = error.read(MAX_ANSWER).decode(errors="replace")
        # Envoy responds so if a policy denies the call. A target may respond with a 403 of its own.
        denied = error.code == 403 and answer.startswith("RBAC: access denied")
        return error.code, answer, "denied" if denied else f"{error.code} {error.reason}".lower()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return None, "", describe(error)


def describe(error: Exception) -> str:
    """Return the message of the operating system or library, without types and numbers."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).lower()


def watch(place: int, interval: float) -> None:
    """Scrape one target forever."""
    while True:
        latest = LATEST[place] = scrape(LATEST[place].job, LATEST[place].url)
        print(f"{latest.health} {latest.url} {latest.error}".rstrip(), flush=True)
        time.sleep(interval)


def targets() -> Response:
    """Return the latest scrapes as JSON."""
    scrapes = [dataclasses.asdict(latest) for latest in LATEST]
    return Response(200, "application/json", json.dumps(scrapes))


def page() -> Response:
    """Return the latest scrapes as an HTML page."""
    rows = "".join(map(row, LATEST))
    shown = TABLE.substitute(rows=rows) if rows else "No targets: integrate metrics or data."
    body = PAGE.substitute(name=html.escape(os.environ["NAME"]), targets=shown)
    return Response(200, "text/html; charset=utf-8", body)


def row(latest: Scrape) -> str:
    """Return one row of the page, with a long answer cut short."""
    answer = latest.answer
    fields = {
        "job": latest.job,
        "url": latest.url,
        "health": latest.health,
        "state": latest.error or latest.health,
        "answer": answer if len(answer) <= MAX_SHOWN else f"{answer[:MAX_SHOWN]}…",
        "time": latest.scraped_at[11:19],
        "took": f"{latest.duration * 1000:.1f} ms",
    }
    return ROW.substitute({name: html.escape(value) for name, value in fields.items()})


def health() -> Response:
    """Return the version. Pebble's health check calls this."""
    return Response(200, "application/json", json.dumps({"version": os.environ["VERSION"]}))


ROUTES = {"/": page, "/api/targets": targets, "/health": health}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the latest results."""

    protocol_version = "HTTP/1.1"
    # Send headers and body in one segment; else Nagle's algorithm delays the body by 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        """Respond with the page or data at the path."""
        route = ROUTES.get(self.path.partition("?")[0])
        response = route() if route else Response(404, "text/plain", "not found\n")
        body = response.body.encode()
        self.send_response(response.code)
        self.send_header("Content-Type", response.media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 (the signature is the base class's)
        """Print one line for each request."""
        print(f"{self.client_address[0]} {self.requestline!r} {code}", flush=True)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 (the signature is the base class's)
        """Print nothing, as `log_request` prints a line for errors, too."""


class Server(socketserver.ThreadingTCPServer):
    """An HTTP server that starts without the DNS lookup of http.server, which can take seconds."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Scrape and serve until SIGTERM or SIGINT."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    LATEST.extend(Scrape(**target) for target in json.loads(os.environ["TARGETS"]))
    interval = float(os.environ["INTERVAL"])
    for place in range(len(LATEST)):
        threading.Thread(target=watch, args=(place, interval), daemon=True).start()
    server = Server((os.environ.get("BIND_ADDRESS", ""), int(os.environ["PORT"])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
