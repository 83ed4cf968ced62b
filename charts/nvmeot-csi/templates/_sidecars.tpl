{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Kubernetes' sidecars of the controller, one leader each among the replicas. */ -}}

{{- /* (dict "root" ROOT "name" NAME "settings" SETTINGS "args" ARGS "env" BOOL) */ -}}
{{- define "nvmeot.sidecar" -}}
- name: {{ .name }}
  image: {{ .settings.image | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args:
    - --csi-address=/csi/csi.sock
    - --leader-election
    - --leader-election-namespace={{ .root.Release.Namespace }}
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
{{- if $s.healthMonitor.enabled }}
{{ include "nvmeot.sidecar" (dict "root" . "name" "csi-health-monitor" "settings" $s.healthMonitor "args" (list $timeout)) }}
{{- end }}
{{- end }}
