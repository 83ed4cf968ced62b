# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests/chart/run: the sidecars' rights and flags against the sources of the very releases whose images values.yaml
# names.

# sidecar_dir VALUE MODULE: the source of the release that is the image's tag
sidecar_dir() {
  local tag
  tag=$(yq -r ".sidecars.$1.image | split(\":\")[1]" $chart/values.yaml)
  (cd $work && GOFLAGS=-mod=mod go mod download -json "$2@$tag") | jq -re '.Dir // error(.Error)'
}

# Each right as GROUP RESOURCE VERB, a line each, of roles in a file whose names match.
rights() { # FILE REGEX
  yq -r --arg name "$2" 'select((.kind == "Role" or .kind == "ClusterRole") and (.metadata.name | test($name))) | .rules[]
    | .apiGroups[] as $group | .resources[] as $resource | .verbs[] | "\($group) \($resource) \(.)"' "$1" | sort -u
}

# What a sidecar may do here is no more than its release asks for; KNOWN: what that has forgotten to write down.
sidecar_rights() { # NAME FILE KNOWN...
  local name=$1 file=$2
  shift 2
  comm -23 <(rights tests/chart/golden/everything.yaml "^nvmeot-$name\$") \
    <({ rights "$file" .; printf '%s\n' "$@"; } | sort -u) | sed 's/^/more than it asks for: /'
}

sidecar_flags() { # NAME DIR
  local flag
  yq -r --arg name "csi-$1" 'select(.kind == "Deployment") | .spec.template.spec.containers[] | select(.name == $name)
    | .args[] | split("=")[0]' tests/chart/golden/storage-nodes.yaml tests/chart/golden/everything.yaml | sort -u |
    while read -r flag; do
      grep -qF -- "\`$flag" "$2/README.md" || grep -rqF --include='*.go' "\"${flag#--}\"" "$2/cmd" "$2/pkg" ||
        echo "it knows no flag $flag"
    done
}

sidecar() { # VALUE MODULE RBAC KNOWN...
  local name dir rbac=$3
  name=$(sed 's/[A-Z]/-\L&/g' <<<"$1")
  dir=$(sidecar_dir "$1" "$2") || { verdict "$name: the release of its image" "it is not to be had"; return; }
  shift 3
  verdict "$name: rights that its release asks for, at most" "$(sidecar_rights "$name" "$dir/$rbac" "$@")"
  verdict "$name: flags that its release has" "$(sidecar_flags "$name" "$dir")"
}

sidecars() {
  local at=github.com/kubernetes-csi rbac=deploy/kubernetes/rbac.yaml
  verdict "what the sidecars share: rights that the provisioner asks for, and Secrets" "$(sidecar_rights controller \
    "$(sidecar_dir provisioner $at/external-provisioner/v6)/$rbac" " secrets get")"
  # It reads a claim's class (pkg/controller/controller.go).
  sidecar provisioner $at/external-provisioner/v6 $rbac "storage.k8s.io volumeattributesclasses get"
  sidecar attacher $at/external-attacher/v4 $rbac
  sidecar resizer $at/external-resizer/v2 $rbac
  sidecar snapshotter $at/external-snapshotter/v8 deploy/kubernetes/csi-snapshotter/rbac-csi-snapshotter.yaml
  # It reads a snapshot's class (pkg/internal/server/grpc/snapshotter_secret.go).
  sidecar snapshotMetadata $at/external-snapshot-metadata deploy/snapshot-metadata-cluster-role.yaml \
    "snapshot.storage.k8s.io volumesnapshotclasses get" "snapshot.storage.k8s.io volumesnapshotclasses list"
}
