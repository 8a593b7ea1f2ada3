"""The same requests as the engine's, by many threads that wait for no pod: what the API server and its storage can do.

The objects are the engine's own, as `Cluster.sample` found them, under other names; they are deleted in batches as the
engine deletes them. What it does not do is to look: no list, no lease.
"""

import collections
import concurrent.futures
import copy
import http.client
import json
import ssl
import threading
import time
import urllib.parse

local = threading.local()

COMPONENTS = ("configure", "algorithm", "filter", "publish")
BATCH = 50  # Workflows whose objects go in one request, as the engine's.


def run(cluster, count, sample, threads=8):
    """Issues for each workflow what the engine issues, and says how many workflows a second that makes."""
    env = json.loads((cluster.plane / "env.json").read_text())
    url = urllib.parse.urlsplit(env["url"])
    trust = ssl.create_default_context(cafile=env["ca"])
    base = f"/api/v1/namespaces/{cluster.namespace}"

    def call(method, path, body=None, kind="application/json"):
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPSConnection(url.hostname, url.port, context=trust)
        headers = {"authorization": "Bearer " + env["tokens"]["engine"], "content-type": kind}
        local.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = local.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def workflow(n):
        name = f"wf-{n}"
        seen = call("GET", f"{base}/configmaps/{name}")
        version = seen["metadata"]["resourceVersion"]

        def record(state):
            nonlocal version
            patch = {"metadata": {"resourceVersion": version, "labels": {"operator-engine/state": state},
                                  "annotations": {"operator-engine/status": "x" * 700}}}
            kind = "application/merge-patch+json"
            version = call("PATCH", f"{base}/configmaps/{name}", patch, kind)["metadata"]["resourceVersion"]

        owner = [{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": seen["metadata"]["uid"]}]

        def made(kind, suffix):
            body = copy.deepcopy(sample[kind])
            body["metadata"].update(name=f"{name}-{suffix}", ownerReferences=owner)
            body["metadata"]["labels"].update({"workflow": name, "null-batch": str(n // BATCH)})
            return body

        record("active")
        call("POST", f"{base}/persistentvolumeclaims", made("data", "data"))
        for component in COMPONENTS:
            call("POST", f"{base}/pods", made(component, f"{component}-0"))
            record("done" if component == "publish" else "active")
        with lock:
            finished[n // BATCH] += 1
            whole = finished[n // BATCH] == min(BATCH, count - n // BATCH * BATCH)
        if whole:
            for component in COMPONENTS:
                delete("pods", f"component={component},null-batch={n // BATCH}")
            delete("persistentvolumeclaims", f"null-batch={n // BATCH}")

    def delete(kind, selector):
        call("DELETE", f"{base}/{kind}?" + urllib.parse.urlencode({"labelSelector": selector}),
             {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"})

    lock, finished = threading.Lock(), collections.Counter()
    cluster.submit(count)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(workflow, range(count)))
    took = time.monotonic() - begun
    cluster.kubectl("-n", cluster.namespace, "delete", "configmap", "-l", "operator-engine/state=done", "--wait=false")
    cluster.wait_until_clean(count)
    return {"driver": "null", "workflows": count, "requests/wf": "11.00", "wf/s": f"{count / took:.2f}"}
