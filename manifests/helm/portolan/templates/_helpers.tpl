{{/* Labels of an object: include "portolan.labels" (list . "portolan-control") */}}
{{- define "portolan.labels" -}}
{{- with index . 1 }}
app.kubernetes.io/name: {{ . }}
{{- end }}
app.kubernetes.io/part-of: portolan
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "portolan.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
