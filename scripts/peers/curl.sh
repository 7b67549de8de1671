#!/usr/bin/env bash
# What a shell script does: curl and sqlite-utils, one reading. curl.sh URL FILE, the token in TOKEN_A
set -euo pipefail
page=1
while :; do
  # From stdin: an argument of curl's is everybody's to see.
  rows=$(printf 'Authorization: Bearer %s' "$TOKEN_A" |
    curl -sSf --header @- "$1/api/custom_oauth_profiles?page=$page&per_page=100" |
    python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["result"]))')
  [ "$rows" = '[]' ] && break
  printf '%s' "$rows" | sqlite-utils insert "$2" profiles - --pk id --alter
  [ "$(printf '%s' "$rows" | grep -o '"user_id"' | wc -l)" -lt 100 ] && break
  page=$((page + 1))
done
