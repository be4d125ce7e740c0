"""The edits that make templates of the manifests: where values go.

An object that no edit names gets the general ones: namespace, labels, images, pull secrets and host names. So a new
manifest needs an edit only if it has other values.
"""

from typing import Any, Final

from tools.helm_chart.document import Document, Object, strings
from tools.helm_chart.manifests import Key

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
        labels[document.statements('{{- include "voice-cloning.labels" $ | nindent INDENT }}')] = (
            None
        )

    def _workload(self, document: Document, name: str, each: Object) -> None:
        template = each["spec"]["template"]
        pod = template["spec"]
        pod[
            document.statements(
                "{{- with $.Values.imagePullSecrets }}\nimagePullSecrets: {{- toYaml . | nindent INDENT2 }}\n{{- end }}"
            )
        ] = None
        checksums = self._checksums(document, pod)

        if checksums and each["kind"] != "Job":
            template["metadata"].setdefault("annotations", {}).update(checksums)

        for container in [*pod.get("initContainers", []), *pod["containers"]]:
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
            pod[
                document.statements(
                    f"{{{{- with {at} }}}}\n{field}: {{{{- toYaml . | nindent INDENT2 }}}}\n{{{{- end }}}}"
                    if kind is not str
                    else f"{{{{- with {at} }}}}\n{field}: {{{{ . }}}}\n{{{{- end }}}}"
                )
            ] = None

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
        fixed = {name: value for name, value in data.items() if name.startswith("NATS_")}
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
            spec[
                document.statements(
                    "{{- if not .Values.scaling.enabled }}\n"
                    f"replicas: {{{{ .Values.{path}.replicas }}}}\n{{{{- end }}}}"
                )
            ] = None
            each["spec"] = {key: spec[key] for key in (*reversed(spec),)}
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
        container["env"].append(
            document.statements(
                "{{- if .Values.apiKeys.enabled }}\n"
                "- name: API_KEYS_FILE\n  value: /run/keys/keys.toml\n{{- end }}\n"
                "{{- if .Values.signedUrls.enabled }}\n"
                "- name: URL_SECRETS_FILE\n  value: /run/url-secrets/secrets\n{{- end }}"
            )
        )
        container["volumeMounts"].append(
            document.statements(
                "{{- if .Values.apiKeys.enabled }}\n"
                "- mountPath: /run/keys\n  name: keys\n  readOnly: true\n{{- end }}\n"
                "{{- if .Values.signedUrls.enabled }}\n"
                "- mountPath: /run/url-secrets\n  name: url-secrets\n  readOnly: true\n{{- end }}"
            )
        )
        pod["volumes"].append(
            document.statements(
                "{{- if .Values.apiKeys.enabled }}\n"
                "- name: keys\n  secret:\n    defaultMode: 288\n"
                "    secretName: {{ .Values.apiKeys.secret }}\n{{- end }}\n"
                "{{- if .Values.signedUrls.enabled }}\n"
                "- name: url-secrets\n  secret:\n    defaultMode: 288\n"
                "    secretName: {{ .Values.signedUrls.secret }}\n{{- end }}"
            )
        )

    def _ui(self, document: Document, pod: Object) -> None:
        env = pod["containers"][0]["env"]
        (public,) = [each for each in env if each["name"] == "PUBLIC_SERVICE_URL"]
        public["value"] = document.expression('include "voice-cloning.publicUrl" .')
        env.append(
            document.statements(
                "{{- if .Values.apiKeys.enabled }}\n- name: API_KEY\n  valueFrom:\n"
                "    secretKeyRef:\n      key: key\n      name: {{ .Values.apiKeys.uiSecret }}\n{{- end }}"
            )
        )

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
        spec[
            document.statements(
                f"{{{{- with .Values.{path}.className }}}}\nstorageClassName: {{{{ . }}}}\n{{{{- end }}}}"
            )
        ] = None

    def _job(self, document: Document, name: str, each: Object) -> None:
        """Create a new Job for each change, because the template of a Job is immutable."""
        each["metadata"]["name"] = f"{name}-" + document.expression(
            'include "voice-cloning.change" .'
        )

    def _scaledobject(self, document: Document, name: str, each: Object) -> None:
        path = f"{VALUES[name]}.scaling"
        spec = each["spec"]

        for field in ("minReplicaCount", "maxReplicaCount", "cooldownPeriod"):
            value = self.value(f"{path}.{field}", spec[field])
            spec[field] = document.expression(value)

        for trigger in spec["triggers"]:
            for field in ("lagThreshold", "threshold"):
                if field in trigger["metadata"]:
                    default = trigger["metadata"][field]
                    at = self.value(f"{path}.thresholds.{trigger['name']}", default)
                    trigger["metadata"][field] = document.expression(
                        f'include "voice-cloning.text" {at}'
                    )

            if "serverAddress" in trigger["metadata"]:
                at = self.value("scaling.prometheus", trigger["metadata"]["serverAddress"])
                trigger["metadata"]["serverAddress"] = document.expression(at)

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
            spec["egress"].append(
                document.statements(
                    "{{- with .Values.nats.egress }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}"
                )
            )

    def _ingress(self, document: Document, _name: str, each: Object) -> None:
        each["metadata"]["annotations"][
            document.statements(
                "{{- with .Values.ingress.annotations }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}"
            )
        ] = None
        spec = each["spec"]
        spec[
            document.statements(
                "{{- with .Values.ingress.className }}\ningressClassName: {{ . }}\n{{- end }}"
            )
        ] = None

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
