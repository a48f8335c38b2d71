"""Manifests: what is read of YAML and JSON, and what every complaint says."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.errors import ConfigError
from svcsim.kube.manifests import Manifests

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {since: 2024-05-01}}
spec:
  clusterIP: 10.200.0.9
  externalTrafficPolicy: null
  ports: [{name: http, port: 80, targetPort: named}]
"""


def read(text, where="x.yaml"):
    manifests = Manifests()
    manifests.read(text, where)
    return manifests.objects


def test_a_service():
    """Null is as good as absent; what looks like a date is a text."""
    (service,) = read(SERVICE).services

    assert service.metadata.labels == {"since": "2024-05-01"}
    assert service.spec.externalTrafficPolicy == "Cluster"
    assert service.spec.ports[0].targetPort == "named"


def test_lists_and_documents():
    """Documents, Lists of any kind, JSON, and lists whose items need not say what they are."""
    pods = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"

    found = read(f"{SERVICE}---\n---\n{node}---\napiVersion: v1\nkind: List\nitems:\n- {json.dumps(pods)}\n")

    assert [pod.metadata.name for pod in found.pods] == ["a", "b"]
    assert found.nodes[0].metadata.namespace == ""
    assert read(json.dumps(pods), "pods.json").pods == found.pods


def test_later_objects_replace_earlier_ones():
    """Of two objects with one name the later one counts; other namespaces are other objects."""
    found = read(
        SERVICE + "---" + SERVICE.replace("10.200.0.9", "10.200.0.8") + "---" + SERVICE.replace("shop", "other")
    )

    assert [service.spec.clusterIP for service in found.services] == ["10.200.0.8", "10.200.0.9"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "line 2, column 1"),
        ("a: 1\na: 2", "found the key 'a' twice"),
        ("[" * 5000, "nested too deep"),
        ("[" * 1_000_000, "nested too deep"),
        ("&a [*a]", "more than"),
        ("- 1", "it has no kind"),
        ("kind: Pod\na: &a {b: 1}\nc: {<<: *a}", r"line 3, column 5: merge keys \(<<\) are not read"),
        (f"kind: Pod\na: {'9' * 6000}", "limit"),
        ("kind: Service\nmetadata: {name: web}\nspec: 3", r"Service web: spec: not a mapping"),
        ("kind: Service\nmetadata: {}", r"metadata.name is missing"),
        ("kind: Service\nmetadata: {name: w}\nspec: {ports: {port: 1}}", r"Service w: spec.ports: not a list"),
        (
            "kind: Service\nmetadata: {name: w}\nspec: {ports: [{port: true}]}",
            r"spec.ports\[0\].port: not a whole number",
        ),
        ("kind: Service\napiVersion: v2\nmetadata: {name: w}", "apiVersion is v1, not 'v2'"),
        ("kind: List\nitems: [{kind: Pod, metadata: {name: 5}}]", r"items\[0\]: Pod.*metadata.name: not a text: 5"),
        ("\x00", "not YAML: unacceptable character"),
    ],
)
def test_what_is_wrong_is_told(text, message):
    """Each complaint names the file, the place and the object."""
    with pytest.raises(ConfigError, match=rf"^x\.yaml.*{message}"):
        read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "Pod", "kind": "Pod"}', "the key 'kind' twice"),
        ('{"kind": NaN}', "NaN is no number"),
        ("[", "not JSON"),
    ],
)
def test_json_that_is_wrong(text, message):
    """JSON is read as strictly as YAML."""
    with pytest.raises(
        ConfigError, match=rf"^x\.json: not JSON: .*{message}" if message != "not JSON" else r"^x\.json: not JSON"
    ):
        read(text, "x.json")


def test_aliases_cannot_blow_it_up():
    """A few lines that stand for billions of values are refused."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))

    with pytest.raises(ConfigError, match="more than"):
        read(bomb)


@given(st.text(max_size=60))
def test_any_text(text):
    """Whatever it is, it is read or refused, and nothing worse."""
    with contextlib.suppress(ConfigError):
        read(text)
