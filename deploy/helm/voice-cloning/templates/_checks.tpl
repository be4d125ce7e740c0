{{/* What values.schema.json cannot say clearly: forms of text, and values that need each other. */}}
{{- define "voice-cloning.checks" -}}
{{- include "voice-cloning.checkAddresses" . }}
{{- include "voice-cloning.checkEngines" . }}
{{- range $name, $_ := .Values.settings }}
{{- if has $name (list "ENGINE" "NATS_URL" "NATS_REPLICAS" "NATS_CA_FILE" "NATS_ESTABLISH" "NATS_NKEY_SEED_FILE") }}
{{- fail (printf "settings.%s: is set by the chart; use nats or engine" $name) }}
{{- else if not (regexMatch "^[A-Z][A-Z0-9_]*$" $name) }}
{{- fail (printf "settings.%s: send the name of a setting of docs/operations.md, in capitals" $name) }}
{{- end }}
{{- end }}
{{- if contains ":" (base .Values.images.repository) }}
{{- fail "images.repository: send registry and path without a tag; the tag is images.tag" }}
{{- end }}
{{- if not (regexMatch ".[:@][^/]+$" .Values.images.nats) }}
{{- fail "images.nats: send the image with its version, such as nats:2.15.1-alpine" }}
{{- end }}
{{- with .Values.nats.keys }}
{{- range list "users" "storeKey" "ca" "tlsCertificate" "tlsKey" "seeds" }}
{{- if not (index $.Values.nats.keys .) }}
{{- fail (printf "nats.keys.%s: is missing; write the file again: ./task nats:keys -- keys --hosts nats '*.nats-headless' --values" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "voice-cloning.checkAddresses" -}}
{{- range $name, $host := .Values.hosts }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+$" $host) }}
{{- fail (printf "hosts.%s: %s: send a host name in lower case, without scheme, port and path" $name $host) }}
{{- end }}
{{- end }}
{{- if eq .Values.hosts.api .Values.hosts.ui }}
{{- fail "hosts: send different names for api and ui" }}
{{- end }}
{{- range $name, $url := dict "publicUrl" .Values.publicUrl "scaling.prometheus" .Values.scaling.prometheus "monitoring.runbookUrl" .Values.monitoring.runbookUrl }}
{{- if and $url (not (regexMatch "^https?://[^/ ]+" $url)) }}
{{- fail (printf "%s: %s: send a URL that starts with http:// or https://" $name $url) }}
{{- end }}
{{- end }}
{{- if and .Values.nats.enabled .Values.nats.url }}
{{- fail "nats.url: set nats.enabled to false to use other servers" }}
{{- end }}
{{- range $url := .Values.nats.url | splitList "," }}
{{- if and $url (not (regexMatch "^(nats|tls)://[^/ ]+$" $url)) }}
{{- fail (printf "nats.url: %s: send nats://HOST:PORT, several separated by commas" $url) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.expose "gateway") (not .Values.gateway.parentRefs) (not .Values.gateway.className) }}
{{- fail "gateway.parentRefs: name your Gateway, such as [{name: public, namespace: gateways}], or set gateway.className to create one" }}
{{- end }}
{{- end }}

{{- define "voice-cloning.checkEngines" -}}
{{- $embedded := .Values.engines.embedded }}
{{- $xtts := .Values.engines.xtts }}
{{- if not (or $embedded.enabled $xtts.enabled) }}
{{- fail "engines: enable at least one: engines.embedded.enabled or engines.xtts.enabled" }}
{{- end }}
{{- if and $xtts.enabled (not $xtts.acceptLicence) }}
{{- fail "engines.xtts.acceptLicence: set it to true if you accept https://coqui.ai/cpml (non-commercial use only), or disable engines.xtts" }}
{{- end }}
{{- with .Values.engine }}
{{- if not (index $.Values.engines .).enabled }}
{{- fail (printf "engine: %s is not enabled: set engines.%s.enabled to true" . .) }}
{{- end }}
{{- end }}
{{- range $name, $engine := .Values.engines }}
{{- if and $engine.enabled (not $.Values.scaling.enabled) (lt (int $engine.replicas) 1) }}
{{- fail (printf "engines.%s.replicas: send at least 1, or set scaling.enabled to true" $name) }}
{{- end }}
{{- if gt (int $engine.scaling.minReplicaCount) (int $engine.scaling.maxReplicaCount) }}
{{- fail (printf "engines.%s.scaling: minReplicaCount is greater than maxReplicaCount" $name) }}
{{- end }}
{{- range $trigger, $value := $engine.scaling.thresholds }}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?$" (kindIs "string" $value | ternary $value (toJson $value))) }}
{{- fail (printf "engines.%s.scaling.thresholds.%s: send a number greater than 0" $name $trigger) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
