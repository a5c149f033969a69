{{- define "trailsift.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: a StatefulSet's pods add a number, and a revision's label a hash. */}}
{{- define "trailsift.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "trailsift.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "trailsift.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "trailsift.selector" -}}
app.kubernetes.io/name: {{ include "trailsift.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "trailsift.labels" -}}
{{ include "trailsift.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trailsift.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "trailsift.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "trailsift.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The whole seconds, rounded up, of a duration such as "25s"; one that trailsift would refuse is left to it. */}}
{{- define "trailsift.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $each := get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit -}}
{{- if $each -}}{{ mul $number $each }}{{- else -}}{{ div (add $number 999) 1000 }}{{- end -}}
{{- end -}}

{{/* The MiB of a size such as "256MiB" (trailsift's) or "1Gi" (Kubernetes'); 0 for what is written otherwise, which is left to them. */}}
{{- define "trailsift.mebibytes" -}}
{{- $unit := get (dict "Mi" 1 "MiB" 1 "Gi" 1024 "GiB" 1024) (regexReplaceAll "^[0-9]+" . "") -}}
{{- if $unit -}}{{ mul (regexFind "^[0-9]+" . | int64) $unit }}{{- else -}}0{{- end -}}
{{- end -}}

{{/* trailsift.toml. */}}
{{- define "trailsift.toml" -}}
# Made by the Helm chart: config.service and config.toml.

[service]
listen = "0.0.0.0:9180"
data_dir = "/var/lib/trailsift"
{{- range $key, $value := .Values.config.service }}
{{- if kindIs "string" $value }}
{{ $key }} = {{ $value | toJson }}
{{- else if kindIs "bool" $value }}
{{ $key }} = {{ $value }}
{{- else }}
{{ $key }} = {{ int64 $value }}
{{- end }}
{{- end }}
{{- with .Values.config.toml }}

{{ trimSuffix "\n" . }}
{{- end }}
{{ end -}}

{{/* What cannot go together. */}}
{{- define "trailsift.judge" -}}
{{- $drain := include "trailsift.seconds" (toString (default "25s" .Values.config.service.drain_timeout)) | int64 -}}
{{- if le (int64 .Values.terminationGracePeriodSeconds) $drain -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be above config.service.drain_timeout (%d s), or Kubernetes cuts the drain short" (int64 .Values.terminationGracePeriodSeconds) $drain) -}}
{{- end -}}
{{- if regexMatch "(?m)^\\s*\\[\\s*service\\s*\\]" .Values.config.toml -}}
{{- fail "config.toml must not hold [service]: its keys belong under config.service" -}}
{{- end -}}
{{- if regexMatch "\\A(\\s|#[^\n]*\n)*[^\\s#\\[]" .Values.config.toml -}}
{{- fail "config.toml begins with a key, which would be one of [service]: those belong under config.service, and config.toml begins with a table" -}}
{{- end -}}
{{- if not .Values.config.accounts -}}
{{- fail "config.accounts is empty: name at least one account, as the chart's README shows" -}}
{{- end -}}
{{- $elsewhere := regexMatch "(?m)^\\s*(sink|policy)\\s*=" (regexFind "(?ms)^\\s*\\[quarantine\\][^\\[]*" .Values.config.toml) -}}
{{- if and (not .Values.persistence.enabled) (not $elsewhere) -}}
{{- fail "without persistence.enabled the quarantine's folder would be lost with its pod: let config.toml say [quarantine] with a sink, or with policy = \"redrive\"" -}}
{{- end -}}
{{- $memory := include "trailsift.mebibytes" (toString .Values.config.service.memory) | int64 -}}
{{- $limit := include "trailsift.mebibytes" (toString (dig "limits" "memory" "" (.Values.resources | default dict))) | int64 -}}
{{- if and $memory $limit (lt $limit (add $memory 64)) -}}
{{- fail (printf "resources.limits.memory (%d MiB) must be config.service.memory (%d MiB) and 64 MiB at least" $limit $memory) -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.queues) -}}
{{- fail "keda.enabled needs keda.queues" -}}
{{- end -}}
{{- if and .Values.keda.enabled (gt (int64 .Values.keda.minReplicas) (int64 .Values.keda.maxReplicas)) -}}
{{- fail "keda.minReplicas is above keda.maxReplicas" -}}
{{- end -}}
{{- end -}}

{{/* The volumes that hold configuration and secrets. */}}
{{- define "trailsift.volumes" -}}
- name: config
  configMap:
    name: {{ include "trailsift.fullname" . }}
    items:
      - { key: trailsift.toml, path: trailsift.toml }
      {{- range $name, $_ := .Values.config.accounts }}
      - { key: {{ printf "account.%s.toml" $name }}, path: {{ printf "accounts/%s.toml" $name }} }
      {{- end }}
{{- range .Values.secretFiles }}
- name: {{ printf "secret-%s" .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "trailsift.mounts" -}}
- { name: config, mountPath: /etc/trailsift, readOnly: true }
{{- range .Values.secretFiles }}
- { name: {{ printf "secret-%s" .name }}, mountPath: {{ printf "/run/secrets/%s" .name }}, readOnly: true }
{{- end }}
{{- end -}}

{{- define "trailsift.env" -}}
{{- with .Values.aws.region }}
- { name: AWS_REGION, value: {{ . | quote }} }
{{- end }}
{{- range .Values.secretEnv }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: { name: {{ .secret }}, key: {{ .key }} }
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trailsift.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{/* Where a pod may run: also that of `helm test`, for the image is the same. */}}
{{- define "trailsift.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "trailsift.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* The pods' template, the same for both kinds of workload. */}}
{{- define "trailsift.pod" -}}
metadata:
  labels:
    {{- mergeOverwrite (include "trailsift.labels" . | fromYaml) .Values.podLabels | toYaml | nindent 4 }}
  annotations:
    # A changed configuration starts new pods: trailsift reads it at the start only.
    checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "trailsift.serviceAccount" . }}
  # It never talks to Kubernetes. The token for AWS is another one.
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int64 .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "trailsift.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with include "trailsift.placement" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml . | nindent 6 | trim }}
      {{- if not .labelSelector }}
      labelSelector:
        matchLabels:
          {{- include "trailsift.selector" $ | nindent 10 }}
      {{- end }}
    {{- end }}
  {{- end }}
  containers:
    - name: trailsift
      image: {{ include "trailsift.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run]
      {{- with include "trailsift.env" . | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      ports:
        - { name: http, containerPort: 9180, protocol: TCP }
      # Alive while the process can work. Whether accounts and sinks answer is readiness: a restart would not mend them.
      startupProbe:
        httpGet: { path: /livez, port: http }
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /livez, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- include "trailsift.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- include "trailsift.mounts" . | nindent 8 }}
        - { name: data, mountPath: /var/lib/trailsift }
  volumes:
    {{- include "trailsift.volumes" . | nindent 4 }}
    {{- if not .Values.persistence.enabled }}
    - name: data
      emptyDir: { sizeLimit: {{ .Values.persistence.size }} }
    {{- end }}
{{- end -}}
