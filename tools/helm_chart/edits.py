"""The edits that make templates of the manifests: where values go.

An object that no edit names gets the general ones: namespace, labels, images, pull secrets and host names. So a new
manifest needs an edit only if it has other values.
"""

from typing import Any, Final

from tools.helm_chart.document import Document, Object, strings
from tools.helm_chart.manifests import Key
from tools.helm_chart.statements import ITEMS, TREE, conditional, optional

NAMESPACE: Final = "voice-cloning"
API_HOST: Final = "api.voice.example"
UI_HOST: Final = "voice.example"
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job", "CronJob")
# The values of each workload.
VALUES: Final = {
    "http-edge": "edge",
    "splitter": "splitter",
    "ui": "ui",
    "nats": "nats",
    "admin": "admin",
    "worker-embedded": "engines.embedded",
    "worker-xtts": "engines.xtts",
}
ENGINES: Final = ("embedded", "xtts")
PLACEMENT: Final = {  # fields of a pod's spec that every workload takes from its values
    "nodeSelector": dict,
    "tolerations": list,
    "affinity": dict,
    "priorityClassName": str,
    "runtimeClassName": str,
}
IMAGES: Final = {"nats": "nats"}  # of others, by the name of the container
FIXED: Final = {"ALLOWED_HOSTS", "DEVICE", "ENGINE", "MODEL_CACHE", "NATS_INBOX_PREFIX"}
FIXED_SETTINGS: Final = {"NATS_CA_FILE", "NATS_ESTABLISH", "NATS_NKEY_SEED_FILE"}
FILES_OF_THE_EDGE: Final = (  # condition, setting, path, name of the Secret
    (".Values.apiKeys.enabled", "API_KEYS_FILE", "/run/keys/keys.toml", ".Values.apiKeys.secret"),
    (
        ".Values.signedUrls.enabled",
        "URL_SECRETS_FILE",
        "/run/url-secrets/secrets",
        ".Values.signedUrls.secret",
    ),
)
MONITORING_LABEL: Final = "release"  # of the Prometheus that reads the object
CHECKSUM: Final = (
    'checksum/{name}: {{{{ include (print $.Template.BasePath "/{file}") . | sha256sum }}}}'
)


class Edits:
    """The edits of one chart, and the defaults of its values, which are what the manifests have."""

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}

    def apply(self, document: Document, key: Key, each: Object) -> Object:
        """Return an object with the marks of a document."""
        kind, name = key
        special = getattr(self, f"_{kind.lower()}", None)

        if special:
            special(document, name, each)

        if kind in WORKLOADS:
            self._workload(document, name, each)

        if kind != "Namespace":
            each["metadata"]["namespace"] = document.expression(".Release.Namespace")

        self._labels(document, each)
        changed: Object = strings(each, lambda text: _general(document, text))
        first = ("apiVersion", "kind", "metadata")
        return {key: changed[key] for key in (*first, *sorted(changed.keys() - {*first}))}

    def value(self, path: str, default: Any) -> str:
        """Return a value's path in a template, and remember its default."""
        if self.defaults.setdefault(path, default) != default:
            raise ValueError(f"{path}: {default} and {self.defaults[path]}")
        return f".Values.{path}"

    def _labels(self, document: Document, each: Object) -> None:
        labels = each["metadata"].setdefault("labels", {})

        if MONITORING_LABEL in labels:
            release = labels.pop(MONITORING_LABEL)
            at = self.value("monitoring.labels", {MONITORING_LABEL: release})
            labels[optional(document, at, ITEMS)] = None

        labels[document.statements('{{- include "voice-cloning.labels" $ | nindent INDENT }}')] = (
            None
        )

    def _workload(self, document: Document, name: str, each: Object) -> None:
        template = each["spec"]["template"]
        pod = template["spec"]
        pod[optional(document, "$.Values.imagePullSecrets", "imagePullSecrets: " + TREE)] = None
        checksums = self._checksums(document, pod)

        if checksums and each["kind"] != "Job":
            template["metadata"].setdefault("annotations", {}).update(checksums)

        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            for variable in container.get("env", []):
                if isinstance(variable, dict) and variable["name"] == "PUBLIC_SERVICE_URL":
                    variable["value"] = document.expression('include "voice-cloning.publicUrl" .')

            container["imagePullPolicy"] = document.expression("$.Values.images.pullPolicy")

            if container["name"] in IMAGES:
                at = self.value(f"images.{IMAGES[container['name']]}", container["image"])
                container["image"] = document.expression(at)

        if name in VALUES and name != "nats":
            image = pod["containers"][0]["image"].partition(":")[0].rpartition("/")[2]
            text = f'include "voice-cloning.image" (list $ "{image}" .Values.{VALUES[name]}.tag)'
            pod["containers"][0]["image"] = document.expression(text)

        if name in VALUES:
            self._own_values(document, VALUES[name], pod)

        pod["containers"] = [_ordered(container) for container in pod["containers"]]

    def _own_values(self, document: Document, path: str, pod: Object) -> None:
        for field, kind in PLACEMENT.items():
            default = pod.pop(field, kind())
            at = self.value(f"{path}.{field}", default)
            value = "{{ . }}" if kind is str else TREE
            pod[optional(document, at, f"{field}: {value}")] = None

        container = pod["containers"][0]
        resources = self.value(f"{path}.resources", container["resources"])
        container["resources"] = document.tree(resources)
        env = container.get("env", [])
        fixed = [each for each in env if _is_fixed(each)]
        own = {each["name"]: each["value"] for each in env if not _is_fixed(each)}
        at = self.value(f"{path}.env", own)
        names = " ".join(f'"{name}"' for name in _names(fixed))
        more = f'{{{{- include "voice-cloning.env" (list "{path}.env" {at} (list {names})) | nindent INDENT }}}}'
        container["env"] = [*fixed, document.statements(more)]

    def _checksums(self, document: Document, pod: Object) -> Object:
        """Return annotations that restart the pods when a ConfigMap of the chart changes."""
        text = str(pod)
        files = {
            "settings": "settings.yaml",
            "nats-config": "nats-config.yaml",
            "licence-xtts": "licence-xtts.yaml",
        }
        return {
            document.statements(CHECKSUM.format(name=name, file=file)): None
            for name, file in files.items()
            if f"'name': '{name}'" in text
        }

    def _configmap(self, document: Document, name: str, each: Object) -> None:
        if name != "settings":
            return

        data = each["data"]
        computed = {
            "NATS_URL": 'include "voice-cloning.natsUrl" .',
            "NATS_REPLICAS": ".Values.nats.replicas | quote",
            "ENGINE": 'include "voice-cloning.engine" .',
        }
        fixed = {name: data[name] for name in data if name in FIXED_SETTINGS}
        own = {name: data[name] for name in data if name not in fixed and name not in computed}
        at = self.value("settings", own)
        each["data"] = {
            **fixed,
            **{name: document.expression(text) for name, text in computed.items()},
            document.statements(
                f"{{{{- range $name, $value := {at} }}}}\n"
                '{{ $name }}: {{ include "voice-cloning.text" $value }}\n{{- end }}'
            ): None,
        }

    def _deployment(self, document: Document, name: str, each: Object) -> None:
        spec = each["spec"]

        if name.startswith("worker-"):
            path = VALUES[name]
            replicas = f"replicas: {{{{ .Values.{path}.replicas }}}}"
            mark = document.statements(conditional("not .Values.scaling.enabled", replicas))
            each["spec"] = {mark: None, **spec}
        elif "replicas" in spec:
            at = self.value(f"{VALUES[name]}.replicas", spec["replicas"])
            spec["replicas"] = document.expression(at)

        if name == "http-edge":
            self._http_edge(document, spec["template"]["spec"])
        if name == "ui":
            self._ui(document, spec["template"]["spec"])

    def _http_edge(self, document: Document, pod: Object) -> None:
        container = pod["containers"][0]
        container["readinessProbe"]["httpGet"]["path"] = document.expression(
            'include "voice-cloning.readiness" .'
        )
        for condition, setting, path, secret in FILES_OF_THE_EDGE:
            folder, _, file = path.rpartition("/")
            volume = folder.rpartition("/")[2]
            lists = {
                "env": f"- name: {setting}\n  value: {folder}/{file}",
                "volumeMounts": f"- mountPath: {folder}\n  name: {volume}\n  readOnly: true",
                "volumes": f"- name: {volume}\n  secret:\n    defaultMode: 288\n"
                f"    secretName: {{{{ {secret} }}}}",
            }
            for field, text in lists.items():
                owner = pod if field == "volumes" else container
                owner[field].append(document.statements(conditional(condition, text)))

    def _ui(self, document: Document, pod: Object) -> None:
        key = (
            "- name: API_KEY\n  valueFrom:\n    secretKeyRef:\n      key: key\n"
            "      name: {{ .Values.apiKeys.uiSecret }}"
        )
        env = pod["containers"][0]["env"]
        env.append(document.statements(conditional(".Values.apiKeys.enabled", key)))

    def _service(self, document: Document, name: str, each: Object) -> None:
        if name in ("http-edge", "ui"):
            at = f".Values.{VALUES[name]}.serviceAnnotations"
            annotations = optional(document, at, "annotations: " + TREE)
            each["metadata"][annotations] = None

    def _statefulset(self, document: Document, _name: str, each: Object) -> None:
        spec = each["spec"]
        at = self.value("nats.replicas", spec["replicas"])
        spec["replicas"] = document.expression(at)
        (claim,) = spec["volumeClaimTemplates"]
        self._claim(document, "nats.storage", claim["spec"])

    def _persistentvolumeclaim(self, document: Document, _name: str, each: Object) -> None:
        self._claim(document, "engines.xtts.storage", each["spec"])
        modes = self.value("engines.xtts.storage.accessModes", each["spec"]["accessModes"])
        each["spec"]["accessModes"] = document.tree(modes)

    def _claim(self, document: Document, path: str, spec: Object) -> None:
        requests = spec["resources"]["requests"]
        requests["storage"] = document.expression(self.value(f"{path}.size", requests["storage"]))
        spec[optional(document, f".Values.{path}.className", "storageClassName: {{ . }}")] = None

    def _job(self, document: Document, name: str, each: Object) -> None:
        """Create a new Job for each change, because the template of a Job is immutable."""
        if name == "establish":  # one engine is the setting ENGINE
            both = "and .Values.engines.embedded.enabled .Values.engines.xtts.enabled"
            engines = "- --engines\n- embedded\n- xtts"
            command = each["spec"]["template"]["spec"]["containers"][0]["command"]
            command.append(document.statements(conditional(both, engines)))

        each["metadata"]["name"] = f"{name}-" + document.expression(
            'include "voice-cloning.change" .'
        )

    def _scaledobject(self, document: Document, name: str, each: Object) -> None:
        path = f"{VALUES[name]}.scaling"
        spec = each["spec"]

        for field in ("minReplicaCount", "maxReplicaCount", "cooldownPeriod"):
            value = self.value(f"{path}.{field}", spec[field])
            spec[field] = document.expression(value)

        thresholds = {}

        for trigger in spec["triggers"]:
            metadata = trigger["metadata"]

            for field in metadata.keys() & {"lagThreshold", "threshold"}:
                thresholds[trigger["name"]] = metadata[field]
                at = f".Values.{path}.thresholds.{trigger['name']}"
                metadata[field] = document.expression(f'include "voice-cloning.text" {at}')

            if "serverAddress" in metadata:
                at = self.value("scaling.prometheus", metadata["serverAddress"])
                metadata["serverAddress"] = document.expression(at)

        self.value(f"{path}.thresholds", thresholds)

    def _networkpolicy(self, document: Document, name: str, each: Object) -> None:
        spec = each["spec"]
        namespaces = {"keda": "scaling.namespace", "monitoring": "monitoring.namespace"}

        for rule in spec.get("ingress", []):
            for peer in rule.get("from", []):
                labels = peer.get("namespaceSelector", {}).get("matchLabels", {})
                label = labels.get("kubernetes.io/metadata.name")

                if label in namespaces:
                    at = self.value(namespaces[label], label)
                    labels["kubernetes.io/metadata.name"] = document.expression(at)

        if name == "nats-client":
            spec["egress"].append(optional(document, ".Values.nats.egress", ITEMS))
        if name in ("http-edge", "ui"):
            peers = spec["ingress"][0]["from"]
            peers.append(optional(document, ".Values.allowedPeers", ITEMS))

    def _ingress(self, document: Document, _name: str, each: Object) -> None:
        annotations = each["metadata"].setdefault("annotations", {})
        annotations[optional(document, ".Values.ingress.annotations", ITEMS)] = None
        spec = each["spec"]
        name_of_class = "ingressClassName: {{ . }}"
        spec[optional(document, ".Values.ingress.className", name_of_class)] = None

        for tls in spec["tls"]:
            secret = self.value("tlsSecret", tls["secretName"])
            tls["secretName"] = document.expression(secret)


def _is_fixed(variable: Any) -> bool:
    """Return whether other objects depend on a container's variable, so that it is no value of the chart."""
    if isinstance(variable, str) or "valueFrom" in variable:
        return True

    name: str = variable["name"]
    return name in FIXED or name.endswith(("_HOST", "_PORT", "_URL")) or name.startswith("HF_")


def _names(variables: list[Any]) -> list[str]:
    return [each["name"] for each in variables if isinstance(each, dict)]


def _ordered(container: Object) -> Object:
    first = ("name", "image")
    return {key: container[key] for key in (*first, *sorted(container.keys() - {*first}))}


def _general(document: Document, text: str) -> str:
    """Return a string with images, hosts and the namespace replaced."""
    if text.startswith(f"{NAMESPACE}/") and ":" in text:
        name = text.removeprefix(f"{NAMESPACE}/").partition(":")[0]
        return document.expression(f'include "voice-cloning.image" (list $ "{name}" "")')

    text = text.replace(f".{NAMESPACE}.svc", f".{document.expression('.Release.Namespace')}.svc")
    text = text.replace(
        f'namespace="{NAMESPACE}"', f'namespace="{document.expression(".Release.Namespace")}"'
    )
    text = text.replace(API_HOST, document.expression(".Values.hosts.api"))
    return text.replace(UI_HOST, document.expression(".Values.hosts.ui"))
