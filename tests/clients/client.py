"""redis-py against a node: client.py PORT one|three single|cluster"""

import sys
import time

import redis

PORT, KIND, CLIENT = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def connect(protocol):
    if CLIENT == "cluster":
        return redis.cluster.RedisCluster(host="127.0.0.1", port=PORT, protocol=protocol)
    return redis.Redis(host="127.0.0.1", port=PORT, protocol=protocol)


def check(r, p):
    def key(name):
        return f"py:{CLIENT}:{p}:{name}"

    def same(got, expected):
        assert got == expected, f"got {got!r}, expected {expected!r}"

    same(r.ping(), True)
    same(r.set(key("a"), "1"), True)
    same(r.get(key("a")), b"1")
    same(r.get(key("none")), None)
    raw = bytes(range(256))
    same(r.set(key("raw"), raw), True)
    same(r.get(key("raw")), raw)
    same(r.set(key("b"), "x", ex=100), True)
    assert 98 <= r.ttl(key("b")) <= 100
    same(r.expire(key("b"), 50), True)
    assert 48 <= r.ttl(key("b")) <= 50
    same(r.persist(key("b")), True)
    same(r.ttl(key("b")), -1)
    same(r.set(key("short"), "x", px=30), True)
    time.sleep(0.1)
    same(r.get(key("short")), None)
    same(r.exists(key("a")), 1)
    same(r.strlen(key("a")), 1)
    same(r.type(key("a")), b"string")
    same(r.delete(key("a")), 1)
    same(r.exists(key("a")), 0)
    names = [key(f"m{n}") for n in range(200)]
    if CLIENT == "cluster":
        r.mset_nonatomic({name: name for name in names})
        same(r.mget_nonatomic(names), [name.encode() for name in names])
    else:
        same(r.mset({name: name for name in names}), True)
        same(r.mget(names), [name.encode() for name in names])
    found = sorted(set(r.scan_iter(match=key("m*"), count=50)))
    same(found, sorted(name.encode() for name in names))
    pipe = r.pipeline() if CLIENT == "cluster" else r.pipeline(transaction=False)
    for n in range(100):
        pipe.set(key(f"p{n}"), n)
    for n in range(100):
        pipe.get(key(f"p{n}"))
    same(pipe.execute(), [True] * 100 + [str(n).encode() for n in range(100)])
    if KIND == "one":
        same(r.incr(key("count")), 1)
        same(r.incrby(key("count"), 41), 42)
        same(r.set(key("nx"), "1", nx=True), True)
        same(r.set(key("nx"), "2", nx=True), None)
        same(r.append(key("nx"), "23"), 3)
        same(r.getrange(key("nx"), 0, 1), b"12")
        same(r.getdel(key("nx")), b"123")
    else:
        try:
            r.incr(key("count"))
            raise AssertionError("INCR is not refused")
        except redis.ResponseError as error:
            assert "INCR" in str(error), error


for protocol in (2, 3):
    check(connect(protocol), protocol)
