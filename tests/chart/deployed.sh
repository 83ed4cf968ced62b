# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests/chart/run: what is rendered from the chart beside it, and the examples.

# A pod's claim, and a claim's class, are in the same file or made by the chart.
example() { # FILE
  ask "$1" '[.[] | select(.kind == "PersistentVolumeClaim")] as $claims | [$claims[].metadata.name] as $names
    | ((.[] | select(.kind == "Pod") | .spec), (workloads | pod) | .volumes[].persistentVolumeClaim.claimName
      | select([.] - $names != []) | "no claim \(.)"),
      ($claims[].spec | select(.storageClassName != "nvmeot" and .volumeName == null) | "StorageClass \(.storageClassName) is not the chart'"'"'s")'
}

# The words that the table of events has from the driver are the driver's.
events() {
  local code words
  code=$(cat csi/*/*.c nvme/*/*.c | tr -d '\n\t' | sed 's/" *"//g')
  sed -n 's/^| \(`[^|]*`\) |.*/\1/p' <(sed -n '/^### When something is wrong/,/^### Security/p' deploy/README.md) |
    grep -o '`[^`]*`' | tr -d '`' | sed 's/ *… */\n/g' | grep -E '.{8}' | while read -r words; do
    grep -qF -- "$words" <<<"$code" || echo "nothing says \"$words\""
  done
}

deployed() {
  local file modes
  deploy/kubernetes/render >$work/kubernetes.yaml
  verdict "deploy/kubernetes is what the chart renders (deploy/kubernetes/render)" \
    "$(same deploy/kubernetes/nvmeot-csi.yaml $work/kubernetes.yaml)"
  verdict "deploy/kubernetes: kubeconform" "$(conforms deploy/kubernetes/nvmeot-csi.yaml)"
  verdict "deploy/kubernetes: an API server takes it" "$(validate deploy/kubernetes/nvmeot-csi.yaml)"
  verdict "deploy/kubernetes: every fact of facts.jq" "$(ask deploy/kubernetes/nvmeot-csi.yaml findings)"
  verdict "deploy/README.md quotes what the driver says" "$(events)"
  for file in deploy/examples/*.yaml; do
    verdict "$file" "$(conforms "$file"; validate "$file"; example "$file")"
  done
  modes=$(for file in deploy/examples/*.yaml; do
    ask "$file" '.[] | select(.kind == "PersistentVolumeClaim") | .spec | "\(.volumeMode // "Filesystem") \(.accessModes[0])"'
  done | sort -u | paste -sd,)
  verdict "an example for each access mode" "$(diff <(echo "$modes") \
    <(echo "Block ReadWriteMany,Block ReadWriteOnce,Filesystem ReadOnlyMany,Filesystem ReadWriteMany,Filesystem ReadWriteOnce,Filesystem ReadWriteOncePod"))"
}
