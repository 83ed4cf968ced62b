{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Kubernetes' sidecars of the controller: one leader each among the replicas, but for the one that serves. */ -}}

{{- /* (dict "root" ROOT "name" NAME "settings" SETTINGS "args" ARGS "env" BOOL "serves" PORT-NAME). One that serves has no
leader, but the port of its settings and a certificate. */ -}}
{{- define "nvmeot.sidecar" -}}
- name: {{ .name }}
  image: {{ .settings.image | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args:
    - --csi-address=/csi/csi.sock
    {{- if not .serves }}
    - --leader-election
    - --leader-election-namespace={{ .root.Release.Namespace }}
    {{- end }}
    {{- range .args }}
    - {{ . }}
    {{- end }}
    {{- with .settings.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if .env }}
  # The Deployment becomes the owner of the CSIStorageCapacity objects, found by way of this pod.
  env:
    - name: NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    - name: POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
  {{- end }}
  {{- if .serves }}
  ports:
    - name: {{ .serves }}
      containerPort: {{ .settings.port }}
  # It listens as soon as the driver has answered it.
  readinessProbe:
    tcpSocket: {port: {{ .serves }}}
    periodSeconds: 10
    timeoutSeconds: 5
  {{- end }}
  securityContext:
    {{- include "nvmeot.unprivileged" . | nindent 4 }}
  resources:
    {{- toYaml .settings.resources | nindent 4 }}
  volumeMounts:
    - name: socket
      mountPath: /csi
    - name: token
      mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      readOnly: true
    {{- if .serves }}
    - name: {{ .serves }}-tls
      mountPath: /tls
      readOnly: true
    {{- end }}
{{- end }}

{{- /* "true", or empty. Of nodes without topology the provisioner takes the object that it has just made for one that
nobody wants, and deletes it (an empty selector comes back from the API server as none): until it makes the next, in a
minute, the scheduler places nothing. */}}
{{- define "nvmeot.capacity" -}}
{{- if and .Values.sidecars.provisioner.capacity .Values.topology }}true{{ end }}
{{- end }}

{{- define "nvmeot.sidecars" -}}
{{- $s := .Values.sidecars }}
{{- $timeout := printf "--timeout=%ds" (int .Values.controller.timeoutSeconds) }}
{{- /* The file system that a claim gets whose class names none: Kubernetes gives a group only to one that has a name. */}}
{{- $provisioner := list $timeout "--default-fstype=ext4" }}
{{- if include "nvmeot.capacity" . }}
{{- /* The owner is two steps up: pod, ReplicaSet, Deployment. */}}
{{- $provisioner = concat $provisioner (list "--enable-capacity" "--capacity-ownerref-level=2") }}
{{- end }}
{{- include "nvmeot.sidecar" (dict "root" . "name" "csi-provisioner" "settings" $s.provisioner "args" $provisioner "env" (include "nvmeot.capacity" .)) }}
{{ include "nvmeot.sidecar" (dict "root" . "name" "csi-attacher" "settings" $s.attacher "args" (list $timeout "--default-fstype=ext4")) }}
{{- /* Growing is never refused because a volume is in use, so that nobody needs to see all pods. */}}
{{ include "nvmeot.sidecar" (dict "root" . "name" "csi-resizer" "settings" $s.resizer "args" (list $timeout "--handle-volume-inuse-error=false")) }}
{{- if $s.snapshotter.enabled }}
{{ include "nvmeot.sidecar" (dict "root" . "name" "csi-snapshotter" "settings" $s.snapshotter "args" (list $timeout)) }}
{{- end }}
{{- with $s.snapshotMetadata }}
{{- if .enabled }}
{{- /* Its health and metrics are asked for by nobody: at a port of loopback that is free. */}}
{{- $args := list $timeout (printf "--port=%d" (int .port)) "--tls-cert=/tls/tls.crt" "--tls-key=/tls/tls.key" (printf "--http-endpoint=%s" (include "nvmeot.hostPort" (list (include "nvmeot.loopback" $) 0))) }}
{{ include "nvmeot.sidecar" (dict "root" $ "name" "csi-snapshot-metadata" "settings" . "args" $args "serves" "metadata") }}
{{- end }}
{{- end }}
{{- if $s.healthMonitor.enabled }}
{{ include "nvmeot.sidecar" (dict "root" . "name" "csi-health-monitor" "settings" $s.healthMonitor "args" (list $timeout)) }}
{{- end }}
{{- end }}
