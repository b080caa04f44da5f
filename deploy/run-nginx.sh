#!/bin/sh
# Runs nginx and reloads it when the addresses of the gateways change. nginx resolves names only when it reads its
# configuration, and its `resolve` parameter needs 1.27.3; a variable in proxy_pass would lose kept-alive connections.
addresses() {
  getent ahosts gateway | cut -d ' ' -f 1 | sort -u
}

known=$(addresses)
(
  # nginx replaces the main shell and keeps its process id, $$.
  while sleep "${POLL_SECONDS:-2}" && kill -0 $$ 2>/dev/null; do
    found=$(addresses)
    # An empty answer: the name server failed, or no gateway runs.
    if [ -n "$found" ] && [ "$found" != "$known" ]; then
      known=$found
      kill -HUP $$
    fi
  done
) &
exec nginx -e stderr -g 'daemon off;' "$@"
