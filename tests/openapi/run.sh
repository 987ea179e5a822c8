#!/bin/sh
# Tests the server at $BASE_URL against api/openapi.yaml with schemathesis, with a fixed seed and
# a limited number of examples. The Python packages are installed in a virtual environment under
# target/.
set -eu
cd "$(dirname "$0")/../.."

venv=target/openapi-venv
if ! cmp -s tests/openapi/requirements.txt $venv/installed; then
    echo "installing schemathesis"
    python3 -m venv $venv
    $venv/bin/pip install --quiet --requirement tests/openapi/requirements.txt
    cp tests/openapi/requirements.txt $venv/installed
fi

reply=$(curl --disable --silent --show-error --max-time 30 "$BASE_URL/api/login" \
    -d username=luoyun -d password=luoyun)
SESSION_KEY=$(printf %s "$reply" | sed -n 's/.*"session_key":"\([0-9a-f]\{40\}\)".*/\1/p')
[ -n "$SESSION_KEY" ] || { echo "The login failed: $reply" >&2; exit 1; }
export SESSION_KEY
checks=not_a_server_error,status_code_conformance,content_type_conformance
checks=$checks,response_headers_conformance,response_schema_conformance
checks=$checks,unsupported_method,allow_header_conformance
exec env PYTHONPATH=tests/openapi SCHEMATHESIS_HOOKS=hooks $venv/bin/schemathesis run api/openapi.yaml \
    --url "$BASE_URL" --seed 20261123 --max-examples 200 --checks $checks
