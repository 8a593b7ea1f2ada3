"""The same requests as the engine's, by many threads that wait for no pod: what the API server and its storage can do."""

import concurrent.futures
import http.client
import json
import ssl
import threading
import time
import urllib.parse

local = threading.local()


def run(cluster, count, threads=8):
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
        labels = {"workflow": name, "app.kubernetes.io/managed-by": "operator-engine"}
        meta = {"labels": labels, "ownerReferences": owner}
        record("active")
        call("POST", f"{base}/persistentvolumeclaims", {
            "metadata": {"name": f"{name}-data", **meta},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        for component in ("configure", "algorithm", "filter", "publish"):
            call("POST", f"{base}/pods", {
                "metadata": {"name": f"{name}-{component}-0", **meta, "labels": {**labels, "component": component}},
                "spec": {"containers": [{"name": "c", "image": "x"}], "restartPolicy": "Never"}})
            record("done" if component == "publish" else "active")

    cluster.submit(count)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(workflow, range(count)))
    took = time.monotonic() - begun
    cluster.kubectl("-n", cluster.namespace, "delete", "configmap", "-l", "operator-engine/state=done", "--wait=false")
    cluster.kubectl("-n", cluster.namespace, "delete", "pods,pvc", "--all", "--wait=false")
    cluster.wait_until_clean(count)
    return {"driver": "null", "workflows": count, "requests/wf": "11.00", "wf/s": f"{count / took:.2f}"}
