#!/usr/bin/env bash
# redis-cli against a node: cli.sh PORT one|three
set -uo pipefail
port=$1 kind=$2 wrong=0

# is EXPECTED COMMAND...
is() {
    local expected=$1 got
    shift
    got=$(redis-cli -p "$port" "$@" 2>&1)
    if [ "$got" != "$expected" ]; then
        echo "$*: got '$got', expected '$expected'"
        wrong=1
    fi
}

# has TEXT COMMAND...
has() {
    local expected=$1 got
    shift
    got=$(redis-cli -p "$port" "$@" 2>&1)
    if [[ "$got" != *"$expected"* ]]; then
        echo "$*: got '$got', expected something with '$expected'"
        wrong=1
    fi
}

is PONG PING
is OK SET cli:a 1
is 1 GET cli:a
is '' GET cli:none
is OK SET cli:b two EX 100
is 100 TTL cli:b
is 1 PERSIST cli:b
is -1 TTL cli:b
is OK MSET cli:c 3 cli:d 4
is $'3\n4' MGET cli:c cli:d
is string TYPE cli:a
is 2 EXISTS cli:c cli:d cli:none
is 3 STRLEN cli:b
is 1 DEL cli:c
is 0 DEL cli:c
has cli:d KEYS 'cli:*'
[ "$(redis-cli -p "$port" --scan --pattern 'cli:*' | sort | tr '\n' ' ')" = 'cli:a cli:b cli:d ' ] \
    || { echo "--scan is wrong: $(redis-cli -p "$port" --scan --pattern 'cli:*')"; wrong=1; }
has redis_version INFO server
has cluster_state:ok CLUSTER INFO
# RESP3, and both kinds of asking many things at once.
[ "$(redis-cli -3 -p "$port" HELLO 3 | head -1)" != '' ] || { echo 'HELLO 3 is empty'; wrong=1; }
[ "$(printf 'SET cli:pipe 1\nGET cli:pipe\n' | redis-cli -p "$port")" = $'OK\n1' ] || { echo 'lines are wrong'; wrong=1; }
printf '*3\r\n$3\r\nSET\r\n$5\r\ncli:x\r\n$1\r\n7\r\n' | redis-cli -p "$port" --pipe | grep -q 'errors: 0, replies: 1' \
    || { echo '--pipe is wrong'; wrong=1; }
[ "$(redis-cli -c -p "$port" GET cli:x)" = 7 ] || { echo '-c is wrong'; wrong=1; }
if [ "$kind" = one ]; then
    is 8 INCR cli:x
    is OK SET cli:nx 1 NX
    is '' SET cli:nx 2 NX
    is 5 APPEND cli:nx 2345
else
    has 'cannot do exactly' INCR cli:x
    has 'cannot do exactly' SET cli:nx 1 NX
fi
has 'unknown command' NOSUCHCOMMAND
exit "$wrong"
