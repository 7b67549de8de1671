"""A local Workato with just the custom OAuth profiles API, on loopback, that can misbehave.

    with Sandbox(["token-a", "token-b"], profiles=250) as sandbox:
        requests.get(f"{sandbox.url}/api/custom_oauth_profiles", headers=...)

Each token is a workspace of its own; the first one begins with `profiles` sample profiles, the
same ones every time. The API is the five calls of custom OAuth profiles and `GET /api/users/me`.

- Payloads are checked as the API does: 400 with `errors` for a missing field, 400 with `message`
  for what is not JSON, 422 for a wrong type. PUT needs the whole payload. Secrets are stored, and
  never returned. Members of `data` that nobody knows are kept, numbers exactly as sent.
- The quota is 60 requests in any 60 seconds for each workspace, and 60 more for `users/me`.
  A request over it is not carried out: 429 with `Retry-After`. 401 and 404 for a path that does
  not exist cost nothing.
- `db` keeps all but the secrets across restarts, in SQLite; then the samples are made only the
  first time, and the tokens' order says which workspace is whose. An id is never given twice.
- `faults` make it misbehave: `Fault.parse("POST:reset-after-apply:0.2")`. `KINDS` lists what can go
  wrong, in pairs: not done, and done while the answer is lost. `hook` decides about each request
  that is let through, before the faults do. A late write is carried out when its time has come
  and a request arrives, or a test looks at the state: there are no timers.
- `serve_forever` serves a person until Ctrl-C. Nothing is ever printed.

For tests: `workspace(token)` is the state, and what somebody else does there by hand; `requests`
is the log. Everything may be used from several threads; `faults` shows what is left of them, and
is replaced rather than edited while requests are under way.
"""

from oauthsync.sandbox.faults import CALLS, KINDS, Fault
from oauthsync.sandbox.server import Request, Sandbox
from oauthsync.sandbox.workspaces import SandboxWorkspace, StoredProfile

__all__ = ["CALLS", "KINDS", "Fault", "Request", "Sandbox", "SandboxWorkspace", "StoredProfile"]
