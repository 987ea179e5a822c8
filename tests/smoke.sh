#!/bin/sh
# Checks a running server, using only curl: the examples of the design document and the error
# replies. The server must have the demo data.
#
#   BASE_URL=http://127.0.0.1:3000 tests/smoke.sh
#
# Prints one line per check; exits with 1 if any fails.
set -u
BASE_URL=${BASE_URL:-http://127.0.0.1:3000}
failed=0

# check NAME STATUS TEXT CURL-ARGUMENT...: passes if the reply has this status and contains this
# text. Sets $body to the reply's body.
check() {
    name=$1 status=$2 text=$3
    shift 3
    reply=$(curl --silent --show-error --max-time 30 --write-out '\n%{http_code}' "$@" 2>&1)
    body=${reply%
*}
    got=${reply##*
}
    case $body in
    *"$text"*) if [ "$got" = "$status" ]; then echo "ok      $name"; return; fi ;;
    esac
    failed=1
    echo "FAILED  $name"
    echo "        expected $status ... $text ..."
    echo "        got      $got $body"
}

login=$BASE_URL/api/login
baseinfo=$BASE_URL/api/instance/baseinfo
list=$BASE_URL/api/myun/instance

check 'login' 200 '"code":0,"desc":"Welcome to LYC."' \
    "$login" -d username=luoyun -d password=luoyun
key=$(printf %s "$body" | sed -n 's/.*"session_key":"\([0-9a-f]\{40\}\)".*/\1/p')
check 'a second login' 200 '"code":0,"desc":"Welcome to LYC."' \
    "$login" -d username=luoyun -d password=luoyun
check 'login, wrong password' 200 '"error":"auth_failed"' \
    "$login" -d username=luoyun -d password=wrong
check 'login, unknown user' 200 '"error":"auth_failed"' \
    "$login" -d "username=nobody-$$-$(date +%s)" -d password=luoyun
check 'login without a password' 200 'password must be' "$login" -d username=luoyun

check 'baseinfo of 2252' 200 \
    '"code":0,"desc":"Information about openerp7 img gz","instance_id":2252,"vdi_type":1,"host":"10.0.0.2","port":null' \
    "$baseinfo" -d "session_key=$key" -d instance_id=2252
check 'baseinfo, parameters in the query string' 200 '"instance_id":2252' \
    -X POST "$baseinfo?session_key=$key&instance_id=2252"
check 'baseinfo of 5' 200 \
    "\"code\":1,\"desc\":\"Instance 5 is someone else's\",\"error\":\"instance_not_owned\"" \
    "$baseinfo" -d "session_key=$key" -d instance_id=5
check 'baseinfo of an unknown instance' 200 '"error":"instance_not_found"' \
    "$baseinfo" -d "session_key=$key" -d instance_id=99999
check 'baseinfo with an invalid number' 200 'instance_id must be' \
    "$baseinfo" -d "session_key=$key" -d instance_id=abc
check 'baseinfo without a session' 200 '"error":"auth_required"' \
    "$baseinfo" -d instance_id=2252

check 'the list' 200 '"code":0,"desc":"List 3 instances","list":[{"id":2252,"name":"openerp7 img gz","summary":null,"status":2,"status_string":"instance is stopped"' \
    "$list" -d "session_key=$key"
check 'the list, a Chinese name' 200 '"id":2493,"name":"ubuntu 12.04 64\u4f4d\u7248"' \
    "$list" -d "session_key=$key"
check 'the list, the second page of two' 200 '"desc":"List 1 instances"' \
    "$list" -d "session_key=$key" -d sepa=2 -d p=2
check 'the list, past the end' 200 '"list":[],"total":3,"sepa":10,"p":9' \
    "$list" -d "session_key=$key" -d p=9
check 'the list, page 0' 200 'p must be' "$list" -d "session_key=$key" -d p=0
check 'the list, an invalid number' 200 'sepa must be' "$list" -d "session_key=$key" -d sepa=abc
check 'the list with an unknown key' 200 '"error":"auth_required"' \
    "$list" -d session_key=0123456789abcdef0123456789abcdef01234567

check 'logout' 200 '"code":0,"desc":"Bye."' "$BASE_URL/api/logout" -d "session_key=$key"
check 'the list after logout' 200 '"error":"auth_required"' "$list" -d "session_key=$key"

check 'GET' 405 '"error":"method_not_allowed"' "$login"
check 'a JSON body' 415 '"error":"unsupported_media_type"' \
    "$login" -H 'Content-Type: application/json' -d '{}'
large=$(head -c 70000 /dev/zero | tr '\0' a)
check 'a body of 70,000 bytes' 413 '"error":"body_too_large"' "$login" -d @- <<END
$large
END
check 'an unknown path' 404 '"error":"not_found"' "$BASE_URL/api/nothing"
check 'the console' 200 '<title>LuoYunCloud</title>' "$BASE_URL/"

[ $failed = 0 ] && echo "All checks passed." || echo "Some checks failed."
exit $failed
