# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests/chart/run: the certificates that the chart makes, and that an upgrade keeps their authority.

# unpack FILE DIR: each Secret of a render as a directory
unpack() {
  local name key
  rm -rf "$2"
  ask "$1" '.[] | select(.kind == "Secret") | .metadata.name as $n | .data | to_entries[] | "\($n) \(.key) \(.value)"' |
    while read -r name key value; do
      mkdir -p "$2/$name"
      base64 -d <<<"$value" >"$2/$name/$key"
    done
}

# What openssl says of a certificate's alternative names and uses, in one line
carries() { # CERTIFICATE
  openssl x509 -in "$1" -noout -ext subjectAltName,extendedKeyUsage | sed 's/^ *//' | paste -sd' '
}

certificate() { # DIR NAME PURPOSE CARRIES
  local dir=$1 name=$2 said
  [ -s "$dir/$name/tls.crt" ] || { echo "there is no $name"; return; }
  openssl verify -x509_strict -purpose "$3" -CAfile "$dir/$name/ca.crt" "$dir/$name/tls.crt" 2>&1 | grep -v ': OK$' || true
  cmp "$dir/$name/ca.crt" "$dir/nvmeot-ca/tls.crt" 2>&1 || true
  [ "$(openssl x509 -in "$dir/$name/tls.crt" -noout -pubkey)" = "$(openssl pkey -in "$dir/$name/tls.key" -pubout)" ] ||
    echo "the key of $name is another certificate's"
  said=$(carries "$dir/$name/tls.crt")
  [[ $said == *"$4"* ]] || echo "$name carries $said, not $4"
}

told() { # FILE: the authority by which backup programs know the service
  ask "$1" '.[] | select(.kind == "SnapshotMetadataService") | .spec.caCert' | base64 -d
}

# Renders as an install or an upgrade against a cluster that may have the Secret.
against() { # SECRET OUT
  local port pid
  exec {ports}< <(exec tests/chart/apiserver "$1")
  pid=$!
  read -r -u "$ports" port
  render tests/chart/values/storage-nodes.yaml --dry-run=server --disable-openapi-validation \
    --kube-apiserver "http://127.0.0.1:$port" >"$2" || true
  kill "$pid"
  exec {ports}<&-
}

tls() {
  local secret=$work/ca.json
  rm -f "$secret"
  against "$secret" $work/install.yaml
  unpack $work/install.yaml $work/pki
  verdict "tls: the controller's certificate" "$(certificate $work/pki nvmeot-controller-tls sslclient DNS:nvmeot-controller)"
  verdict "tls: the nodes' certificate" "$(certificate $work/pki nvmeot-node-tls sslclient DNS:nvmeot-node)"
  verdict "tls: the certificate of what serves changed blocks" "$(certificate $work/pki nvmeot-snapshot-metadata-tls sslserver \
    "DNS:nvmeot-snapshot-metadata.nvmeot-system.svc, DNS:nvmeot-snapshot-metadata.nvmeot-system")"
  verdict "tls: backup programs are told of its authority" "$(told $work/install.yaml | cmp - $work/pki/nvmeot-ca/tls.crt 2>&1)"
  render tests/chart/values/everything.yaml >$work/given.yaml
  verdict "tls: or of the one that is given" "$(told $work/given.yaml |
    diff - <(yq -j .sidecars.snapshotMetadata.caCert tests/chart/values/everything.yaml))"
  verdict "tls: a target's certificate" "$(certificate $work/pki nvmeot-target-box2-tls sslserver "IP Address:192.0.2.12")"
  # validityDays of values/storage-nodes.yaml, to the day
  verdict "tls: certificates are valid for as long as the values say" "$(openssl x509 -noout -checkend $((399 * 86400)) \
    -in $work/pki/nvmeot-controller-tls/tls.crt | grep -v not; openssl x509 -noout -checkend $((401 * 86400)) \
    -in $work/pki/nvmeot-target-box1-tls/tls.crt | grep not)"
  ask $work/install.yaml '.[] | select(.kind == "Secret" and .metadata.name == "nvmeot-ca")
    | .metadata.annotations += { "meta.helm.sh/release-name": "nvmeot", "meta.helm.sh/release-namespace": "nvmeot-system" }
    | tojson' >"$secret"
  against "$secret" $work/upgrade.yaml
  unpack $work/upgrade.yaml $work/pki2
  verdict "tls: an upgrade keeps the authority" "$(diff -r $work/pki/nvmeot-ca $work/pki2/nvmeot-ca 2>&1 || true)"
  verdict "tls: an upgrade renews what it has signed" "$([ -s $work/pki2/nvmeot-controller-tls/tls.crt ] &&
    ! cmp -s $work/pki/nvmeot-controller-tls/tls.crt $work/pki2/nvmeot-controller-tls/tls.crt || echo it does not)"
  verdict "tls: renewed ones are of that authority" "$(certificate $work/pki2 nvmeot-target-box1-tls sslserver "IP Address:192.0.2.11")"
}
