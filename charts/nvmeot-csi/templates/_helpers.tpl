{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Pieces that several objects share. Names are fixed: a cluster has one CSIDriver of this name, so one release. */ -}}

{{- define "nvmeot.driver" -}}csi.nvmeot.io{{- end }}

{{- /* The labels by which objects find their pods; for ever, since selectors cannot be changed. */ -}}
{{- define "nvmeot.selector" -}}
app.kubernetes.io/name: nvmeot-csi
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- /* (list ROOT COMPONENT) */ -}}
{{- define "nvmeot.labels" -}}
{{- $root := index . 0 -}}
{{ include "nvmeot.selector" (index . 1) }}
app.kubernetes.io/instance: {{ toYaml $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- define "nvmeot.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "nvmeot.pullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* (list ROOT COMPONENT SETTINGS): the metadata of a pod */ -}}
{{- define "nvmeot.podMetadata" -}}
labels:
  {{- include "nvmeot.selector" (index . 1) | nindent 2 }}
  {{- with (index . 2).podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with (index . 2).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* HOST:PORT of (list HOST PORT), as --target and --listen take it */ -}}
{{- define "nvmeot.hostPort" -}}
{{- $host := index . 0 -}}
{{- if contains ":" $host }}[{{ $host }}]{{ else }}{{ $host }}{{ end }}:{{ index . 1 }}
{{- end }}

{{- define "nvmeot.loopback" -}}{{ eq .Values.ipFamily "IPv6" | ternary "::1" "127.0.0.1" }}{{- end }}
{{- define "nvmeot.wildcard" -}}{{ eq .Values.ipFamily "IPv6" | ternary "::" "0.0.0.0" }}{{- end }}

{{- /* Where a pod on the host's network serves health and metrics: (list ROOT PORT) */ -}}
{{- define "nvmeot.hostHttp" -}}
{{- $root := index . 0 -}}
{{- include "nvmeot.hostPort" (list (include ($root.Values.metrics.enabled | ternary "nvmeot.wildcard" "nvmeot.loopback") $root) (index . 1)) }}
{{- end }}

{{- /* Of those who call the target agents */ -}}
{{- define "nvmeot.agentArgs" -}}
- --tls-dir=/tls
{{- range .Values.target.nodes }}
- {{ printf "--target=%s=%s" .name (include "nvmeot.hostPort" (list .address $.Values.target.agentPort)) | quote }}
{{- end }}
{{- range .Values.targets }}
- {{ printf "--target=%s=%s" .name .address | quote }}
{{- end }}
{{- end }}

{{- define "nvmeot.logArgs" -}}
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- end }}

{{- /* (dict "port" PORT-NAME "host" HOST-OR-EMPTY "startup" SECONDS). Nothing here asks a target: a dead one must not
have our processes restarted. */ -}}
{{- define "nvmeot.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ .port }}{{ with .host }}, host: {{ . | quote }}{{ end }}}
  periodSeconds: 2
  failureThreshold: {{ div .startup 2 }}
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}{{ with .host }}, host: {{ . | quote }}{{ end }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}{{ with .host }}, host: {{ . | quote }}{{ end }}}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}

{{- /* What no container here needs */ -}}
{{- define "nvmeot.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "nvmeot.hasTargets" -}}
{{- if or .Values.targets .Values.target.nodes }}yes{{ end }}
{{- end }}

{{- /* Names of the Secrets with DH-HMAC-CHAP keys, as JSON */ -}}
{{- define "nvmeot.keySecrets" -}}
{{- $names := list -}}
{{- range .Values.storageClasses }}{{ with .secretName }}{{ $names = append $names . }}{{ end }}{{ end -}}
{{- $names | uniq | sortAlpha | toJson }}
{{- end }}

{{- /* (list WHOSE ADDRESS): fails unless the numbers in it, of which the schema knows only the form, are an IPv4 address
and a port. An IPv6 address is in brackets, or has no port. */ -}}
{{- define "nvmeot.checkNumbers" -}}
{{- $whose := index . 0 -}}
{{- $address := index . 1 | trimPrefix "tcp://" -}}
{{- $port := regexFind "(\\]|^[^:]+):[0-9]+$" $address | regexFind "[0-9]+$" -}}
{{- if and $port (or (hasPrefix "0" $port) (gt (int $port) 65535)) }}
{{- fail (printf "%s: the port in %q is not one of 1 to 65535" $whose (index . 1)) }}
{{- end }}
{{- $host := regexReplaceAll ":[0-9]+$" $address "" -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" }}
{{- if and (regexMatch "^[0-9.]+$" $host) (not (regexMatch (printf "^%s([.]%s){3}$" $octet $octet) $host)) }}
{{- fail (printf "%s: %q is not an IPv4 address" $whose $host) }}
{{- end }}
{{- end }}

{{- /* (list WHERE LABELS NAME...): fails if one of the names, which the chart sets itself, is among the labels */ -}}
{{- define "nvmeot.checkLabels" -}}
{{- $where := index . 0 -}}
{{- $labels := index . 1 | default dict -}}
{{- range slice . 2 }}
{{- if hasKey $labels . }}
{{- fail (printf "%s: %s is set by the chart" $where .) }}
{{- end }}
{{- end }}
{{- end }}
