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

# With values of one's own, by a path from where one is.
rendered_elsewhere() {
  local said
  echo "target: {nodes: [{name: box1, node: worker-7, address: 192.0.2.17}]}" >$work/own.yaml
  said=$(cd $work && "$OLDPWD/deploy/kubernetes/render" -f own.yaml 2>&1) || true
  [[ $said == *--target=box1=192.0.2.17:9500* ]] || tail -n 1 <<<"$said"
}

# What users are told to type is of the namespace that everything is in.
namespaces() {
  grep -nE 'kubectl|helm ' README.md deploy/*.md charts/*/*.md charts/*/values.yaml deploy/examples/*.yaml |
    grep -E -- ' (-n|--namespace)[ =]' | grep -vE -- ' (-n|--namespace)[ =]nvmeot-system\>' || true
}

# A storage box has what the agent is linked with.
libraries() {
  local name package
  readelf -dW build/gcc/bin/nvmeot-target | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | grep -v '^libc\.' |
    while read -r name; do
      package=$(dpkg -S "*/$name" | sed -n '1s/:.*//p')
      grep -qw -- "$package" deploy/README.md || echo "not a word of $package, which has $name"
    done
}

# The install of deploy/README.md, as far as it goes without a cluster
installs() {
  local command
  command=$(sed -n '/^helm install nvmeot/,/[^\\]$/p' deploy/README.md)
  bash -c "${command/helm install/helm template}" >$work/readme.yaml 2>&1 || cat $work/readme.yaml
  grep -qF -- --target=box1=192.0.2.11:9500 $work/readme.yaml || echo "no target in what it installs"
}

deployed() {
  local file modes
  deploy/kubernetes/render >$work/kubernetes.yaml
  verdict "deploy/kubernetes is what the chart renders (deploy/kubernetes/render)" \
    "$(same deploy/kubernetes/nvmeot-csi.yaml $work/kubernetes.yaml)"
  verdict "deploy/kubernetes: kubeconform" "$(conforms deploy/kubernetes/nvmeot-csi.yaml)"
  verdict "deploy/kubernetes: an API server takes it" "$(validate deploy/kubernetes/nvmeot-csi.yaml)"
  verdict "deploy/kubernetes: every fact of facts.jq" "$(ask deploy/kubernetes/nvmeot-csi.yaml findings)"
  verdict "deploy/kubernetes/render takes values from where it is called" "$(rendered_elsewhere)"
  verdict "deploy/README.md quotes what the driver says" "$(events)"
  verdict "deploy/README.md installs the chart" "$(installs)"
  verdict "documentation names one namespace" "$(namespaces)"
  verdict "deploy/README.md installs what nvmeot-target needs" "$(libraries)"
  for file in deploy/examples/*.yaml; do
    verdict "$file" "$(conforms "$file"; validate "$file"; example "$file")"
  done
  modes=$(for file in deploy/examples/*.yaml; do
    ask "$file" '.[] | select(.kind == "PersistentVolumeClaim") | .spec | "\(.volumeMode // "Filesystem") \(.accessModes[0])"'
  done | sort -u | paste -sd,)
  verdict "an example for each access mode" "$(diff <(echo "$modes") \
    <(echo "Block ReadWriteMany,Block ReadWriteOnce,Filesystem ReadOnlyMany,Filesystem ReadWriteMany,Filesystem ReadWriteOnce,Filesystem ReadWriteOncePod"))"
}
