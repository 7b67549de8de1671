#!/usr/bin/env bash
# What a shell script does: curl and sqlite-utils, one reading. curl.sh URL TOKEN FILE
set -euo pipefail
page=1
while :; do
  rows=$(curl -sSf -H "Authorization: Bearer $2" "$1/api/custom_oauth_profiles?page=$page&per_page=100" |
    python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["result"]))')
  [ "$rows" = '[]' ] && break
  printf '%s' "$rows" | sqlite-utils insert "$3" profiles - --pk id --alter
  [ "$(printf '%s' "$rows" | grep -o '"user_id"' | wc -l)" -lt 100 ] && break
  page=$((page + 1))
done
