"""The storage class `local`: makes a folder of the node a PersistentVolume when a claim of a scheduled pod asks for one.

It does what a cluster's provisioner does, by asking twice a second: a claim that waits for its first consumer, and to
which the scheduler has given a node, gets a volume; a released volume and its folder go. Sizes are not enforced.
"""

import json
import shutil

from .keeper import Failed

CLASS = "local"
PROVISIONER = "operator-engine.test/local"

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": PROVISIONER,
    "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete",
}


class Volumes:
    """The provisioner: call `tend` now and then."""

    def __init__(self, plane, directory):
        self.plane, self.directory = plane, directory
        directory.mkdir(exist_ok=True)

    def tend(self):
        """One look at all claims and volumes, and what follows from it. Errors are the next call's concern."""
        try:
            claims = self._list("/api/v1/persistentvolumeclaims")
            volumes = self._list("/api/v1/persistentvolumes")
            names = {volume["metadata"]["name"] for volume in volumes}
            for claim in claims:
                if self._wants_volume(claim) and volume_name(claim) not in names:
                    self._provide(claim)
            for volume in volumes:
                if volume.get("status", {}).get("phase") == "Released" and volume["spec"]["storageClassName"] == CLASS:
                    self._remove(volume)
        except (OSError, ValueError, Failed):
            pass  # the API server is away, or another request was first

    def _list(self, path):
        return json.loads(self.plane.call("GET", path, user="provisioner"))["items"]

    def _wants_volume(self, claim):
        annotations = claim["metadata"].get("annotations", {})
        return (claim["spec"].get("storageClassName") == CLASS and not claim["spec"].get("volumeName")
                and "volume.kubernetes.io/selected-node" in annotations
                and "deletionTimestamp" not in claim["metadata"])

    def _provide(self, claim):
        metadata, name = claim["metadata"], volume_name(claim)
        (self.directory / name).mkdir(exist_ok=True)
        self.plane.call("POST", "/api/v1/persistentvolumes", user="provisioner", body={
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
            "spec": {
                "storageClassName": CLASS, "persistentVolumeReclaimPolicy": "Delete",
                "accessModes": claim["spec"]["accessModes"], "capacity": claim["spec"]["resources"]["requests"],
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"],
                             "name": metadata["name"], "uid": metadata["uid"]},
                "local": {"path": str(self.directory / name)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{
                    "key": "kubernetes.io/hostname", "operator": "In",
                    "values": [metadata["annotations"]["volume.kubernetes.io/selected-node"]]}]}]}},
            },
        })

    def _remove(self, volume):
        name = volume["metadata"]["name"]
        shutil.rmtree(self.directory / name, ignore_errors=True)
        self.plane.call("DELETE", f"/api/v1/persistentvolumes/{name}", user="provisioner")


def volume_name(claim):
    return f"pvc-{claim['metadata']['uid']}"
