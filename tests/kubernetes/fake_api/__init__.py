"""A Kubernetes API server without a cluster behind it: enough of one for a control plane that lists and watches.

It behaves like the recordings of a real one (tests/kubernetes/recordings): global resourceVersions that rise, lists
by pages with tokens that expire, watches with a window, bookmarks and streamed lists, compaction, the same texts of
errors. Objects are put into it by POST, PUT, PATCH and DELETE, by `kubectl apply --validate=false` too. `/fake/...` makes it
misbehave (server.py, faults.py).

    python3 -m tests.kubernetes.fake_api --listen 127.0.0.1:6443 --tls-cert FILE --tls-key FILE
"""
