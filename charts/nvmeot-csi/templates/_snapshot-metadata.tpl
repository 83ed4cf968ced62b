{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- /* By which backup programs call the sidecar, in the cluster; the first is what they are told. As JSON */ -}}
{{- define "nvmeot.snapshotMetadataNames" -}}
{{- $name := printf "nvmeot-snapshot-metadata.%s" .Release.Namespace -}}
{{- list (printf "%s.svc" $name) $name | toJson }}
{{- end }}

{{- /* (list ROOT AUTHORITY): where it is, whose signature its certificate has (PEM), and for whom a token must be meant.
Its name is the driver's: so it is found. */ -}}
{{- define "nvmeot.snapshotMetadataService" -}}
{{- $root := index . 0 -}}
---
apiVersion: cbt.storage.k8s.io/v1beta1
kind: SnapshotMetadataService
metadata:
  name: {{ include "nvmeot.driver" $root }}
  labels:
    {{- include "nvmeot.labels" (list $root "controller") | nindent 4 }}
spec:
  address: {{ include "nvmeot.snapshotMetadataNames" $root | fromJsonArray | first }}:{{ $root.Values.sidecars.snapshotMetadata.port }}
  audience: {{ include "nvmeot.driver" $root }}
  caCert: {{ index . 1 | b64enc }}
{{- end }}
