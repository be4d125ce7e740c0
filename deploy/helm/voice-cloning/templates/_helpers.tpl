{{/* Labels of every object, in addition to those of deploy/k8s. */}}
{{- define "voice-cloning.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ include "voice-cloning.tag" . | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "voice-cloning.tag" -}}
{{ .Values.images.tag | default .Chart.AppVersion }}
{{- end }}

{{/* An image of ours: list CONTEXT NAME TAG, where an empty tag is the common one. */}}
{{- define "voice-cloning.image" -}}
{{- $context := index . 0 -}}
{{ $context.Values.images.repository }}/{{ index . 1 }}:{{ index . 2 | default (include "voice-cloning.tag" $context) }}
{{- end }}

{{/* A value of the environment. Helm reads numbers as floats, and would write 1073741824 as 1.073741824e+09. */}}
{{- define "voice-cloning.text" -}}
{{ kindIs "string" . | ternary . (toJson .) | quote }}
{{- end }}

{{/* Settings as a container's environment: list PATH SETTINGS NAMES, where the names are set by the chart. */}}
{{- define "voice-cloning.env" -}}
{{- $path := index . 0 }}
{{- $fixed := index . 2 }}
{{- range $name, $value := index . 1 }}
{{- if has $name $fixed }}
{{- fail (printf "%s.%s: is set by the chart; remove it" $path $name) }}
{{- end }}
- name: {{ $name }}
  value: {{ include "voice-cloning.text" $value }}
{{- end }}
{{- end }}

{{/* The engine of requests that name none. */}}
{{- define "voice-cloning.engine" -}}
{{- if .Values.engine }}{{ .Values.engine }}{{ else if .Values.engines.embedded.enabled }}embedded{{ else }}xtts{{ end }}
{{- end }}

{{- define "voice-cloning.natsUrl" -}}
{{ .Values.nats.url | default "nats://nats:4222" }}
{{- end }}

{{- define "voice-cloning.publicUrl" -}}
{{ .Values.publicUrl | default (printf "https://%s" .Values.hosts.api) }}
{{- end }}

{{/* Where workers scale to zero, edges must be ready without one: their refusals start the first worker. */}}
{{- define "voice-cloning.readiness" -}}
{{- $embedded := .Values.engines.embedded.enabled }}
{{- $xtts := and .Values.engines.xtts.enabled (or (not .Values.scaling.enabled) (gt (int .Values.engines.xtts.scaling.minReplicaCount) 0)) }}
{{- if or $embedded $xtts }}/readyz{{ else }}/livez{{ end }}
{{- end }}

{{/* A short name of everything that a Job is made of: a change creates a new Job, because a Job's template is immutable. */}}
{{- define "voice-cloning.change" -}}
{{ list .Values.images .Values.imagePullSecrets .Values.nats.replicas .Values.nats.url .Values.settings .Values.engines .Chart.AppVersion .Chart.Version | toJson | sha256sum | trunc 8 }}
{{- end }}
