{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- /* The authority of an earlier install or upgrade stays, or no certificate of targets outside the cluster would
fit any more, and the two sides would not know each other while they renew theirs. */ -}}
{{- define "nvmeot.tlsHelm" -}}
{{- $ca := "" }}
{{- $old := lookup "v1" "Secret" .Release.Namespace "nvmeot-ca" }}
{{- if $old }}
{{- $ca = buildCustomCert (index $old.data "tls.crt") (index $old.data "tls.key") }}
{{- else }}
{{- $ca = genCAWithKey (printf "nvmeot CA %s" (randAlphaNum 8 | lower)) 3650 (genPrivateKey "ecdsa") }}
{{- end }}
{{- $days := int .Values.tls.validityDays }}
apiVersion: v1
kind: Secret
metadata:
  name: nvmeot-ca
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "nvmeot.labels" (list . "tls") | nindent 4 }}
type: kubernetes.io/tls
data:
  tls.crt: {{ $ca.Cert | b64enc }}
  tls.key: {{ $ca.Key | b64enc }}
{{- /* The name by which agents know the controller, see --client-name. */}}
{{- $cert := genSignedCertWithKey "nvmeot-controller" (list) (list "nvmeot-controller") $days $ca (genPrivateKey "ecdsa") }}
{{ include "nvmeot.tlsSecret" (list . "nvmeot-controller-tls" $ca $cert) }}
{{- if .Values.node.freeze }}
{{- $cert := genSignedCertWithKey "nvmeot-node" (list) (list "nvmeot-node") $days $ca (genPrivateKey "ecdsa") }}
{{ include "nvmeot.tlsSecret" (list . "nvmeot-node-tls" $ca $cert) }}
{{- end }}
{{- if .Values.sidecars.snapshotMetadata.enabled }}
{{- $cert := genSignedCertWithKey "nvmeot-snapshot-metadata" (list) (include "nvmeot.snapshotMetadataNames" . | fromJsonArray) $days $ca (genPrivateKey "ecdsa") }}
{{ include "nvmeot.tlsSecret" (list . "nvmeot-snapshot-metadata-tls" $ca $cert) }}
{{ include "nvmeot.snapshotMetadataService" (list . $ca.Cert) }}
{{- end }}
{{- range .Values.target.nodes }}
{{- $cert := genSignedCertWithKey .name (list .address) (list) $days $ca (genPrivateKey "ecdsa") }}
{{ include "nvmeot.tlsSecret" (list $ (printf "nvmeot-target-%s-tls" .name) $ca $cert) }}
{{- end }}
{{- end }}

{{- /* (list ROOT NAME AUTHORITY CERTIFICATE) */ -}}
{{- define "nvmeot.tlsSecret" -}}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ index . 1 }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "nvmeot.labels" (list (index . 0) "tls") | nindent 4 }}
type: kubernetes.io/tls
data:
  ca.crt: {{ (index . 2).Cert | b64enc }}
  tls.crt: {{ (index . 3).Cert | b64enc }}
  tls.key: {{ (index . 3).Key | b64enc }}
{{- end }}

{{- define "nvmeot.tlsCertManager" -}}
{{- $issuer := .Values.tls.issuerRef }}
{{- if not $issuer }}
{{- $issuer = dict "kind" "Issuer" "name" "nvmeot-ca" }}
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: nvmeot-self-signed
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "nvmeot.labels" (list . "tls") | nindent 4 }}
spec:
  selfSigned: {}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: nvmeot-ca
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "nvmeot.labels" (list . "tls") | nindent 4 }}
spec:
  isCA: true
  commonName: nvmeot CA
  secretName: nvmeot-ca
  duration: 87600h
  privateKey:
    algorithm: ECDSA
    size: 256
    # The same key: what it has signed stays good.
    rotationPolicy: Never
  issuerRef:
    group: cert-manager.io
    kind: Issuer
    name: nvmeot-self-signed
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: nvmeot-ca
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "nvmeot.labels" (list . "tls") | nindent 4 }}
spec:
  ca:
    secretName: nvmeot-ca
{{- end }}
{{ include "nvmeot.tlsCertificate" (list . $issuer "nvmeot-controller" (dict "dnsNames" (list "nvmeot-controller") "usages" (list "digital signature" "client auth"))) }}
{{- if .Values.node.freeze }}
{{ include "nvmeot.tlsCertificate" (list . $issuer "nvmeot-node" (dict "dnsNames" (list "nvmeot-node") "usages" (list "digital signature" "client auth"))) }}
{{- end }}
{{- if .Values.sidecars.snapshotMetadata.enabled }}
{{ include "nvmeot.tlsCertificate" (list . $issuer "nvmeot-snapshot-metadata" (dict "dnsNames" (include "nvmeot.snapshotMetadataNames" . | fromJsonArray) "usages" (list "digital signature" "server auth"))) }}
{{- end }}
{{- range .Values.target.nodes }}
{{ include "nvmeot.tlsCertificate" (list $ $issuer (printf "nvmeot-target-%s" .name) (dict "ipAddresses" (list .address) "usages" (list "digital signature" "server auth"))) }}
{{- end }}
{{- end }}

{{- /* (list ROOT ISSUER NAME SPEC) */ -}}
{{- define "nvmeot.tlsCertificate" -}}
{{- $issuer := index . 1 -}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ index . 2 }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "nvmeot.labels" (list (index . 0) "tls") | nindent 4 }}
spec:
  secretName: {{ index . 2 }}-tls
  {{- toYaml (index . 3) | nindent 2 }}
  privateKey:
    algorithm: ECDSA
    size: 256
    rotationPolicy: Always
  issuerRef:
    group: {{ $issuer.group | default "cert-manager.io" }}
    kind: {{ $issuer.kind | default "Issuer" }}
    name: {{ toYaml $issuer.name }}
{{- end }}
